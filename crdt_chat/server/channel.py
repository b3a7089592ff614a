"""The transport seam: any pycrdt Channel can be served, an ASGI WebSocket with close codes."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, runtime_checkable

from crdt_chat.errors import Malformed

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

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
    """`payload` as one unmasked, uncompressed binary WebSocket frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


def payload(encoded: bytes) -> bytes:
    """What binary_frame has encoded."""
    size = encoded[1]
    return encoded[2 if size < 126 else 4 if size == 126 else 10 :]


class AsgiChannel:
    """An accepted ASGI WebSocket as a Channel.

    write sends an encoded frame at once and tells whether the socket was free; None where the server
    under us does not offer it (server/sockets.py does).
    """

    def __init__(self, scope: Event, receive: Receive, send: Send) -> None:
        self._offered = scope.get("extensions", {}).get("crdt_chat.transport", {})
        self.write: Callable[[bytes], bool] | None = self._offered.get("write")
        self.backlog: Callable[[], int] | None = self._offered.get("backlog")
        self._scope = scope
        self._receive = receive
        self._send = send
        self.lost = False

    @property
    def path(self) -> str:
        """The decoded path of the request."""
        return str(self._scope["path"])

    async def send(self, message: bytes) -> None:
        """Send one binary frame; waits while the socket's buffer is full."""
        await self._send({"type": "websocket.send", "bytes": message})

    async def __anext__(self) -> bytes:
        return await self.recv()

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
        # uvicorn tells the peer's own close frame by its `reason`, a lost socket has none.
        self.lost = message.get("code", 1006) in LOST_CODES and "reason" not in message
        raise StopAsyncIteration

    async def close(self, code: int, reason: str) -> None:
        """Close with this code; the reason is a sentence for people, cut to what a frame holds."""
        short = reason.encode()[:120].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": short})

    def expect(self, size: int) -> None:
        """Take messages of up to `size` bytes from now on, where the server offers it."""
        limit = self._offered.get("expect")
        if limit is not None:
            limit(size)

    async def drained(self) -> None:
        """Return once most of what was sent has left our memory, where the server offers it."""
        wait = self._offered.get("drained")
        if wait is not None:
            await wait()

    def abort(self) -> None:
        """Cut the connection, where the server offers it (server/sockets.py)."""
        cut = self._offered.get("abort")
        if cut is not None:
            cut()
