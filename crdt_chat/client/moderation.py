"""What a reader or moderator asks of the server beside the page: flags, hide, restore, close.

These are requests over HTTP with the person's own token (docs/moderation.md); the page itself shows
their outcome like anybody's changes. Standard library only: it is asked rarely, in a thread.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, urlencode

import anyio.to_thread

from crdt_chat.client.address import Address
from crdt_chat.client.credentials import Credentials
from crdt_chat.client.errors import Offline
from crdt_chat.errors import Malformed, RemoteFault, TryLater

Action = Literal["hide", "unhide", "restore", "close", "reopen", "dismiss"]

ANSWER_S = 10.0
"""Seconds that the server may take to answer."""

LONGEST = 64 * 1024 * 1024
"""Bytes of an answer that are read; what a full page has hidden is far less."""

_FAULTS = {fault.status: fault for fault in RemoteFault.__subclasses__() if fault.status < 500}


class Moderation:
    """The requests of one person about one page. Each raises Offline, or the server's RemoteFault."""

    def __init__(self, address: Address, credentials: Credentials) -> None:
        self._page = address.key.page
        scheme, _, rest = address.base.partition(":")
        tenant = quote(address.key.tenant, safe="")
        self._root = f"{scheme.replace('ws', 'http')}:{rest}/api/v1/tenants/{tenant}"
        # An open tenant believes it; everywhere else a token says who it is.
        self._who = {"user": address.user, "name": address.name}
        self._direct = address.loopback
        self._credentials = credentials

    async def overview(self) -> dict[str, Any]:
        """What is hidden and deleted, with its content; open flags; who did what and why."""
        found: dict[str, Any] = await self._ask("moderation", {"page": self._page})
        return found

    async def flag(self, entity: str, reason: str) -> None:
        """Tell the moderators of an annotation, or `ANNOTATION/COMMENT`."""
        body = {"page": self._page, "entity": entity, "reason": reason}
        await self._ask("flags", {}, body)

    async def act(self, action: Action, entity: str, reason: str) -> None:
        """Do what moderators do; durable when this returns."""
        body = {"page": self._page, "action": action, "entity": entity, "reason": reason}
        await self._ask("moderation", {}, body)

    async def _ask(
        self, verb: str, query: Mapping[str, str], body: Mapping[str, str] | None = None
    ) -> Any:
        address = f"{self._root}/{verb}?{urlencode({**query, **self._who})}"
        headers = {"content-type": "application/json", **await self._credentials.headers()}
        sent = None if body is None else json.dumps(body).encode()
        # The base is one of ws, wss, http and https (Address.parse).
        request = urllib.request.Request(address, sent, headers)  # noqa: S310
        return await anyio.to_thread.run_sync(_answer, request, self._direct)


def _answer(request: urllib.request.Request, direct: bool) -> Any:
    """The JSON of an answer, None for an empty one. direct: no HTTP proxy is asked."""
    proxies = urllib.request.ProxyHandler({} if direct else None)
    opener = urllib.request.build_opener(proxies)
    try:
        with opener.open(request, timeout=ANSWER_S) as answer:
            text = answer.read(LONGEST)
    except urllib.error.HTTPError as error:
        with error:
            raise _fault(error.code, error.read(LONGEST)) from None
    except OSError:
        raise Offline(0, ANSWER_S) from None
    return json.loads(text) if text else None


def _fault(status: int, text: bytes) -> RemoteFault:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    kind = _FAULTS.get(status, TryLater if status >= 500 else Malformed)
    message = said.get("message") if isinstance(said, dict) else None
    fault = kind(message or f"the server answered {status}")
    if isinstance(said, dict) and isinstance(said.get("operations"), list):
        fault.operations = tuple(said["operations"])
    return fault
