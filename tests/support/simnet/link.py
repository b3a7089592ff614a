"""One WebSocket between a client and a server process: slow, lossy, half-open, and always in order.

The server's end is a production AsgiChannel on simulated `receive` and `send`, with the extension of
server/sockets/websocket.py: `write` puts whole encoded frames on the wire, `abort` cuts it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import anyio

from crdt_chat.server.sockets.channel import AsgiChannel

LOST, SILENT, NORMAL = 1006, 1011, 1000
PING_S = 25.0
"""Seconds after which uvicorn has noticed a silent peer (ping 20 s, pong 5 s)."""


@dataclass(slots=True)
class Quality:
    """What a network is like: seconds a frame takes at least and at most, bytes of socket buffer."""

    quickest: float = 0.001
    slowest: float = 0.02
    buffer: int = 64 * 1024


class End(Protocol):
    """The client, as its link sees it."""

    def took(self, link: "Link", frame: bytes) -> None:
        """A frame has arrived."""

    def ended(self, link: "Link", code: int) -> None:
        """The connection is over."""


class Pipe:
    """One direction. Items arrive in order, each at its own time, unless the pipe is paused."""

    def __init__(self, latency: Callable[[], float], take: Callable[[Any], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._latency = latency
        self._take = take
        self._under_way: deque[tuple[Any, int]] = deque()
        self._arrived = 0
        self._last = 0.0
        self.paused = False
        self.dead = False
        self.size = 0
        self.drained: Callable[[], None] = lambda: None

    def put(self, item: Any, size: int = 0) -> None:
        if self.dead:
            return
        self._under_way.append((item, size))
        self.size += size
        self._last = max(self._last, self._loop.time() + self._latency())
        self._loop.call_at(self._last, self._arrive)

    def _arrive(self) -> None:
        self._arrived += 1
        if not self.paused:
            self.resume()

    def resume(self) -> None:
        """Hand over what has arrived."""
        self.paused = False
        while self._arrived and self._under_way and not self.paused and not self.dead:
            self._arrived -= 1
            item, size = self._under_way.popleft()
            self.size -= size
            self._take(item)
        self.drained()

    def cut(self) -> None:
        """Nothing passes any more, and what was under way is lost."""
        self.dead = True
        self._under_way.clear()
        self.size = 0
        self.drained()


def payload(encoded: bytes) -> bytes:
    """The payload of one whole unmasked binary WebSocket frame."""
    assert encoded[0] == 0x82, "not one whole binary frame"
    size, at = encoded[1], 2
    if size >= 126:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(encoded[2 : 2 + width], "big"), 2 + width
    assert len(encoded) == at + size, "a frame of another length than it says"
    return encoded[at:]


class Link:
    """A connection. `leaving` is called with every frame the moment the server lets go of it.

    sent: the updates of the client's sync frames so far, as `saved` counts them.
    """

    def __init__(
        self,
        end: End,
        rng: Any,
        quality: Quality,
        leaving: Callable[["Link", bytes], None],
    ) -> None:
        self.end = end
        self.quality = quality
        self.sent: list[bytes] = []
        self.refused = False
        self.over = False
        self.gone = False
        self._rng = rng
        self._leaving = leaving
        self._inbox: deque[dict[str, Any]] = deque()
        self._news = anyio.Event()
        self._writable = anyio.Event()
        self._loop = asyncio.get_running_loop()
        self.up = Pipe(self._latency, self._to_server)
        self.down = Pipe(self._latency, self._to_client)
        self.down.drained = self._drained
        self.kept = True
        extension = SimpleNamespace(
            abort=self.abort,
            write=self._write,
            backlog=lambda: self.down.size,
            drained=self._until_free,
            expect=lambda _size, _whose: None,
            handled=lambda: None,
            let_go=self._let_go,
        )
        scope = {"path": "/ws/sim", "extensions": {"crdt_chat.transport": extension}}
        self.channel = AsgiChannel(scope, self._receive, self._send)

    def _let_go(self) -> None:
        """The server keeps nothing of what it was sent."""
        self.kept = False

    def _latency(self) -> float:
        return self._rng.uniform(self.quality.quickest, self.quality.slowest)

    # The client's end

    def send(self, frame: bytes) -> None:
        """The client sends one binary frame."""
        self.up.put({"type": "websocket.receive", "bytes": frame}, len(frame))

    def close(self) -> None:
        """The client closes politely."""
        self.over = True
        self.up.put({"type": "websocket.disconnect", "code": NORMAL, "reason": ""})
        self.down.cut()

    def reset(self) -> None:
        """The network resets the connection: both ends hear of it, what is under way is lost."""
        self.up.cut()
        self.down.cut()
        self._tell_server({"type": "websocket.disconnect", "code": LOST})
        self._loop.call_later(self._latency(), self._tell_client, LOST)

    def vanish(self, client_hears: float | None) -> None:
        """Nothing passes any more. The server finds out by its ping, the client after so long."""
        self.up.cut()
        self.down.dead = True  # what the server sends still fills its buffer
        silent = {"type": "websocket.disconnect", "code": SILENT, "reason": "no answer to a ping"}
        self._loop.call_later(self._rng.uniform(5.0, PING_S), self._tell_server, silent)
        if client_hears is not None:
            self._loop.call_later(client_hears, self._tell_client, LOST)

    def _to_client(self, item: Any) -> None:
        if self.over:
            return
        if isinstance(item, int):
            self._tell_client(item)
        else:
            self.end.took(self, item)

    def _tell_client(self, code: int) -> None:
        if not self.over:
            self.over = True
            self.end.ended(self, code)

    # The server's end

    def _to_server(self, event: dict[str, Any]) -> None:
        self._tell_server(event)

    def _tell_server(self, event: dict[str, Any]) -> None:
        if self.gone:
            return
        if event["type"] == "websocket.disconnect":
            self.gone = True
            self._writable.set()
        self._inbox.append(event)
        self._news.set()

    async def _receive(self) -> dict[str, Any]:
        while not self._inbox:
            self._news = anyio.Event()
            await self._news.wait()
        return self._inbox.popleft()

    @property
    def _free(self) -> bool:
        return self.down.size < self.quality.buffer

    def _drained(self) -> None:
        if self._free or self.gone:
            self._writable.set()

    async def _until_free(self) -> None:
        while not (self._free or self.gone):
            self._writable = anyio.Event()
            await self._writable.wait()

    async def _send(self, message: Any) -> None:
        await self._until_free()
        if self.gone:
            raise ConnectionResetError("the peer is gone")
        if message["type"] == "websocket.close":
            self.down.put(message["code"])
            self._tell_server(
                {"type": "websocket.disconnect", "code": message["code"], "reason": ""}
            )
        else:
            self._put(message["bytes"])

    def _write(self, encoded: bytes) -> bool:
        if self.gone or not self._free:
            return False
        self._put(payload(encoded))
        return True

    def _put(self, frame: bytes) -> None:
        self._leaving(self, frame)
        if self.down.dead:
            self.down.size += len(frame)
        else:
            self.down.put(frame, len(frame))

    def abort(self) -> None:
        """The server cuts the connection."""
        if not self.gone:
            self._tell_server({"type": "websocket.disconnect", "code": LOST})
            self._loop.call_later(self._latency(), self._tell_client, LOST)

    def die(self) -> None:
        """The server process is killed: its kernel resets the connection."""
        self.gone = True
        self.up.cut()
        self.down.cut()
        self._loop.call_later(self._latency(), self._tell_client, LOST)
