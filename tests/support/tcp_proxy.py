"""A TCP proxy on the loopback that can go silent, cut or reset what runs through it."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType

from waiting import PATIENCE_S

HOST = "127.0.0.1"
CHUNK = 64 * 1024


class _Link:
    """One client connection and its twin to the server."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far

    def close(self, *, reset: bool) -> None:
        for writer in (self.near, self.far):
            if reset:
                # Linger of zero: close sends RST instead of FIN.
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class TcpProxy:
    """Forwards `port` to `target` from its own thread; a context manager.

    All methods may be called from any thread. Bytes that arrive while paused are held in the
    kernel, as on a network that has gone silent.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self.to_server = 0
        self.to_client = 0

    def __enter__(self) -> "TcpProxy":
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, job: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(job, self._loop).result(PATIENCE_S)

    async def _open(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        self._server.close()
        await self._drop(reset=False)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # What is aborted is closed in the loop's next turns.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, near)
        finally:
            # Also where it was ended before there was a link.
            near.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        if self._refusing:
            near.transport.abort()
            return
        try:
            far_reader, far = await asyncio.open_connection(HOST, self._target)
        except OSError:
            near.transport.abort()  # as if the server itself had refused
            return
        link = _Link(near, far)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(reader, far, "to_server"), self._pump(far_reader, near, "to_client")
            )
        finally:
            self._links.discard(link)
            link.close(reset=False)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counter: str
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(CHUNK):
                await self._flowing.wait()
                setattr(self, counter, getattr(self, counter) + len(chunk))
                sink.write(chunk)
                await sink.drain()
        with contextlib.suppress(ConnectionError, OSError, RuntimeError):
            sink.write_eof()

    def pause(self) -> None:
        """The network goes silent: connections stay, nothing gets through."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        """What was held flows again."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def refuse(self, refusing: bool = True) -> None:
        """Whether new connections are dropped at once."""
        self._refusing = refusing

    def cut(self) -> None:
        """Close every connection on both sides without a word (FIN)."""
        self._call(self._drop(reset=False))

    def reset(self) -> None:
        """Reset every connection on both sides (RST)."""
        self._call(self._drop(reset=True))

    async def _drop(self, *, reset: bool) -> None:
        for link in list(self._links):
            link.close(reset=reset)


@contextlib.contextmanager
def proxied(target: int) -> Iterator[TcpProxy]:
    """A running proxy to a loopback port."""
    with TcpProxy(target) as proxy:
        yield proxy
