"""One simulated history of a server and its clients, all of it from one seed.

Production code: sessions, gate, rooms, commits, outboxes. Simulated: clock, sockets, disk, people.
"""

import asyncio
import contextlib
import itertools
import logging
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import anyio
from contents import canonical
from simulation.people import CAST
from simulation.room import content_of

from crdt_chat.config import Limits
from crdt_chat.errors import EpochChanged, Forbidden, Malformed, Restarting, TryLater
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.connections.connection import Visit
from crdt_chat.server.rooms import peer as peers
from crdt_chat.server.rooms import snapshots
from crdt_chat.server.rooms.loading import load_page
from crdt_chat.server.rooms.services import Clock
from crdt_chat.server.sockets import reading
from store.records import Appended, EventRow, PageCommit, Rewrite

from .checks import Durable, Watcher, check_leaving, differences
from .client import Client
from .disk import Disk
from .link import LOST, Link, Quality
from .process import Process, config_of
from .wire import WireLink, Wires

TENANT = "t"
EPOCH_MS = 1_750_000_000_000
EXPECTED = {
    LOST,
    TryLater.close_code,
    Restarting.close_code,
    Forbidden.close_code,
    EpochChanged.close_code,
}
"""What an honest client may be told when its connection ends."""

QUIET_S = 100.0
"""Long enough for every patience: gaps 60 s, awareness 30 s, pings 25 s, rebuilds 5 s."""

GONE_S = 35.0
"""Long enough for a lost connection to be found by its ping, and its grace to be over."""

SLACK = 4
"""State frames beyond the outbox limit: one exempt, a few asked for by the client itself."""


