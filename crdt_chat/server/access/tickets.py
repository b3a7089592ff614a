"""One-time tickets: how a client that can only set a URL brings its grant without its token.

A ticket is good once, for 30 s, for the tenant (and page) it was made for: whoever finds it in a
log or a history later has nothing. Tickets live in memory; a restart forgets them.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from crdt_chat.errors import TryLater, Unauthorized
from crdt_chat.identity import Grant

LIFETIME_S = 30.0
PER_USER, PER_TENANT, IN_ALL = 100, 5_000, 20_000
"""Tickets that may be waiting: where anybody may come under any name, only that tenant runs out of them."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a ticket is good for; `until` on the monotonic clock, in seconds."""

    grant: Grant
    page: str | None
    until: float


class Tickets:
    """Every ticket that was given and not used. new_secret makes 32 random bytes."""

    def __init__(self, monotonic: Callable[[], float], new_secret: Callable[[], bytes]) -> None:
        self._monotonic = monotonic
        self._new_secret = new_secret
        # by digest: a lookup by the secret itself would tell by its time how much of it is right
        self._waiting: dict[bytes, Waiting] = {}
        self._users: Counter[tuple[str, str]] = Counter()
        self._tenants: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def issue(self, grant: Grant, page: str | None) -> str:
        """A ticket for this grant, on one page or (None) all that it covers. Raises TryLater."""
        self._forget_old()
        owner = (grant.tenant, grant.user)
        if (
            len(self._waiting) >= IN_ALL
            or self._tenants[grant.tenant] >= PER_TENANT
            or self._users[owner] >= PER_USER
        ):
            raise TryLater("too many tickets are waiting to be used")
        ticket = self._new_secret().hex()
        until = self._monotonic() + LIFETIME_S
        self._waiting[_digest(ticket)] = Waiting(grant, page, until)
        self._users[owner] += 1
        self._tenants[grant.tenant] += 1
        return ticket

    def redeem(self, ticket: str, tenant: str, page: str | None) -> Grant:
        """The grant behind a ticket, which is gone now. Raises Unauthorized.

        page is the one that is asked for; None for a request that names none.
        """
        self._forget_old()
        found = self._take(_digest(ticket))
        if found is None or found.grant.tenant != tenant or found.page not in (None, page):
            raise Unauthorized("this ticket is used, too old, or for something else")
        return found.grant

    def clear(self) -> None:
        """None of those that are waiting is good any more."""
        self._waiting.clear()
        self._users.clear()
        self._tenants.clear()

    def _forget_old(self) -> None:
        now = self._monotonic()
        while self._waiting:
            digest, oldest = next(iter(self._waiting.items()))
            if oldest.until > now:
                return
            self._take(digest)

    def _take(self, digest: bytes) -> Waiting | None:
        found = self._waiting.pop(digest, None)
        if found is not None:
            owner = (found.grant.tenant, found.grant.user)
            self._users[owner] -= 1
            self._tenants[found.grant.tenant] -= 1
            if not self._users[owner]:
                del self._users[owner]
            if not self._tenants[found.grant.tenant]:
                del self._tenants[found.grant.tenant]
        return found


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
