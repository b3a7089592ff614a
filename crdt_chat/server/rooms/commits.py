"""The commits of one page, one after the other: what arrives during one is the next batch.

No fixed window: an update on a quiet page is committed at once. While commits follow each other the
pause between two grows with the audience (everybody is sent a frame), to at most the limit.
"""

from collections.abc import Awaitable, Callable, Mapping, Set
from typing import NamedTuple

import anyio

from crdt_chat.identity import PageKey
from crdt_chat.page.verdict import Verdict
from crdt_chat.server.rooms.batch import Batch, Prepared
from crdt_chat.server.rooms.services import Services
from store.moderation import ModerationEntry
from store.records import Appended, CommitResult, Failed, LogEntry
from store.tenants import AuditEntry

PAUSE_PER_PEER_S = 0.0004
"""The pause between two commits for each peer, who is sent a frame of both: 50 peers make the longest one."""


class Author(NamedTuple):
    """Who made an update: a user, by a connection (0 for a server-made operation)."""

    user: str
    connection: int


Prepare = Callable[[Batch], Awaitable[Prepared]]
Settle = Callable[[Batch, Prepared, Appended], Awaitable[None]]
Fail = Callable[[CommitResult, Set[int]], None]


class Commits:
    """The pending batch of one page, and the one that is on its way to the disk.

    prepare makes the rows of a batch when its turn comes; settle shows what is durable; fail is
    told when the store refused. `seq` is the head that everything applied so far will reach.
    """

    def __init__(
        self,
        key: PageKey,
        services: Services,
        *,
        prepare: Prepare,
        settle: Settle,
        fail: Fail,
        audience: Callable[[], int],
    ) -> None:
        self.key = key
        self._services = services
        self._prepare = prepare
        self._settle = settle
        self._fail = fail
        self._audience = audience
        self._pending = Batch(0)
        self._in_flight: Batch | None = None
        self._running = False
        self._stopped = False
        self._idle: anyio.Event | None = None
        self._last = 0.0

    @property
    def seq(self) -> int:
        """The seq of the last update applied to the page."""
        return self._pending.seq

    @property
    def last(self) -> float:
        """When the last commit was handed to the store, by the monotonic clock."""
        return self._last

    @property
    def running(self) -> bool:
        """Whether anything is on its way to the disk, or about to be."""
        return self._running

    def keep(self, archived: Mapping[tuple[str, str], str | None], held: Mapping[str, str]) -> None:
        """What the update queued last changes beside the document: durable with it.

        archived: what deletions took away, None for what is back; held: what was hidden.
        """
        self._pending.archive.update(archived)
        self._pending.held.update(held)

    def note(self, entry: ModerationEntry, audit: AuditEntry) -> None:
        """What moderation the updates queued last are, for moderators and for the audit log."""
        self._pending.moderated.append(entry)
        self._pending.audit.append(audit)

    @property
    def covering(self) -> Batch | None:
        """The batch whose commit makes all that is applied durable; None: it is already."""
        return self._pending if self._pending.entries else self._in_flight

    def restart(self, seq: int) -> None:
        """The page was loaded: its head is `seq`, nothing is pending."""
        self._pending = Batch(seq)
        self._stopped = False

    def add(
        self,
        verdict: Verdict,
        author: Author,
        broadcast_id: str | None = None,
        restored: str | None = None,
    ) -> None:
        """Queue one applied update for the next commit; arguments as `Batch.add`."""
        services = self._services
        now = services.clock.now()
        entry = LogEntry(
            services.ids.origin(), author.user, str(author.connection), now, verdict.update
        )
        self._pending.add(entry, verdict, author.connection, broadcast_id, restored)
        services.queue.add(len(verdict.update))
        if not self._running:
            self._running = True
            services.start(self._run, fail=lambda fault: self._fail(Failed(fault), set()))

    def halt(self) -> None:
        """Discard what is pending, commit no more until restart; what is on its way may finish."""
        self._stopped = True
        discarded, self._pending = self._pending, Batch(self._pending.seq)
        self._services.queue.done(len(discarded.entries), discarded.size)
        discarded.fail()

    async def finish(self) -> None:
        """Return once nothing is on its way any more."""
        if self._running:
            # Made for who waits: most commits end unawaited.
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    async def _run(self) -> None:
        try:
            while self._pending.entries and not self._stopped:
                if not await self._pause():
                    await self._commit()
        except Exception as error:  # noqa: BLE001 - a fault on one page must not end the others
            self._discard(Failed(error))
        finally:
            self._running = False
            idle, self._idle = self._idle, None
            if idle is not None:
                idle.set()

    async def _commit(self) -> None:
        batch = self._pending
        prepared = await self._prepare(batch)
        if batch is not self._pending:
            # Halted meanwhile: what was to be saved is forgotten.
            return
        self._in_flight, self._pending = batch, Batch(batch.seq)
        result = (await self._services.store.commit([prepared.commit]))[0]
        if not isinstance(result, Appended):
            self._discard(result)
            return
        self._in_flight = None
        self._services.queue.done(len(batch.entries), batch.size)
        seconds = self._services.clock.monotonic() - self._last
        self._services.metrics.committed(len(batch.entries), seconds)
        try:
            await self._settle(batch, prepared, result)
        finally:
            batch.stand()

    def _discard(self, result: CommitResult) -> None:
        """What was on its way is not known to be durable: its writers are told, then the room."""
        batch, self._in_flight = self._in_flight, None
        if batch is not None:
            self._services.queue.done(len(batch.entries), batch.size)
            batch.fail()
        self._services.metrics.commit_failed()
        self._fail(result, set() if batch is None else batch.authors)

    async def _pause(self) -> bool:
        """Keep the distance to the last commit. Returns whether it slept: look again then."""
        clock = self._services.clock
        longest = self._services.limits.commit_interval_ms / 1000
        due = self._last + min(longest, PAUSE_PER_PEER_S * self._audience())
        pause = due - clock.monotonic()
        if pause > 0:
            await anyio.sleep(pause)
            return True
        self._last = clock.monotonic()
        return False