class World:
    """Everything there is. `failures` holds what went wrong, the first one first."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._loop_failed)
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self.failures: list[BaseException] = []
        self.fresh = itertools.count(1)
        self.pages = [PageKey(TENANT, f"p{n}") for n in range(rng.choice([1, 1, 2]))]
        self.durable: defaultdict[str, Durable] = defaultdict(Durable)
        self.disk = Disk(rng, self._became_durable, slowest=rng.choice([0.0, 0.004, 0.1]))
        self.disk.counts = self.counts
        self.disk.watch_rewrite = self._was_rewritten
        self.disk.watch_note = lambda note: self.durable[note.page].ruled.noted.append(note)
        self.digest = 0
        self.limits = replace(
            Limits(),
            outbox_bytes=rng.choice([1 << 20, 3_000, 400]),
            page_idle_s=rng.choice([60.0, 2.0]),
            page_rest_s=rng.choice([60.0, 1.0]),
            commit_queue_updates=rng.choice([4_096, 4_096, 3]),
            presence_list_users=rng.choice([50, 2]),
            state_frames_bytes=rng.choice([256 << 20, 20_000]),
            # What is big is done in turns beside the loop: all that comes, the larger half, nothing.
            slice_ms=rng.choice([50.0, 0.2, 0.01]),
        )
        self.wall_offset = 0
        self.went_back = False
        self.broke = False
        self.config = config_of(TENANT, self.limits)
        self.clock = Clock(now=self.now, monotonic=self.loop.time)
        self.clients: list[Client] = []
        self.where: dict[Client, PageKey] = {}
        self.links: dict[Link, Client] = {}
        self.process: Process | None = None
        self.watchers: list[Watcher] = []
        self.quality = Quality(slowest=rng.choice([0.005, 0.05, 0.4]))
        self.writing = 0
        self.wires = None
        if rng.random() < 0.5:
            self.counts["worlds of bytes"] += 1
            roles = {(TENANT, user): role for user, role in CAST.items()}
            ordinary, places = rng.choice([1 << 20, 30, 30]), rng.choice([1, 2])
            self.wires = Wires(Revocations(roles=roles), ordinary, places)
        # Each look at the CPU's time finds that so much has gone: sockets have to rest.
        ticks, each = itertools.count(), rng.choice([0.0, 0.0005, 0.01])
        reading.time = SimpleNamespace(thread_time=lambda: next(ticks) * each)
        # Snapshots are due after so many rows; few, so that they happen here.
        snapshots.ROWS = rng.choice([500, 12])
        snapshots.IDLE_ROWS = rng.choice([50, 1])
        # Every state counts in the share of states that are on their way.
        peers.LARGE_STATE = 1

    def now(self) -> int:
        """Wall clock in ms."""
        return EPOCH_MS + self.wall_offset + int(self.loop.time() * 1000)

    # What is noticed

    def note(self, about: str) -> None:
        self.log.append(f"{self.loop.time():9.3f} {about}")

    def failed(self, error: BaseException) -> None:
        self.note(f"FAILED {error!r}")
        self.failures.append(error)

    def _loop_failed(self, _loop: Any, context: dict[str, Any]) -> None:
        self.failed(context.get("exception") or AssertionError(context["message"]))

    def _became_durable(self, commit: PageCommit, result: Appended) -> None:
        self.counts["commits"] += bool(commit.entries)
        self.counts["rebuilds"] += bool(commit.usage)
        try:
            self.durable[commit.page].add(commit, result)
        except AssertionError as error:
            self.failed(error)

    def _was_rewritten(self, page: str, rewrite: Rewrite) -> None:
        self.counts["epochs"] += 1
        self.note(f"{page} begins a new epoch")
        try:
            self.durable[page] = self.durable[page].rewritten(rewrite.entry)
            for watcher in self.watchers:
                # The event log begins anew: what was not told by now is told to nobody.
                watcher.known = len(watcher.durable.events)
        except AssertionError as error:
            self.failed(error)

    def leaving(self, link: Link, frame: bytes) -> None:
        """See Link: called with each frame the moment the server lets go of it."""
        client = self.links[link]
        # Not the bytes: in a pycrdt Doc the order of a map's keys is another each time.
        sent = f"{self.loop.time()} {client.name} {len(frame)}"
        self.digest = zlib.crc32(sent.encode(), self.digest)
        if client.attacker:
            return
        try:
            kind = check_leaving(link, frame, self.durable[self.where[client].page])
            self.counts[kind] += 1
        except AssertionError as error:
            self.failed(error)

    def told(self, client: Client, code: int) -> None:
        """A connection of this client has ended with this code."""
        self.note(f"{client.name} is told {code}")
        self.counts[f"closed with {code}"] += 1
        # Who happens to touch a broken page is taken for the one who broke it (design 4).
        blamed = code == Malformed.close_code and self.broke
        if code not in EXPECTED and not client.attacker and not blamed:
            self.failed(AssertionError(f"{client.name}, who is honest, is told {code}"))

    def check(self) -> None:
        """After every step: nothing failed, nothing has grown without bound."""
        if self.process is not None and self.process.fault is not None:
            self.failed(self.process.fault)
        if self.failures:
            raise self.failures[0]
        if self.process is None or not self.process.alive:
            return
        queue = self.process.rooms.services.queue
        assert queue.updates >= 0, "the commit queue counts below zero"
        most = queue.updates_limit + len(self.links) + self.writing
        assert queue.updates <= most, f"{queue.updates} updates wait for a commit"
        for room in self.process.rooms:
            for peer in room.peers.values():
                state = self.durable[room.key.page].size + 10_000
                held, most = peer.outbox.size, self.limits.outbox_bytes + SLACK * state
                assert held <= most, f"{held} bytes wait for one reader"

    # The server

    async def boot(self) -> None:
        """Start a server where none runs."""
        self.process = Process(self.disk, self.config, self.clock, self.rng, self.wires)
        await self.process.start()
        self.watchers.clear()
        if self.rng.random() < 0.5:
            for key in self.pages:
                self.process.tasks.start_soon(self._watch, self.process, key)

    async def _watch(self, process: Process, key: PageKey) -> None:
        try:
            async with process.rooms.open(key) as room:
                watcher = Watcher(self.durable[key.page])
                room.listeners.add(watcher.took)
                room.listeners.add(self._told_event)
                self.watchers.append(watcher)
                await anyio.sleep_forever()
        except TryLater:
            return  # the disk did not answer: nobody watches this time

    def _told_event(self, _row: EventRow) -> None:
        self.counts["events told"] += 1

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            await self.process.kill()
            self.process = None

    async def stop(self) -> None:
        """A graceful stop."""
        if self.process is not None:
            process, self.process = self.process, None
            await process.stop()

    def connect(self, client: Client) -> Link | None:
        """A client dials: a link, or None where nobody answers."""
        if self.process is None or not self.process.alive:
            return None
        kind = Link if self.wires is None else WireLink
        link = kind(client, self.rng, self.quality, self.leaving)
        self.links[link] = client
        visit = Visit(
            self.where[client], client.grant, speaks_control=client.caps, watches=client.caps
        )
        self.process.accept(link, visit)
        return link

    # People

    def sit_down(self, user: str) -> Client:
        """A new client of this person."""
        grant = Grant(TENANT, user, user.title(), CAST[user])
        caps = self.rng.random() < 0.5
        echoes = not caps and self.rng.random() < 0.3
        name = f"{user}-{next(self.fresh)}{'+' if caps else ''}"
        client = Client(self, name, grant, caps=caps, echoes=echoes)
        self.clients.append(client)
        self.where[client] = self.rng.choice(self.pages)
        beside = [
            one
            for one in self.clients
            if one.grant == grant and self.where[one] == self.where[client] and one is not client
        ]
        # A Python program, whose Provider echoes, is no tab of a browser.
        tabs = [one for one in (client, *beside[:1]) if not (one.attacker or one.echoes)]
        if len(tabs) == 2 and self.rng.random() < 0.5:
            client.share(beside[0])
        client.dial()
        return client

    # The end

    async def settle(self) -> None:
        """All faults end, everybody comes online, time passes."""
        self.note("--- quiet ---")
        disk = self.disk
        disk.full, disk.fails, disk.lies, disk.raises = False, 0.0, 0.0, 0.0
        self.quality.buffer = 64 * 1024
        if self.process is None:
            await self.boot()
        for client in self.clients:
            client.wanted = True
            if client.link is not None:
                client.link.down.resume()
            client.dial()
        await anyio.sleep(QUIET_S)
        self.check()

    def compare(self) -> None:
        """Everybody shows what the disk has; presence and events are exact."""
        assert self.process is not None
        for key in self.pages:
            durable = self.durable[key.page]
            content = durable.content()
            here = [client for client in self.clients if self.where[client] == key]
            for client in here:
                assert client.online, f"{client.name} could not connect"
                shown = client.replica.content()
                assert canonical(shown) == canonical(content), (
                    f"{client.name}: {differences(shown, content)}"
                )
            for client in here:
                if client.caps and client.grant.role >= Role.MODERATOR:
                    wrong = durable.ruled.differences(client.desk, content)
                    assert not wrong, f"{client.name}, who moderates: {wrong}"
            self._compare_presence(key, here)
            room = self.process.rooms.find(key)
            if room is not None and here and (room.page.rests or not room.page._being.broken):
                # One that broke a moment ago is rebuilt when somebody touches it.
                assert canonical(content_of(room.page)) == canonical(content), "the room differs"
        for watcher in self.watchers:
            watcher.check()
        queue = self.process.rooms.services.queue
        assert (queue.updates, queue.bytes) == (0, 0), "the commit queue leaks"

    async def thin_out(self) -> None:
        """Half of them go, each in a way of her own; the others know it after a while."""
        for client in self.clients:
            if client.link is not None and self.rng.random() < 0.5:
                client.wanted = False
                how = self.rng.choice(["closes", "is reset", "vanishes"])
                self.note(f"{client.name} {how} for good")
                if how == "is reset":
                    client.link.reset()
                elif how == "vanishes":
                    client.link.vanish(None)
                client.hang_up()
        await anyio.sleep(GONE_S)
        for key in self.pages:
            here = [one for one in self.clients if one.online and self.where[one] == key]
            self._compare_presence(key, here)

    def _compare_presence(self, key: PageKey, here: list[Client]) -> None:
        assert self.process is not None
        room = self.process.rooms.find(key)
        if room is not None:
            tabs = Counter(client.grant.user for client in here)
            assert room.people.presence.tabs == tabs, f"{room.people.presence.tabs}, not {tabs}"
        users = {client.grant.user for client in here}
        for client in here:
            if client.caps:
                assert client.count == len(users), f"{client.name} counts {client.count}: {users}"
            others = {one.client for one in here if one is not client}
            if self.went_back:
                continue  # known weakness: see docs/protocol.md, awareness clocks
            if not client.caps:
                assert client.sees() == others, f"{client.name} sees {client.sees()} of {others}"

    async def empty(self) -> None:
        """Everybody leaves: nothing stays in memory. And a new process finds what there was."""
        assert self.process is not None
        for client in self.clients:
            client.wanted = False
            client.hang_up()
        if self.watchers:
            await self.stop()
            self.watchers.clear()
        else:
            await anyio.sleep(self.limits.page_idle_s + 10.0)
            kept = [
                f"{room.key.page}: dirty {room.dirty}, people {room.people.presence.tabs}, "
                f"announced {room.page.announced}, head {room.committed}"
                for room in self.process.rooms
            ]
            assert not kept, f"a page nobody is on stays in memory: {kept}"
            if self.wires is not None and self.process.entrance is not None:
                free = self.process.entrance.intake._free
                assert free == self.wires.places, f"{free} of {self.wires.places} places are free"
            assert self.process.rooms.services.states.bytes == 0, "the share of states leaks"
            tasks = [task for task in asyncio.all_tasks() if not task.done()]
            # This one, the process, its housekeeping (one to keep time, one to put pages away), the
            # one that ends what it has in the background, and the guard.
            most = 5 if self.wires is None else 6
            assert len(tasks) <= most, f"tasks are left over: {tasks}"
            await self.kill()
        for key in self.pages:
            handle = Process(self.disk, self.config, self.clock, self.rng).handle
            loaded = await load_page(handle, key, self.config.page, 1)
            expected = canonical(self.durable[key.page].content())
            assert canonical(content_of(loaded.page)) == expected, "a restart shows another page"


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """What a World sets in modules of the server is put back: other tests run in this process, too.

    Meanwhile the server logs nothing: it would tell of every fault that is injected.
    """
    kept = snapshots.ROWS, snapshots.IDLE_ROWS, peers.LARGE_STATE, reading.time
    log = logging.getLogger("crdt_chat")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        snapshots.ROWS, snapshots.IDLE_ROWS, peers.LARGE_STATE, reading.time = kept
