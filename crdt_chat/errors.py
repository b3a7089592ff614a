"""Whose fault it is decides the answer: every remote fault has one close code and one HTTP status.

CrdtChatError
├── RemoteFault              the peer's fault: `close_code`, `status` and `code` say what it is told
│   ├── Malformed            4400 / 400   bytes or JSON that no honest client sends
│   ├── Unauthorized         4401 / 401   no grant, or it has expired or been revoked
│   ├── Forbidden            4403 / 403   the grant does not allow this; or: reset your document
│   ├── NotFound             4404 / 404   no such page, tenant or entity
│   ├── EpochChanged         4409 / 409   the page was rewritten: drop the document and start anew
│   ├── TooLarge             4413 / 413   a frame, batch or page over its limit
│   ├── BadFrame             1002 / 400   no WebSocket frame of a client
│   ├── BadText              1007 / 400   text that is not UTF-8
│   ├── RateLimited          4529 / 429   too much for too long
│   ├── TryLater             1013 / 503   full or lagging: come back in a moment
│   └── Restarting           1012 / 503   the server goes down, or asks again who you are
└── LocalFault               ours: logged, ends its owner; the peer sees TryLater
    ├── PageBroken           the document cannot be trusted any more: rebuild it from the store
    │   └── UpdateBroken     ... because of the update that was just applied
    └── StoreUnavailable     the commit failed: nothing of it is shown or acknowledged

44xx means "do not retry" (y-websocket >= 3.1 stops there); everything else is retried by clients.
"""

from collections.abc import Mapping
from typing import ClassVar


class CrdtChatError(Exception):
    """Base of every error this package raises on purpose."""


class RemoteFault(CrdtChatError):
    """A peer's fault. The message is a sentence that may be sent to the peer.

    operations: where the rules of a page refused some, each with `key`, `rule` and `reason`, as the
    control frame `refused` says it (docs/protocol.md). user: whose fault it is, where a signature
    vouches for the name; for the audit log.
    """

    operations: tuple[Mapping[str, str], ...] = ()
    user: str = ""
    close_code: ClassVar[int]
    status: ClassVar[int]
    code: ClassVar[str]


class Malformed(RemoteFault):
    """Bytes or JSON that no honest client sends."""

    close_code, status, code = 4400, 400, "malformed"


class Unauthorized(RemoteFault):
    """No grant, or one that has expired or been revoked."""

    close_code, status, code = 4401, 401, "unauthorized"


class Forbidden(RemoteFault):
    """The grant does not allow this, or the peer's document must be dropped (reset)."""

    close_code, status, code = 4403, 403, "forbidden"


class NotFound(RemoteFault):
    """No such page, tenant or entity."""

    close_code, status, code = 4404, 404, "not-found"


class EpochChanged(RemoteFault):
    """The page was rewritten under a new epoch: the peer's document is of an older one."""

    close_code, status, code = 4409, 409, "epoch-changed"


class TooLarge(RemoteFault):
    """A frame, a batch or a page over its limit."""

    close_code, status, code = 4413, 413, "too-large"


class BadFrame(RemoteFault):
    """Bytes that are no WebSocket frame of a client (RFC 6455)."""

    close_code, status, code = 1002, 400, "bad-frame"


class BadText(RemoteFault):
    """A text frame that is not UTF-8 (RFC 6455)."""

    close_code, status, code = 1007, 400, "bad-text"


class RateLimited(RemoteFault):
    """Too many operations for too long."""

    close_code, status, code = 4529, 429, "rate-limited"


class TryLater(RemoteFault):
    """The server or this connection is over a limit that passes: retry later."""

    close_code, status, code = 1013, 503, "try-later"


class Restarting(RemoteFault):
    """The server goes down, or wants to know again who is here: reconnect."""

    close_code, status, code = 1012, 503, "restarting"


class LocalFault(CrdtChatError):
    """Our own fault: logged by the owner, never shown in detail to a peer."""


class PageBroken(LocalFault):
    """The document can no longer be trusted, since a change of it failed: rebuild it from the store."""


class UpdateBroken(PageBroken):
    """The document was sound until this very update was applied to it."""


class StoreUnavailable(LocalFault):
    """A commit failed: nothing of it may be shown, acknowledged or kept in memory."""


def forget_where(fault: BaseException | None) -> None:
    """Let go of what the places that raised a fault still hold: what a peer sent, however large."""
    while fault is not None:
        fault.__traceback__ = None
        fault = fault.__cause__ or fault.__context__
