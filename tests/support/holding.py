"""How long the loop is held while something big happens to a page: a server, watched from its own loop."""

import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from crdt_chat.config import Config
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.update import Item, encode
from crdt_chat.protocol import wire
from crdt_chat.server.app import App, build
from crdt_chat.server.connections.connection import Visit, serve
from crdt_chat.server.rooms.snapshots import snapshot
from store import open_store

BIG, OTHER = PageKey("open", "big"), PageKey("open", "other")
BEAT_S = 0.001
NOW = 1_763_000_000_000


@dataclass
class Watch:
    """The longest time between two beats of the loop, per phase: ms of wall time and of the process's CPU.

    The CPU tells what we held ourselves: while another program has the core it does not pass. served:
    ms for each update of the other page until it was durable.
    """

    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    served: dict[str, list[float]] = field(default_factory=dict)
    _wall: float = 0.0
    _cpu: float = 0.0
    _phase: str = ""

    async def run(self) -> None:
        """Beat until cancelled."""
        wall, cpu = time.perf_counter(), time.process_time()
        while True:
            await anyio.sleep(BEAT_S)
            now, used = time.perf_counter(), time.process_time()
            self._wall, self._cpu = max(self._wall, now - wall), max(self._cpu, used - cpu)
            wall, cpu = now, used

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """Watch this block under a name."""
        await anyio.sleep(BEAT_S * 3)
        self._wall = self._cpu = 0.0
        self._phase = name
        yield
        await anyio.sleep(BEAT_S * 3)
        self.phases[name] = (self._wall * 1000, self._cpu * 1000)

    def note(self, ms: float) -> None:
        """An update of the other page was durable after so long."""
        self.served.setdefault(self._phase, []).append(ms)


class Line:
    """The server's end of a connection in memory; pycrdt's Channel."""

    path = "memory"

    def __init__(
        self, inward: MemoryObjectReceiveStream[bytes], outward: MemoryObjectSendStream[bytes]
    ) -> None:
        self._inward, self._outward = inward, outward

    async def send(self, message: bytes) -> None:
        """To the client."""
        await self._outward.send(message)

    async def __anext__(self) -> bytes:
        try:
            return await self._inward.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class Client:
    """A client that has prepared all that it sends and looks at nothing it need not."""

    def __init__(
        self, inward: MemoryObjectReceiveStream[bytes], outward: MemoryObjectSendStream[bytes]
    ) -> None:
        self._inward, self._outward = inward, outward
        self.sent = 0

    async def send(self, frame: bytes) -> None:
        """One frame; what carries an update is counted."""
        self.sent += frame[:2] in (b"\x00\x01", b"\x00\x02")
        await self._outward.send(frame)

    async def until(self, kind: type[wire.Message]) -> wire.Message:
        """The next message of this kind."""
        while True:
            message = wire.decode(await self._inward.receive())
            if isinstance(message, kind):
                return message

    async def saved(self) -> None:
        """Return once all that was sent is durable. Raises AssertionError if something is refused."""
        while True:
            message = await self.until(wire.Control)
            assert isinstance(message, wire.Control)
            assert message.body["type"] != "refused", message.body["operations"]
            if message.body["type"] == "saved" and message.body["frames"] == self.sent:
                return


@asynccontextmanager
async def visiting(app: App, key: PageKey, user: str) -> AsyncIterator[Client]:
    """A connection to a page, for the length of the block."""
    up, from_client = anyio.create_memory_object_stream[bytes](1000)
    down, from_server = anyio.create_memory_object_stream[bytes](1000)
    visit = Visit(key, Grant(key.tenant, user, user, Role.EDITOR), speaks_control=True)
    with up, from_client, down, from_server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, Line(from_client, down), visit, app.rooms)
            yield Client(from_server, up)
            up.close()
            tasks.cancel_scope.cancel()


def offline_batch(seed: random.Random, threads: int, replies: int, body: int) -> bytes:
    """The step 2 of one who wrote so many annotations with a comment, and so many further replies, offline.

    body: characters of a comment.
    """
    client, clock = 2**20 + seed.getrandbits(32), count()
    items: list[Item] = []

    def add(root: str, name: str, value: dict[str, object]) -> None:
        base = {"creator": "ada", "created": NOW}
        items.append(Item(client, next(clock), 1, None, root, name, (base | value,)))

    names = [f"{seed.getrandbits(128):032x}" for _ in range(threads)]
    quote = {"type": "TextQuoteSelector", "exact": "q" * 60, "prefix": "p" * 32, "suffix": "s" * 32}
    for name in names:
        add("annotations", name, {"target": {"selector": [quote]}, "broadcastId": name})
        add("comments", f"{name}/0", {"body": "b" * body, "broadcastId": name})
    for number in range(replies):
        add("comments", f"{names[number % threads]}/r{number}", {"body": "r" * body})
    return encode({client: items}, {})


def writing(seed: random.Random) -> Iterator[bytes]:
    """One annotation after the other."""
    client = 2**20 + seed.getrandbits(32)
    for clock in count():
        value = {"creator": "bob", "created": NOW, "target": {"selector": []}}
        item = Item(client, clock, 1, None, "annotations", f"b{client}-{clock}", (value,))
        yield wire.update(encode({client: [item]}, {}))


async def keep_writing(app: App, seed: random.Random, watch: Watch) -> None:
    """Somebody on another page writes and waits until it is durable, again and again."""
    async with visiting(app, OTHER, "bob") as bob:
        for update in writing(seed):
            began = time.perf_counter()
            await bob.send(update)
            await bob.saved()
            watch.note((time.perf_counter() - began) * 1000)
            await anyio.sleep(0.02)


@asynccontextmanager
async def watched(path: Path, seed: random.Random, watch: Watch) -> AsyncIterator[App]:
    """A server on this file, its loop watched, with somebody at work on another page."""
    store = open_store(path)
    try:
        async with (
            build(Config(open_tenants=("open",)), store) as app,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(watch.run)
            tasks.start_soon(keep_writing, app, seed, watch)
            await anyio.sleep(0.1)
            yield app
            tasks.cancel_scope.cancel()
    finally:
        await store.close()


async def play(path: Path, seed: random.Random, batch: bytes, watch: Watch) -> None:
    """The life of a big page: written offline, joined, edited, snapshotted, loaded again."""
    async with watched(path, seed, watch) as app, visiting(app, BIG, "ada") as ada:
        await ada.until(wire.SyncStep1)
        async with watch.phase("batch"):
            await ada.send(wire.step2(batch))
            await ada.saved()
        async with watch.phase("join"), visiting(app, BIG, "cleo") as cleo:
            await cleo.send(wire.step1(b"\x00"))
            await cleo.until(wire.SyncStep2)
        async with watch.phase("edits and snapshot"), visiting(app, BIG, "bob") as bob:
            for update, _ in zip(writing(seed), range(60), strict=False):
                await bob.send(update)
                await bob.saved()
            room = app.rooms.find(BIG)
            assert room is not None
            await room.finish()
            assert await snapshot(room, leaving=True)
    async with (
        watched(path, seed, watch) as app,
        watch.phase("load"),
        visiting(app, BIG, "dan") as dan,
    ):
        await dan.send(wire.step1(b"\x00"))
        await dan.until(wire.SyncStep2)
