"""What becomes of a new connection; uvicorn's HTTP protocol with deadlines for what a client has to send.

uvicorn waits for the rest of a head, or of a body, for as long as the client likes: a few thousand
half requests would hold all the sockets that a process may open.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from crdt_chat.server.sockets.websocket import Socket

FROM_CLIENT = (h11.IDLE, h11.SEND_BODY)
"""States in which the next move is the client's."""

GET = re.compile(rb"GET [!-~]+ HTTP/1\.1\r\n")
TELLING = re.compile(rb"\r\n(host|upgrade|connection):([^\r\n]*)", re.IGNORECASE)


def is_plain_upgrade(head: bytes) -> bool:
    """Whether this head asks for a WebSocket as browsers and libraries do: one line of each name."""
    found = TELLING.findall(head)
    said = {name.lower(): value.strip().lower() for name, value in found}
    return (
        len(found) == len(said) == 3
        and said[b"upgrade"] == b"websocket"
        and b"upgrade" in said[b"connection"]
        and GET.match(head) is not None
    )


class Front(asyncio.Protocol):
    """A connection that has said nothing yet: with the head of a plain upgrade it is a socket's at once.

    All else is HTTP's, which hands odd upgrades over: h11 would take 60 us for each head, and is not needed
    where the WebSocket handshake checks it anyway. http makes the HTTP protocol, socket the other.
    """

    __slots__ = ("_connections", "_deadline", "_http", "_request_s", "_socket", "_transport")

    _transport: asyncio.Transport

    def __init__(
        self,
        connections: set[Any],
        http: Callable[[asyncio.TimerHandle | None], asyncio.Protocol],
        socket: Callable[[], Socket],
        request_s: float,
    ) -> None:
        self._connections = connections
        self._http = http
        self._socket = socket
        self._request_s = request_s
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the head of its request its time."""
        self._transport = transport  # type: ignore[assignment]  # TCP: it reads and writes
        self._connections.add(self)
        if self._request_s:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._request_s, self._transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        """It has gone without a word."""
        self._forget_deadline()
        self._connections.discard(self)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def shutdown(self) -> None:
        """uvicorn ends."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Decide what it becomes."""
        self._connections.discard(self)
        end = data.find(b"\r\n\r\n") + 4
        if end >= 4 and is_plain_upgrade(data[:end]):
            self._forget_deadline()
            self._become(self._socket(), data[:end], data[end:])
        else:
            # The time that it has for the rest of its head goes on.
            self._become(self._http(self._deadline), data)

    def _become(self, protocol: asyncio.Protocol, *parts: bytes) -> None:
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        for part in parts:
            if part:
                protocol.data_received(part)


class Http(H11Protocol):
    """One HTTP connection; cut where a head, or its body, takes longer than `request_s`.

    deadline: when the head that it awaits has to be there, if that is settled.
    """

    def __init__(
        self,
        *args: Any,
        request_s: float,
        deadline: asyncio.TimerHandle | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._request_s = request_s
        self._deadline = deadline
        self._awaited: object = None if deadline is None else h11.IDLE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As uvicorn does, and give the head its time."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """As uvicorn does; bytes do not prolong the time that their head or body has."""
        super().data_received(data)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn does."""
        self._forget_deadline()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """As uvicorn does, where nothing was answered yet; nobody else answers the same request after it."""
        # None until the first request, whatever its type says.
        cycle = getattr(self, "cycle", None)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """As uvicorn does: from here on the socket has rules of its own."""
        self._request_s = 0.0
        super().handle_websocket_upgrade(event)

    def _set_deadline(self) -> None:
        state = self.conn.their_state
        if state is self._awaited:
            return
        self._forget_deadline()
        if state in FROM_CLIENT and self._request_s and not self.transport.is_closing():
            self._awaited = state
            self._deadline = self.loop.call_later(self._request_s, self.transport.abort)

    def _forget_deadline(self) -> None:
        self._awaited = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def connections_of(socket: Callable[..., Socket], request_s: float) -> Callable[..., Front]:
    """What uvicorn calls (`http=`) for each connection; socket is what it calls for upgrades (`ws=`)."""

    def accept(*, server_state: ServerState, **settings: Any) -> Front:
        def http(deadline: asyncio.TimerHandle | None) -> Http:
            return Http(
                server_state=server_state, request_s=request_s, deadline=deadline, **settings
            )

        return Front(
            server_state.connections, http, partial(socket, server_state=server_state), request_s
        )

    return accept
