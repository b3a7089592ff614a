"""The transport seam: any pycrdt Channel can be served, an ASGI WebSocket with close codes."""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Protocol, runtime_checkable

from crdt_chat.errors import Malformed, RemoteFault
from crdt_chat.protocol.frames import BINARY, encode

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Coroutine[Any, Any, None]]

LOST_CODES = (1005, 1006, 1011)
"""What a server says of a socket that ended without the peer's close frame."""


class Channel(Protocol):
    """pycrdt's Channel: bytes in, bytes out; iteration ends with the connection."""

    @property
    def path(self) -> str:
        """Where the peer connected to."""
        ...

    async def send(self, message: bytes) -> None:
        """Send one message."""
        ...

    async def __anext__(self) -> bytes:
        """The next message; StopAsyncIteration when the connection has ended."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A channel that can be closed with a code, and that knows how it ended."""

    lost: bool

    async def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code."""
        ...

    def abort(self) -> None:
        """Cut the connection without waiting for what is still unsent."""
        ...


def binary_frame(payload: bytes) -> bytes:
    """`payload` as one whole binary WebSocket frame."""
    return encode(BINARY, payload)


def payload(encoded: bytes) -> bytes:
    """What binary_frame has encoded."""
    size = encoded[1]
    return encoded[2 if size < 126 else 4 if size == 126 else 10 :]


class Transport(Protocol):
    """What server/sockets/websocket.py offers the app beside ASGI, as the extension `crdt_chat.transport`."""

    def abort(self) -> None:
        """Cut the connection without waiting for what is still unsent."""
        ...

    def write(self, encoded: bytes) -> bool:
        """Send one whole, already encoded WebSocket frame now. False: the socket is not free."""
        ...

    def expect(self, size: int, whose: tuple[str, str]) -> None:
        """From the next message on, take up to `size` bytes. whose: tenant and user."""
        ...

    def handled(self) -> None:
        """What was received has been handled and is let go of: its memory is for others."""
        ...

    def let_go(self) -> None:
        """What was received is in memory no more, and nothing else will be taken."""
        ...

    def backlog(self) -> int:
        """Bytes that were sent and are still in our memory."""
        ...

    async def drained(self) -> None:
        """Return once most of what was sent has left our memory."""
        ...


def transport_of(scope: Event) -> Transport | None:
    """What lies under an ASGI WebSocket; None where another server than ours carries it."""
    found: Transport | None = scope.get("extensions", {}).get("crdt_chat.transport")
    return found


class AsgiChannel:
    """An accepted ASGI WebSocket as a Channel.

    write sends an encoded frame at once and tells whether the socket was free; it and backlog are None
    where the server under us does not offer them.
    """

    __slots__ = ("_receive", "_send", "_under", "backlog", "lost", "path", "write")

    def __init__(self, scope: Event, receive: Receive, send: Send) -> None:
        # Nothing else of the scope is kept: the head of the request would cost more than the rest.
        self.path = str(scope["path"])
        self._under = transport_of(scope)
        self.write = None if self._under is None else self._under.write
        self.backlog = None if self._under is None else self._under.backlog
        self._receive = receive
        self._send = send
        self.lost = False

    async def send(self, message: bytes) -> None:
        """Send one binary frame; waits while the socket's buffer is full."""
        await self._send({"type": "websocket.send", "bytes": message})

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return self.recv()

    async def recv(self) -> bytes:
        """The next binary frame.

        Raises StopAsyncIteration when the connection has ended (`lost` then tells whether without a
        close frame), Malformed for a text frame: JSON never travels on a CRDT socket.
        """
        message = await self._receive()
        if message["type"] == "websocket.receive":
            data = message.get("bytes")
            if data is None:
                raise Malformed("this socket takes binary frames only")
            return bytes(data)
        # The peer's own close frame is told by its `reason`, a lost socket has none.
        self.lost = message.get("code", 1006) in LOST_CODES and "reason" not in message
        raise StopAsyncIteration

    async def close(self, code: int, reason: str) -> None:
        """Close with this code; the reason is a sentence for people, cut to what a frame holds."""
        short = reason.encode()[:120].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": short})

    def expect(self, size: int, whose: tuple[str, str]) -> None:
        """Take messages of up to `size` bytes from now on, where the server offers it."""
        if self._under is not None:
            self._under.expect(size, whose)

    def handled(self) -> None:
        """What was received has been handled and is let go of, where the server wants to know."""
        if self._under is not None:
            self._under.handled()

    def let_go(self) -> None:
        """Of what was received nothing is left, and nothing else is taken, where the server wants to know."""
        if self._under is not None:
            self._under.let_go()

    async def drained(self) -> None:
        """Return once most of what was sent has left our memory, where the server offers it."""
        if self._under is not None:
            await self._under.drained()

    def abort(self) -> None:
        """Cut the connection, where the server offers it."""
        if self._under is not None:
            self._under.abort()


async def close(channel: Channel, fault: RemoteFault) -> None:
    """Close a channel with the fault's code, or raise the fault where the channel has no codes."""
    if not isinstance(channel, Closable):
        raise fault
    await channel.close(fault.close_code, str(fault))
