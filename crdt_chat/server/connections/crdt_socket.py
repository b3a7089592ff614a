"""WS /ws/{tenant}/{page}: from an ASGI WebSocket to a served channel.

Refusals are close codes after accept: a browser sees an HTTP refusal only as 1006, and y-websocket
then retries for ever (design 5).
"""

from collections.abc import Mapping
from urllib.parse import unquote, unquote_to_bytes

from crdt_chat.errors import Malformed, NotFound, RemoteFault
from crdt_chat.server.access.asked import asked_by, chosen_protocol
from crdt_chat.server.access.auth import Authority, covered, page_key
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.access.keys import SERVER
from crdt_chat.server.connections.connection import Visit, serve
from crdt_chat.server.moderation import moderators
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.sockets.channel import AsgiChannel, Event, Receive, Send, close

PREFIX = b"/ws/"
CAPABILITY = "crdt-chat.1"


class CrdtSocket:
    """The ASGI endpoint of the CRDT sockets."""

    def __init__(self, rooms: Rooms, authority: Authority, guard: Guard | None = None) -> None:
        self._rooms = rooms
        self._authority = authority
        self._guard = guard

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Accept, find out who asks for what, serve until the end."""
        if (await receive())["type"] != "websocket.connect":
            return
        channel = AsgiChannel(scope, receive, send)
        with self._rooms.services.addresses.counted(scope):
            try:
                visit = await self._accept(channel, scope, send)
                # Nobody needs the head of the request while the connection is served.
                del scope
                if visit is not None:
                    await serve(channel, visit, self._rooms)
            except OSError:
                # The peer was gone before it could be told anything.
                return

    async def _accept(self, channel: AsgiChannel, scope: Event, send: Send) -> Visit | None:
        accept: Event = {"type": "websocket.accept", "subprotocol": chosen_protocol(scope)}
        try:
            visit = self._visit(scope)
        except RemoteFault as fault:
            self._deny(scope, fault)
            await send(accept)
            await close(channel, fault)
            return None
        if visit.grant.key == SERVER:
            secure = scope.get("scheme") == "wss"
            cookie = self._authority.cookie(visit.grant, secure=secure)
            accept["headers"] = [(b"set-cookie", cookie.encode())]
        whose = visit.grant.tenant, visit.grant.user
        channel.expect(self._rooms.services.limits.first_batch_bytes, whose)
        await send(accept)
        return visit

    def _deny(self, scope: Event, fault: RemoteFault) -> None:
        client = scope.get("client")
        tenant = unquote(scope["raw_path"][len(PREFIX) :].partition(b"/")[0].decode("latin-1"))
        self._authority.denied(tenant, client[0] if client else "", fault)

    def _visit(self, scope: Event) -> Visit:
        self._rooms.services.addresses.check(scope)
        tenant, page = split_path(scope["raw_path"])
        key = page_key(tenant, page)
        asked = asked_by(scope)
        grant = self._authority.grant(tenant, asked, page)
        caps = asked.query.get("caps", "").split(",")
        return Visit(
            covered(grant, key),
            grant,
            speaks_control=CAPABILITY in caps,
            watches=moderators.CAPABILITY in caps,
            epoch=_epoch(asked.query),
            address=asked.address,
            guard=self._guard,
            settings=self._authority.tenant(tenant).settings,
        )


def split_path(raw: bytes) -> tuple[str, str]:
    """Tenant and page of a raw request path `/ws/{tenant}/{page}`, percent-decoded each by itself.

    Raises NotFound where they are not there or not UTF-8.
    """
    tenant, slash, page = raw.partition(b"?")[0][len(PREFIX) :].partition(b"/")
    try:
        names = unquote_to_bytes(tenant).decode(), unquote_to_bytes(page).decode()
    except UnicodeDecodeError:
        raise NotFound("a page name that is not UTF-8") from None
    if not slash:
        raise NotFound("the path of a page is /ws/{tenant}/{page}")
    return names


def _epoch(query: Mapping[str, str]) -> int | None:
    text = query.get("epoch")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise Malformed("an epoch is a whole number")
    return int(text)
