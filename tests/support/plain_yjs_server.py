"""A minimal y-websocket server without a gate, a store or control frames: what stock servers do."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pycrdt
from waiting import PATIENCE_S
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from crdt_chat.protocol import wire

PAGE = "demo/a page"
PATH = "/ws/demo/a%20page"
"""The page that tests open on it, and the path by which it is asked for."""


class PlainServer:
    """One document per path, kept as long as the object lives. Stop and start it at will."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.docs: dict[str, pycrdt.Doc[Any]] = {}
        self.paths: list[str] = []
        self.frames: list[bytes] = []
        self.goodbyes: list[int | None] = []
        self.close_with: int | None = None
        self._peers: dict[str, set[ServerConnection]] = {}
        self._server: Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The server's address, for connect()."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> "PlainServer":
        """Listen, on the same port as before."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE_S)
        return self

    def stop(self) -> None:
        """Drop every connection and listen no more; the documents stay."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE_S)

    def close(self) -> None:
        """Stop, and end the thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def content(self, path: str) -> dict[str, Any]:
        """What the document of a path holds, by root, as plain values."""
        doc = self.docs[path]
        return {
            name: doc.get(name, type=pycrdt.Map).to_py() for name in ("annotations", "comments")
        }

    async def _start(self) -> None:
        self._server = await serve(self._handle, "127.0.0.1", self.port, max_size=None)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            for peers in self._peers.values():
                for peer in peers:
                    peer.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        if self.close_with is not None:
            await socket.close(self.close_with, "the test says so")
            return
        path = socket.request.path.partition("?")[0]
        doc = self.docs.setdefault(path, pycrdt.Doc())
        peers = self._peers.setdefault(path, set())
        peers.add(socket)
        try:
            await socket.send(wire.step1(doc.get_state()))
            async for frame in socket:
                assert isinstance(frame, bytes)
                self.frames.append(frame)
                await self._take(doc, peers - {socket}, socket, frame)
        except ConnectionClosed:
            pass  # stop() aborts connections: that is what the tests are about
        finally:
            peers.discard(socket)
            self.goodbyes.append(socket.close_code)

    async def _take(
        self,
        doc: pycrdt.Doc[Any],
        others: set[ServerConnection],
        socket: ServerConnection,
        frame: bytes,
    ) -> None:
        message = wire.decode(frame)
        if isinstance(message, wire.SyncStep1):
            await socket.send(wire.step2(doc.get_update(message.state_vector)))
        elif isinstance(message, wire.SyncStep2 | wire.Update):
            doc.apply_update(message.update)
            broadcast(others, wire.update(message.update))
        else:
            broadcast(others, frame)


@contextmanager
def plain_server() -> Iterator[PlainServer]:
    """A started server, closed at the end."""
    server = PlainServer().start()
    try:
        yield server
    finally:
        server.close()
