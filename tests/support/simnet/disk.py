"""What survives a crash, and the way there: late, failing, half failing, or gone in between.

A Disk outlives processes; a Handle is one process's store, which does nothing any more once the
process is dead.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

import anyio

from store.errors import Closed, Unavailable
from store.memory import MemoryStore
from store.moderation import ModerationEntry
from store.records import (
    Appended,
    CommitResult,
    Conflict,
    EventRow,
    Failed,
    LogRow,
    PageCommit,
    Rewrite,
    Rewritten,
    StoredPage,
)
from store.tenants import Trust

from .desks import Notes

T = TypeVar("T")

FULL = Unavailable("the disk is full")

Watch = Callable[[PageCommit, Appended], None]


@dataclass
class Disk:
    """The durable truth. `full`: nothing can be written. odds: of a commit's fates, of 1.

    fails: refused and not there. lies: said to have failed, and yet there. raises: the call itself
    breaks. refuses says of which commits the store takes no row. watch is called with all that
    becomes durable, the moment it does.
    """

    rng: Random
    watch: Watch = lambda _commit, _result: None
    watch_rewrite: Callable[[str, Rewrite], None] = lambda _page, _rewrite: None
    watch_note: Callable[[ModerationEntry], None] = lambda _entry: None
    kept: MemoryStore = field(default_factory=MemoryStore)
    refuses: Callable[[PageCommit], bool] = lambda _commit: False
    full: bool = False
    fails: float = 0.0
    lies: float = 0.0
    raises: float = 0.0
    slowest: float = 0.004
    counts: Counter[str] = field(default_factory=Counter)

    def latency(self) -> float:
        """Seconds that one access takes."""
        return self.rng.uniform(0.0, self.slowest)

    async def commit(self, commit: PageCommit) -> CommitResult:
        """Make one page's part durable, or not."""
        if self.refuses(commit):
            return Failed(ValueError("a row that cannot be stored"))
        fate = self.rng.random()
        if self.full or fate < self.fails:
            self.counts["failed commits"] += 1
            return Failed(FULL)
        result = (await self.kept.commit([commit]))[0]
        if isinstance(result, Appended):
            self.watch(commit, result)
        if fate < self.fails + self.lies:
            self.counts["commits that were only said to have failed"] += 1
            return Failed(FULL)
        return result


class Handle:
    """One process's way to the disk: what a Room and Rooms ask of a store."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.dead = False

    @property
    def moderation(self) -> Notes:
        """What was flagged and moderated."""
        return Notes(self, self._disk.kept.moderation, self._disk.watch_note)

    @property
    def trust(self) -> Trust:
        """The audit log; the disk's own, without its delays."""
        return self._disk.kept.trust

    async def _reach(self) -> None:
        """Before and after each access: the process may be killed at either point."""
        await anyio.sleep(self._disk.latency())
        if self.dead:
            raise Closed("the process is dead")

    async def reached(self, verb: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """What lies beside the pages: one access, which may fail before anything is done."""
        await self._reach()
        self._readable()
        return await verb(*arguments)

    async def commit(self, commits: Sequence[PageCommit]) -> list[CommitResult]:
        await self._reach()
        disk = self._disk
        if disk.rng.random() < disk.raises:
            raise Unavailable("the writer has ended")
        results = [await disk.commit(commit) for commit in commits]
        await self._reach()
        return results

    async def load(self, tenant: str, page: str) -> StoredPage | None:
        await self._reach()
        self._readable()
        return await self._disk.kept.load(tenant, page)

    async def read(self, tenant: str, page: str, after: int, limit: int = -1) -> list[LogRow]:
        await self._reach()
        self._readable()
        rows = await self._disk.kept.read(tenant, page, after, limit)
        self._disk.counts["catch-ups"] += 1
        await self._reach()
        return rows

    async def events(self, tenant: str, page: str, after: int, limit: int = -1) -> list[EventRow]:
        await self._reach()
        self._readable()
        rows = await self._disk.kept.events(tenant, page, after, limit)
        await self._reach()
        return rows

    def _readable(self) -> None:
        if self._disk.rng.random() < self._disk.raises:
            raise Unavailable("the disk does not answer")

    async def rewrite(
        self, tenant: str, page: str, expected_seq: int | None, rewrite: Rewrite
    ) -> Rewritten | Conflict:
        await self._reach()
        if self._disk.full:
            raise FULL
        result = await self._disk.kept.rewrite(tenant, page, expected_seq, rewrite)
        if isinstance(result, Rewritten):
            self._disk.watch_rewrite(page, rewrite)
        await self._reach()
        return result

    async def snapshot(
        self, tenant: str, page: str, upto_seq: int, data: bytes, *, keep: int | None = None
    ) -> bool:
        await self._reach()
        if self._disk.full:
            raise FULL
        written = await self._disk.kept.snapshot(tenant, page, upto_seq, data, keep=keep)
        self._disk.counts["snapshots"] += written
        await self._reach()
        return written
