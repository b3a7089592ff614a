"""The writer thread: it alone owns the write connection, and what queued meanwhile is one commit.

No linger: while one commit runs the next batch queues up; when idle a commit goes at once. When it has
been idle for a while it lets the full text index catch up (words.py).
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import current_token

from store import words
from store.batch import ROW_ERRORS, Heads, commit_all, roll_back
from store.errors import Closed, Unavailable
from store.faults import passing
from store.records import CommitResult, Failed, PageCommit

log = logging.getLogger("crdt_chat.store")

BATCH_ROWS = 512
BATCH_BYTES = 1024 * 1024

IDLE_S = 1.0
"""Seconds without a job after which the full text index catches up."""

MOST_BEHIND = 10_000
"""Rows that may wait for the index while there is never such a pause: 0.3 s of a search's time."""

FAULT_S = 60.0
"""Seconds until the index is tried again after it could not be written."""

T = TypeVar("T")


class Waiter:
    """Wakes one task from the writer thread: a bare future on asyncio, an event elsewhere.

    The future is there for its price: 50 writers spend 9 us per commit beside the SQL, and 20 us
    with anyio's event, token and shield.
    """

    __slots__ = ("loop", "signal")

    def __init__(self) -> None:
        self.loop: Any
        self.signal: asyncio.Future[None] | anyio.Event
        try:
            self.loop = asyncio.get_running_loop()
            self.signal = self.loop.create_future()
        except RuntimeError:
            self.loop = current_token().native_token
            self.signal = anyio.Event()

    async def wait(self) -> None:
        """Return when the writer has woken this task."""
        if isinstance(self.signal, anyio.Event):
            await self.signal.wait()
        else:
            await self.signal


@dataclass(slots=True, eq=False)
class Job:
    """What is queued; `finished` before it wakes its waiter."""

    waiter: Waiter = field(default_factory=Waiter, init=False)
    finished: bool = field(default=False, init=False)

    async def done(self) -> None:
        """Wait until it is finished. A cancelled task, too, leaves nothing under way behind."""
        try:
            await self.waiter.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                self.waiter = Waiter()
                # The writer sets finished first and looks for the waiter then.
                if not self.finished:
                    await self.waiter.wait()
            raise


@dataclass(slots=True, eq=False)
class Commits(Job):
    """A queued commit of some pages; `size` is in bytes of updates."""

    commits: Sequence[PageCommit]
    rows: int
    size: int
    results: list[CommitResult] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Call(Job, Generic[T]):
    """Queued work that needs the write connection for itself, in a transaction of its own."""

    work: Callable[[sqlite3.Connection, Heads], T]
    value: T | None = None
    error: Exception | None = None


