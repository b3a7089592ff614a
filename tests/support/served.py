"""One WebSocket of the server on a transport that keeps what is written, served by an app of the test."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from crdt_chat.server.sockets.channel import Event, Receive, Send
from crdt_chat.server.sockets.intake import Intake
from crdt_chat.server.sockets.pulse import Shared
from crdt_chat.server.sockets.websocket import Socket, sockets_of

HEAD = (
    b"GET /ws/t/p?user=ada HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: a, b\r\nCookie: c=d\r\n\r\n"
)
ACCEPT = {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"set-cookie", b"e=f")]}


class Wire(asyncio.Transport):
    """A transport whose other end is the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1234), "sockname": ("192.0.2.2", 80)})
        self.written = b""
        self.reading = True
        self.closing = self.aborted = self.ended = False

    def write(self, data: Any) -> None:
        assert not self.closing, "written to a transport that closes"
        assert not self.ended, "written after its end was told"
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def get_write_buffer_size(self) -> int:
        return len(self.written)


Serve = Callable[[Event, Receive, Send], Awaitable[None]]


class Served:
    """A socket and its wire, served by one app."""

    def __init__(self, app: Serve, intake: Intake | None = None, **settings: float) -> None:
        self.shared = Shared(
            app,  # type: ignore[arg-type]
            intake or Intake(10_000, 10_000, patience_s=60),
            ordinary=5_000,
            ping_s=settings.get("ping_s", 0),
            pong_s=settings.get("pong_s", 1),
        )
        self.state = ServerState()
        self.wire = Wire()
        self.socket: Socket = sockets_of(self.shared)(server_state=self.state, config=None)
        self.socket.connection_made(self.wire)

    def say(self, opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> None:
        self.socket.data_received(Frame(opcode, payload, fin).serialize(mask=True))

    def taken(self) -> bytes:
        """What was written since the last time."""
        written, self.wire.written = self.wire.written, b""
        return written

    async def done(self) -> None:
        await asyncio.gather(*self.state.tasks, return_exceptions=True)


async def opened(app: Serve, intake: Intake | None = None, **settings: float) -> Served:
    """One whose handshake is over; what was written of it is taken away."""
    served = Served(app, intake, **settings)
    served.socket.data_received(HEAD)
    await turn()
    served.taken()
    return served


@contextmanager
def watched(events: list[Event]) -> Iterator[Serve]:
    """An app that accepts and keeps all that it is told, until the end."""

    async def app(_scope: Event, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            events.append(event)
            if event["type"] == "websocket.connect":
                await send(dict(ACCEPT))
            if event["type"] == "websocket.disconnect":
                return

    yield app


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)
