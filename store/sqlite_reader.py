"""The reading verbs on one SQLite file; they need no lock and may run beside the one writer."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from store import events, integrity, journal, listing, pages, people, readmodel, schema
from store.errors import NotAStore, Quarantined, SchemaMismatch
from store.faults import of_file, quarantine
from store.pages import PageRow
from store.protocol import Project
from store.readers import Readers
from store.records import EventRow, Hit, ListedPage, LogRow, Report, StoredPage, UsageRow

PAGES_PER_READ = 100
T = TypeVar("T")


class SqliteReader:
    """Reads the file of a store, served or not. Made by `store.open_reader`; close it after use.

    Verbs are async, under asyncio and trio, and may be called from several event loops.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises NotAStore, SchemaMismatch or Damaged."""
        self.path = Path(os.path.realpath(path))
        if not self.path.is_file():
            raise NotAStore(f"there is no file {path}")
        with of_file(self.path):
            self._check()

    def _check(self) -> None:
        db = schema.connect(self.path, readonly=True)
        try:
            version = schema.check(db, self.path)
            if version != schema.VERSION:
                raise SchemaMismatch(
                    f"{self.path} has schema {version}, this program reads {schema.VERSION}: "
                    "start the server once to migrate it"
                )
            self._begin(complete=directory_holds(db))
        finally:
            db.close()

    def _begin(self, *, complete: bool) -> None:
        self._complete = complete
        self._readers = Readers(self.path)

    async def load(self, tenant: str, page: str) -> StoredPage | None:
        """See `store.protocol.Reader`; so for all verbs."""
        return await self._page(tenant, page, integrity.load)

    async def read(self, tenant: str, page: str, after: int, limit: int = -1) -> list[LogRow]:
        """Log rows with seq > `after`."""
        work = partial(_rows, after=after, limit=limit)
        return await self._page(tenant, page, work) or []

    async def events(self, tenant: str, page: str, after: int, limit: int = -1) -> list[EventRow]:
        """Events with timestamp > `after` (ms)."""
        work = partial(_events, after=after, limit=limit)
        return await self._page(tenant, page, work) or []

    async def event_floor(self, tenant: str, page: str) -> int:
        """The newest timestamp (ms) that retention has removed, 0 for none."""
        return await self._page(tenant, page, lambda _, row: row.event_floor) or 0

    async def names(self) -> list[tuple[str, str]]:
        """All pages of all tenants."""
        query = "SELECT tenant, name FROM page ORDER BY tenant, name"
        return await self._readers.read(lambda db: db.execute(query).fetchall())

    async def heads(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The head seq of each of these (tenant, page) that exists."""
        wanted = list(names)

        def work(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
            found = {name: pages.find(db, *name) for name in wanted}
            return {name: row.seq for name, row in found.items() if row is not None}

        return await self._readers.read(work)

    async def pages(self, tenant: str, after: str = "", limit: int = 1_000) -> list[ListedPage]:
        """The tenant's pages by name."""
        return await self._readers.read(lambda db: listing.pages(db, tenant, after, limit))

    async def pages_with(self, tenant: str, root: str, name: str) -> list[str]:
        """The tenant's pages on which this key is there now."""
        work = partial(readmodel.pages_with, tenant=tenant, root=root, name=name)
        return await self._readers.read(work)

    async def pages_naming(
        self, tenant: str, user: str, texts: Sequence[str], ending: str
    ) -> list[str]:
        """The tenant's pages on which a user appears."""
        return await self._readers.read(
            lambda db: people.pages_naming(db, tenant, user, texts, ending)
        )

    async def users(self, tenant: str) -> list[str]:
        """Everybody who appears on the tenant's pages."""
        return await self._readers.read(lambda db: people.users(db, tenant))

    async def search(
        self, tenant: str, text: str, *, page: str | None = None, limit: int = 50
    ) -> list[Hit]:
        """Where all words of `text` stand, best first."""
        return await self._readers.read(lambda db: listing.search(db, tenant, text, page, limit))

    async def usage(self, tenant: str, first_day: int, last_day: int) -> list[UsageRow]:
        """The tenant's counters of these days."""
        return await self._readers.read(lambda db: listing.usage(db, tenant, first_day, last_day))

    async def integrity(self, project: Project | None = None) -> Report:
        """Verify everything, a few pages per read: an old state of the file is not held for long."""
        report = Report()
        names = await self._readers.read(lambda db: integrity.check_file(db, report))
        for some in batched(names, PAGES_PER_READ):
            check = partial(integrity.check_pages, names=some, report=report, project=project)
            await self._readers.read(check)
        return report

    async def close(self) -> None:
        """Let go of the file."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._readers.close()

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


def batched(names: list[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    """The names in pieces of at most `size`, as itertools.batched of Python 3.12."""
    for start in range(0, len(names), size):
        yield names[start : start + size]


def directory_holds(db: sqlite3.Connection) -> bool:
    """Whether a page that is not found was never there."""
    try:
        return pages.directory_holds(db)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        # What can still be found is served; every other name is answered with Quarantined.
        return False


def _rows(db: sqlite3.Connection, row: PageRow, *, after: int, limit: int) -> list[LogRow]:
    return journal.rows_after(db, row, after, limit)


def _events(db: sqlite3.Connection, row: PageRow, *, after: int, limit: int) -> list[EventRow]:
    return events.events_after(db, row, after, limit)
