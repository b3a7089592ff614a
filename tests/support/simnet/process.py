"""One life of the server: production rooms and connections, to be killed or stopped at any moment."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from random import Random

import anyio

from crdt_chat.config import Config, Limits
from crdt_chat.errors import Restarting
from crdt_chat.page.ids import uuid7
from crdt_chat.server.connections.connection import Visit, serve
from crdt_chat.server.moderation.moderators import Moderators
from crdt_chat.server.process.metrics import Metrics
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.rooms.services import Clock, CommitQueue, Ids, Services
from crdt_chat.server.rooms.turn import Aside

from .disk import Disk, Handle
from .link import Link
from .turns import SlowAside
from .wire import Entrance, WireLink, Wires

COMMIT_S, DRAIN_S, STOP_S = 1.5, 2.0, 5.0


def seeded_ids(rng: Random, clock: Clock) -> Ids:
    """Ids that depend on a seed only; connections are numbered from 1 in each life."""
    numbers = iter(range(1, 1 << 30))
    return Ids(
        origin=lambda: rng.randbytes(16),
        number=lambda: next(numbers),
        client=lambda: rng.randrange(1, 1 << 16),
        text=lambda: uuid7(clock.now(), rng.randbytes(10)),
    )


def services_of(
    config: Config, store: Handle, clock: Clock, ids: Ids, tasks: anyio.abc.TaskGroup, aside: Aside
) -> Services:
    """The parts of one server, as server/app.py puts them together."""
    limits = config.limits_in_force()
    metrics = Metrics("simulated")
    queue = CommitQueue(limits.commit_queue_updates, limits.commit_queue_bytes, metrics)
    services = Services(config, limits, clock, ids, store, metrics, queue, tasks, aside)
    services.moderators = Moderators(services)
    return services


def config_of(tenant: str, limits: Limits) -> Config:
    """One open tenant under these limits."""
    return Config(open_tenants=(tenant,), limits=limits)


class Process:
    """A running server. Everything in memory goes with it. wires: it can be reached by bytes."""

    def __init__(
        self, disk: Disk, config: Config, clock: Clock, rng: Random, wires: Wires | None = None
    ) -> None:
        self.handle = Handle(disk)
        self._config = config
        self._wires = wires
        self.entrance: Entrance | None = None
        self._ports = itertools.count(1)
        self._clock = clock
        self._aside = SlowAside(rng, disk.counts)
        self._ids = seeded_ids(rng, clock)
        self._links: dict[Link, None] = {}
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._started = anyio.Event()
        self.alive = True
        self.fault: BaseException | None = None
        self.rooms: Rooms
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it accepts connections."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._started.wait()

    async def _run(self) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    self.tasks = tasks
                    services = services_of(
                        self._config, self.handle, self._clock, self._ids, tasks, self._aside
                    )
                    self.rooms = Rooms(services)
                    tasks.start_soon(self.rooms.housekeep)
                    if self._wires is not None:
                        self.entrance = Entrance(self.rooms, self._wires)
                        tasks.start_soon(self.entrance.guard.run)
                    self._started.set()
                    await anyio.sleep_forever()
        except BaseException as fault:  # noqa: BLE001 - the test asks why the server has ended
            self.fault = fault
        finally:
            self.alive = False
            self._started.set()
            self._over.set()

    def accept(self, link: Link, visit: Visit) -> None:
        """A connection has come in."""
        self._links[link] = None
        if isinstance(link, WireLink):
            assert self.entrance is not None
            link.plug(self.entrance, visit, next(self._ports))
        else:
            self.tasks.start_soon(self._serve, link, visit)

    async def _serve(self, link: Link, visit: Visit) -> None:
        try:
            with contextlib.suppress(OSError):
                await serve(link.channel, visit, self.rooms)
        finally:
            if not link.gone:
                link.abort()
            self._links.pop(link, None)

    async def kill(self) -> None:
        """kill -9: from this moment it changes nothing any more, neither on disk nor for anybody."""
        self.handle.dead = True
        self.alive = False
        for link in self._links:
            link.die()
        served = [] if self.entrance is None else self.entrance.kill()
        self._scope.cancel()
        await self._over.wait()
        await asyncio.gather(*served, return_exceptions=True)

    async def stop(self) -> None:
        """SIGTERM, as server/run.py and app.py do it."""
        self.alive = False
        with anyio.move_on_after(COMMIT_S):
            await self.rooms.close()
        with anyio.move_on_after(DRAIN_S):
            await self.rooms.dismiss(Restarting("the server is restarting"))
        with anyio.move_on_after(STOP_S):
            await self.rooms.close()
        await self.kill()


@contextlib.asynccontextmanager
async def running(process: Process) -> AsyncIterator[Process]:
    """The process for the length of the block; it must not have ended by itself."""
    await process.start()
    try:
        yield process
        if process.fault is not None:
            raise process.fault
    finally:
        await process.kill()