class Writer:
    """Owns the write connection from its first to its last statement.

    `reopen` gives a fresh connection: after an I/O error the old one is not trusted again.
    """

    def __init__(
        self, db: sqlite3.Connection, heads: Heads, reopen: Callable[[], sqlite3.Connection]
    ) -> None:
        self._db = db
        self._reopen = reopen
        self._heads = heads
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self.behind = words.behind(db)
        self._pause, self._faulty = IDLE_S, False
        self.thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self.thread.start()

    async def commit(self, commits: Sequence[PageCommit]) -> list[CommitResult]:
        """Queue a commit and wait until it is durable or has failed. Raises Closed.

        A cancelled caller is let go when the outcome is settled, not before.
        """
        rows = size = 0
        for commit in commits:
            rows += len(commit.entries)
            for entry in commit.entries:
                size += len(entry.update)
        job = Commits(commits, rows, size)
        self._put(job)
        await job.done()
        return job.results

    async def call(self, work: Callable[[sqlite3.Connection, Heads], T]) -> T:
        """Run `work` alone on the write connection; it opens and ends its own transaction.

        Raises what `work` raises, or Closed.
        """
        job = Call(work)
        self._put(job)
        await job.done()
        if job.error is not None:
            raise job.error
        return job.value  # type: ignore[return-value]  # set whenever error is not

    async def catch_up(self) -> None:
        """Let the full text index follow all commits so far (of a rewritten page, some of it)."""

        def work(db: sqlite3.Connection, _heads: Heads) -> None:
            self.behind = words.catch_up(db)

        for _ in range(0, self.behind, words.SLICE):
            await self.call(work)

    def _put(self, job: Job) -> None:
        with self._gate:
            if self._closed:
                raise Closed("the store is closed")
            self._jobs.put(job)

    def close(self) -> None:
        """Commit what is queued, then end the thread and the connection. Blocks."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self.thread.join()

    def _run(self) -> None:
        try:
            job = self._next()
            while job is not None:
                job = self._step(job)
            while self.behind and not self._faulty:
                self._index()
        finally:
            with self._gate:
                self._closed = True
            self._refuse_the_rest()
            self._db.close()

    def _step(self, job: Job) -> Job | None:
        """Do one batch that begins with `job`; the job after it (waits if there is none)."""
        if not isinstance(job, Commits):
            self._call(job)
            return self._next()
        batch, following = self._gather(job)
        try:
            self._commit(batch)
        finally:
            wake(batch)
        if self.behind > MOST_BEHIND and not self._faulty:
            self._index()
        return self._next() if following is _NOTHING else following

    def _next(self) -> Job | None:
        """The next job; if it lets wait for itself the index catches up, some rows at a time."""
        while self.behind:
            try:
                return self._jobs.get(timeout=self._pause)
            except queue.Empty:
                self._index()
        return self._jobs.get()

    def _index(self) -> None:
        try:
            self.behind = words.catch_up(self._db)
        except sqlite3.Error as error:
            # Searches go without the newest rows until it can be written again.
            log.warning("the full text index cannot follow: %s", error)
            self._pause, self._faulty = FAULT_S, True
            self._recover(error)
        else:
            self._pause, self._faulty = 0.0 if self.behind else IDLE_S, False

    def _gather(self, first: Commits) -> tuple[list[Commits], "Job | None"]:
        """All that is queued, up to the size of a batch, and the job that did not fit."""
        batch, rows, size = [first], first.rows, first.size
        while not self._jobs.empty():  # nobody else takes any
            job = self._jobs.get_nowait()
            if not isinstance(job, Commits):
                return batch, job
            rows, size = rows + job.rows, size + job.size
            if rows > BATCH_ROWS or size > BATCH_BYTES:
                return batch, job
            batch.append(job)
        return batch, _NOTHING

    def _commit(self, batch: list[Commits]) -> None:
        self._pause = max(self._pause, IDLE_S)
        commits = [commit for part in batch for commit in part.commits]
        for part in batch:
            part.results = [_ENDED] * len(part.commits)
        try:
            results = commit_all(self._db, self._heads, commits)
        except sqlite3.Error as error:
            self._recover(error)
            failure = Unavailable(f"the commit failed: {error}")
            failure.__cause__ = error
            results = [Failed(failure)] * len(commits)
        self.behind += sum([len(commit.projected) for commit in commits])
        position = 0
        for part in batch:
            part.results = results[position : position + len(part.commits)]
            position += len(part.commits)

    def _call(self, job: Any) -> None:
        job.error = Closed("the writer ended")
        try:
            # Whatever it writes: to count it afterwards might fail though all of it stands.
            self.behind += 1
            job.value = job.work(self._db, self._heads)
            job.error = None
        except ROW_ERRORS as error:
            job.error = passing(error) or error
            job.error.__cause__ = None if job.error is error else error
            roll_back(self._db, self._heads)
            self._recover(error)
        finally:
            wake([job])

    def _recover(self, error: Exception) -> None:
        """After an I/O error go on with a fresh handle: what the old one remembers may be wrong."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_IOERR:
            return
        try:
            fresh = self._reopen()
        except sqlite3.Error as again:
            log.warning("cannot reopen the file after an I/O error: %s", again)
            return
        # Closed second: the last handle to close would move the log into the file.
        self._db.close()
        self._db = fresh

    def _refuse_the_rest(self) -> None:
        refused = []
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if isinstance(job, Commits):
                    job.results = [Failed(Closed("the store is closed"))] * len(job.commits)
                elif isinstance(job, Call):
                    job.error = Closed("the store is closed")
                if job is not None:
                    refused.append(job)
        wake(refused)


_NOTHING: Any = object()
_ENDED = Failed(Closed("the writer ended"))


def wake(jobs: Sequence[Job]) -> None:
    """Finish these jobs, with one wake-up per event loop."""
    loops: dict[Any, list[Any]] = {}
    for job in jobs:
        job.finished = True
        waiter = job.waiter
        loops.setdefault(waiter.loop, []).append(waiter.signal)
    for loop, signals in loops.items():
        post = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        # RuntimeError: that loop has ended, so nobody waits there any more.
        with contextlib.suppress(RuntimeError):
            post(_signal, signals)


def _signal(signals: list[asyncio.Future[None] | anyio.Event]) -> None:
    for signal in signals:
        if isinstance(signal, anyio.Event):
            signal.set()
        elif not signal.done():
            signal.set_result(None)
