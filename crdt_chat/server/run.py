"""Run the server process: sockets, uvicorn, signals, and a graceful stop within seconds."""

import contextlib
import ctypes
import gc
import logging
import math
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette

from crdt_chat.config import Config
from crdt_chat.server.admin import admin_socket
from crdt_chat.server.app import App, build
from crdt_chat.server.process.stopping import Stop
from crdt_chat.server.sockets.http import connections_of
from crdt_chat.server.sockets.intake import Intake
from crdt_chat.server.sockets.pulse import Shared
from crdt_chat.server.sockets.websocket import sockets_of
from store import open_store
from store.protocol import Store

log = logging.getLogger(__name__)

TRIM_S = 15.0
"""How often freed memory is given back; it takes a millisecond or so."""

BACKLOG = 2_048


DATE_S = 1.0
"""How often uvicorn writes the time that the headers of its answers tell."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the stop is ours."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()
        self._leaving = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, then tell that requests are answered."""
        await super().startup(sockets=sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """As uvicorn does, but told to end: not ten times a second, each on a core that has slept."""
        longest = DATE_S if self.config.date_header else math.inf
        while not await self.on_tick(0):
            with anyio.move_on_after(longest):
                await self._leaving.wait()

    def end(self) -> None:
        """Stop accepting, end the connections and return from `serve`."""
        self.should_exit = True
        self._leaving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


def serve(config: Config, announce: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is called with the URL once requests are answered.

    What is still under way `limits.stop_s` after the signal is cut, and the process with it.

    Raises OSError where the address cannot be had, store.errors.StoreError where the file cannot.
    """
    with contextlib.closing(_listen(config.host, config.port)) as listening:
        stop = Stop(config.limits.stop_s)
        store = open_store(config.db)
        options = {"use_uvloop": _has_uvloop()}
        anyio.run(_main, config, store, listening, announce, stop, backend_options=options)
        stop.served()


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401  # optional: missing on Windows
    except ImportError:
        return False
    return True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening


async def _main(
    config: Config,
    store: Store,
    listening: socket.socket,
    announce: Callable[[str], None],
    stop: Stop,
) -> None:
    try:
        async with (
            build(config, store) as app,
            _local(app, config),
            anyio.create_task_group() as tasks,
        ):
            server = _Server(_uvicorn_config(app, config))
            tasks.start_soon(_stop_on_signal, app, server, stop)
            url = _url(listening, secure=bool(config.tls_cert))
            tasks.start_soon(_announce_when_ready, server, announce, url)
            tasks.start_soon(_give_memory_back)
            # Modules and routes stay as they are: to look through them holds the loop for 20 ms.
            gc.freeze()
            await server.serve(sockets=[listening])
            tasks.cancel_scope.cancel()
    finally:
        gc.unfreeze()
        await store.close()


async def _give_memory_back() -> None:
    """Let the system have what pages at rest have freed: glibc keeps it in small pieces otherwise."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return  # another C library, which does without
    while True:
        await anyio.sleep(TRIM_S)
        # In a thread: ctypes lets go of the interpreter's lock meanwhile.
        await anyio.to_thread.run_sync(trim, 0)


@contextlib.asynccontextmanager
async def _local(app: App, config: Config) -> AsyncIterator[None]:
    """Serve the admin API on the local socket, where the system lets us have one."""
    with contextlib.ExitStack() as stack:
        try:
            bound = stack.enter_context(admin_socket.listening(config.db))
        except OSError as error:
            log.warning("no local socket: stop the server to change tenants", exc_info=error)
            yield
            return
        local = _Server(_local_config(app.local))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(local.serve, [bound])
            await local.ready.wait()
            try:
                yield
            finally:
                local.end()


def _local_config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )


def _uvicorn_config(app: App, config: Config) -> uvicorn.Config:
    limits = config.limits_in_force()
    intake = Intake(
        limits.large_frames_bytes, limits.first_batch_bytes, patience_s=limits.large_frame_s
    )
    shared = Shared(
        app, intake, ordinary=limits.frame_bytes, ping_s=limits.ping_s, pong_s=limits.pong_s
    )
    socket: Any = sockets_of(shared)
    http: Any = connections_of(socket, limits.request_s)
    return uvicorn.Config(
        app,
        http=http,
        ws=socket,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=config.tls_cert or None,
        ssl_keyfile=config.tls_key or None,
    )


def _url(listening: socket.socket, *, secure: bool) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _announce_when_ready(server: _Server, announce: Callable[[str], None], url: str) -> None:
    await server.ready.wait()
    announce(url)


async def _stop_on_signal(app: App, server: _Server, stop: Stop) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        stopping = False
        async for number in signals:
            if stopping:
                server.force_exit = True
                break
            stopping = True
            stop.begin()
            log.info("stopping", extra={"signal": number.name})
            for accepting in server.servers:
                accepting.close()
            await app.drain()
            server.end()
