"""What a room and its connections need from outside: clock, ids, store, limits, metrics, tasks."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

from crdt_chat.config import Config, Limits
from crdt_chat.errors import LocalFault
from crdt_chat.server.audit.refusals import Refusals
from crdt_chat.server.process.background import Background
from crdt_chat.server.process.metrics import Metrics
from crdt_chat.server.rooms.turn import Aside, Beside, Slices
from crdt_chat.server.rooms.watching import Watching
from crdt_chat.server.rooms.words import broken
from crdt_chat.server.sockets.addresses import Addresses
from store.protocol import Store

log = logging.getLogger(__name__)

Arguments = TypeVarTuple("Arguments")

Frame = bytes
"""A name for it where `bytes` is a count."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The only way the server reads time: `now` in ms since the epoch, `monotonic` in seconds."""

    now: Callable[[], int]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Ids:
    """The only way the server makes ids, injectable in tests.

    origin: 16 random bytes · number: a connection's number · client: a Yjs client id below 2^16 ·
    text: a UUIDv7 for what people see.
    """

    origin: Callable[[], bytes]
    number: Callable[[], int]
    client: Callable[[], int]
    text: Callable[[], str]


@dataclass(slots=True)
class CommitQueue:
    """All that waits for a commit in this process; over its limits sockets are not read."""

    updates_limit: int
    bytes_limit: int
    metrics: Metrics
    updates: int = 0
    bytes: int = 0
    _room: anyio.Event = field(default_factory=anyio.Event)

    def add(self, size: int) -> None:
        """One update of `size` bytes was applied and waits."""
        self.updates += 1
        self.bytes += size
        self.metrics.queued(self.updates)

    def done(self, updates: int, size: int) -> None:
        """`updates` of `size` bytes in all were committed or discarded."""
        self.updates -= updates
        self.bytes -= size
        self.metrics.queued(self.updates)
        if not self.full:
            self._room.set()

    @property
    def full(self) -> bool:
        """Whether readers must wait."""
        return self.updates >= self.updates_limit or self.bytes >= self.bytes_limit

    async def wait(self) -> None:
        """Return once the queue has room."""
        while self.full:
            self._room = anyio.Event() if self._room.is_set() else self._room
            await self._room.wait()


Whose: TypeAlias = tuple[str, str]
"""Tenant and user."""

Share: TypeAlias = str | Whose | None
"""Everybody's, a tenant's or a user's."""


@dataclass(slots=True)
class StateShare:
    """State frames on their way to readers, in bytes, for the process; over `limit` joiners wait.

    A frame that many readers share is in memory once, and counts once. One tenant's may be three quarters,
    one user's one, before theirs wait: readers who take theirs slowly on purpose keep nobody else out.
    """

    limit: int
    _bytes: Counter[Share] = field(default_factory=Counter)
    _readers: Counter[tuple[int, Share]] = field(default_factory=Counter)
    _room: anyio.Event = field(default_factory=anyio.Event)

    @property
    def bytes(self) -> int:
        """What is on its way to anybody."""
        return self._bytes[None]

    def take(self, frame: Frame, whose: Whose) -> None:
        """Somebody (tenant and user) is sent this frame, and keeps it until `give`."""
        for share in (None, whose[0], whose):
            self._readers[id(frame), share] += 1
            if self._readers[id(frame), share] == 1:
                self._bytes[share] += len(frame)

    def give(self, frame: Frame, whose: Whose) -> None:
        """One reader's copy has left our memory, or the reader is gone."""
        for share in (None, whose[0], whose):
            self._readers[id(frame), share] -= 1
            if not self._readers[id(frame), share]:
                del self._readers[id(frame), share]
                self._bytes[share] -= len(frame)
                if not self._bytes[share]:
                    del self._bytes[share]
        self._room.set()

    async def wait(self, whose: Whose) -> None:
        """Return once another frame may be made for this tenant's user."""
        while self._is_full(whose):
            self._room = anyio.Event() if self._room.is_set() else self._room
            await self._room.wait()

    def _is_full(self, whose: Whose) -> bool:
        limit, taken = self.limit, self._bytes
        return bool(taken) and (
            taken[None] >= limit or taken[whose[0]] >= limit * 3 / 4 or taken[whose] >= limit / 4
        )


@dataclass(slots=True)
class Services:
    """One server's parts, built once by the composition root (app.py).

    stamps: the awareness clock (ms) of this moment; the time of day, until the store is asked.
    aside does what would hold the loop; slices says what is small enough to be done at once. moderators: who
    tells them, put in by the root before any room is open.
    """

    config: Config
    limits: Limits
    clock: Clock
    ids: Ids
    store: Store
    metrics: Metrics
    queue: CommitQueue
    tasks: TaskGroup
    aside: Aside = field(default_factory=Beside)
    slices: Slices = field(init=False)
    states: StateShare = field(init=False)
    addresses: Addresses = field(init=False)
    refusals: Refusals = field(default_factory=Refusals)
    moderators: Watching = field(init=False)
    stamps: Callable[[], int] = field(init=False)
    _background: Background = field(init=False)

    def __post_init__(self) -> None:
        self.stamps = self.clock.now
        self._background = Background(self.tasks)
        self.slices = Slices.of(self.limits.slice_ms)
        self.states = StateShare(self.limits.state_frames_bytes)
        self.addresses = Addresses(self.limits.connections_per_address)

    def start(
        self,
        work: Callable[[*Arguments], Awaitable[object]],
        *arguments: *Arguments,
        fail: Callable[[LocalFault], object] | None = None,
    ) -> None:
        """Go on with `work` for a page or a person in the background, however it ends.

        Out of the group of tasks its fault would end everybody's server: it is logged, and `fail`, what
        breaks down the page that it was for, is told. Work that the whole server needs, such as watching
        whose token has expired, is not started here: it must not be missing unnoticed.
        """
        self._background.start(_kept_apart, work, arguments, fail)


async def _kept_apart(
    work: Callable[[*Arguments], Awaitable[object]],
    arguments: tuple[*Arguments],
    fail: Callable[[LocalFault], object] | None,
) -> None:
    try:
        await work(*arguments)
    except Exception as fault:
        log.exception("a task in the background has failed")
        if fail is not None:
            fail(broken(fault))
