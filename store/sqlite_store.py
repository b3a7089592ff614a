"""The store on one SQLite file: the async face of journal, gate tables, events and read model."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from store import events, gate, journal, pages, readmodel, schema
from store.batch import Heads
from store.errors import Quarantined
from store.lock import FileLock
from store.pages import PageRow
from store.readers import Readers, quarantine
from store.records import (
    CommitResult,
    EventRow,
    LogRow,
    PageCommit,
    StoredPage,
)
from store.writer import Writer

T = TypeVar("T")


class SqliteStore:
    """One file, one writer thread, a few readers. Made by `store.open_store`; close it after use.

    Every verb is async, under asyncio and trio, and may be called from several event loops. Any
    verb raises Closed after `close`, Unavailable for a fault of the disk that may pass.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises Locked, NotAStore, SchemaMismatch, Damaged."""
        self.path = Path(os.path.realpath(path))
        self._lock = FileLock(self.path)
        try:
            db = self._open()
            self._complete = _directory_holds(db)
        except BaseException:
            self._lock.release()
            raise
        self._writer = Writer(
            db, Heads(complete=self._complete), partial(schema.connect, self.path)
        )
        self._readers = Readers(self.path)

    def _open(self) -> sqlite3.Connection:
        db = schema.connect(self.path)
        try:
            schema.prepare(db, self.path)
        except BaseException:
            db.close()
            raise
        return db

    async def commit(self, commits: Sequence[PageCommit]) -> list[CommitResult]:
        """Append what these pages say; durable when it returns.

        Per page: Appended; Conflict with the rows after expected_seq if the head is another (or
        Appended, if all of it was appended before: `origin` makes a retry harmless); Failed.
        """
        return await self._writer.commit(commits)

    async def load(self, tenant: str, page: str) -> StoredPage | None:
        """Everything of a page, verified; None if it was never written. Raises Quarantined."""
        return await self._page(tenant, page, _load)

    async def read(self, tenant: str, page: str, after: int, limit: int = -1) -> list[LogRow]:
        """Log rows with seq > `after`, ascending, at most `limit` (negative: all).

        Rows that retention has removed are not there: the first one may be later than after + 1.
        Raises Quarantined.
        """
        work = partial(_rows, after=after, limit=limit)
        return await self._page(tenant, page, work) or []

    async def events(self, tenant: str, page: str, after: int, limit: int = -1) -> list[EventRow]:
        """Events with timestamp > `after` (ms), ascending, at most `limit` (negative: all).

        Raises Quarantined.
        """
        work = partial(_events, after=after, limit=limit)
        return await self._page(tenant, page, work) or []

    async def event_floor(self, tenant: str, page: str) -> int:
        """The newest timestamp (ms) that retention has removed, 0 for none.

        A reader whose cursor is older has missed events and must resync. Raises Quarantined.
        """
        return await self._page(tenant, page, lambda _, row: row.event_floor) or 0

    async def heads(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The head seq of each of these (tenant, page) that exists. Raises Quarantined."""
        wanted = list(names)

        def work(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
            found = {name: pages.find(db, *name) for name in wanted}
            return {name: row.seq for name, row in found.items() if row is not None}

        return await self._readers.read(work)

    async def pages_with(self, tenant: str, root: str, name: str) -> list[str]:
        """The pages of this tenant on which the key is there now; root is one with a table."""
        return await self._readers.read(
            partial(readmodel.pages_with, tenant=tenant, root=root, name=name)
        )

    async def snapshot(
        self, tenant: str, page: str, upto_seq: int, data: bytes, *, keep: int | None = None
    ) -> bool:
        """Let `data` stand for all rows up to `upto_seq`; the caller has verified it by reloading.

        keep is how many of the rows it replaces stay as history (None: all of them). False if
        there is no such page or that is no progress. Raises Quarantined.
        """

        def work(db: sqlite3.Connection, heads: Heads) -> bool:
            row = heads.get(db, tenant, page)
            if row is None:
                return False
            db.execute("BEGIN IMMEDIATE")
            done = journal.put_snapshot(db, row, upto_seq, data)
            if done and keep is not None:
                query = "DELETE FROM log WHERE page = ? AND seq <= ?"
                db.execute(query, (row.id, upto_seq - keep))
            pages.save(db, [row])
            db.execute("COMMIT")
            return done

        return await self._writer.call(work)

    async def close(self) -> None:
        """Commit what is queued, then let go of the file."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._readers.close()
        self._writer.close()
        self._lock.release()

    async def _page(
        self, tenant: str, name: str, work: Callable[[sqlite3.Connection, PageRow], T]
    ) -> T | None:
        """Run `work` on a page's row in one read transaction; None if there is no such page."""

        def read(db: sqlite3.Connection) -> T | None:
            with quarantine(tenant, name):
                row = pages.find(db, tenant, name)
                if row is not None:
                    return work(db, row)
            if not self._complete:
                raise Quarantined(tenant, name, pages.LOST)
            return None

        return await self._readers.read(read)


def _directory_holds(db: sqlite3.Connection) -> bool:
    try:
        return pages.directory_holds(db)
    except sqlite3.DatabaseError:
        # What can still be found is served; every other name is answered with Quarantined.
        return False


def _load(db: sqlite3.Connection, row: PageRow) -> StoredPage:
    snapshot, chain = journal.snapshot_of(db, row)
    stored = StoredPage(row.seq, row.epoch, snapshot, row.snapshot_seq)
    stored.rows = journal.tail(db, row, chain)
    gate.load(db, row, stored)
    return stored


def _rows(db: sqlite3.Connection, row: PageRow, *, after: int, limit: int) -> list[LogRow]:
    return journal.rows_after(db, row, after, limit)


def _events(db: sqlite3.Connection, row: PageRow, *, after: int, limit: int) -> list[EventRow]:
    return events.events_after(db, row, after, limit)
