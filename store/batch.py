"""One transaction of the group commit: what all pages of a batch append, planned and written.

The fast way plans the whole batch and writes it with a few executemany. If anything at all is wrong
the transaction is rolled back and done again page by page, each in its own savepoint, so that one
bad row fails only its page.
"""

import sqlite3
import struct
from collections.abc import Sequence

from store import events, gate, journal, pages, readmodel
from store.errors import Quarantined, StoreError
from store.pages import PageRow
from store.records import Appended, CommitResult, Conflict, Failed, PageCommit

ROW_ERRORS = (
    sqlite3.Error,
    StoreError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
    OverflowError,
)
"""What a bad row raises: SQLite refuses it, or it cannot be encoded (ValueError has the Unicode
errors)."""

_DAY_MS = 86_400_000
_CACHED_PAGES = 8_192
_USAGE = (
    "INSERT INTO usage (tenant, day, page, metric, amount) VALUES (?,?,?,?,?) "
    "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
)
PageName = tuple[str, str]


class Heads:
    """The page rows the writer thread knows: it alone writes, so they stay right in memory."""

    def __init__(self, *, complete: bool = True) -> None:
        """Without a complete directory no page is created: it might be one that is only lost."""
        self._rows: dict[PageName, PageRow] = {}
        self.complete = complete

    def get(self, db: sqlite3.Connection, tenant: str, name: str) -> PageRow | None:
        """The page's committed row. Raises Quarantined if it does not verify."""
        row = self._rows.get((tenant, name))
        if row is None:
            row = pages.find(db, tenant, name)
            if row is not None:
                self.put(row)
        return row

    def put(self, row: PageRow) -> None:
        """Remember a row that is committed."""
        if len(self._rows) >= _CACHED_PAGES:
            del self._rows[next(iter(self._rows))]
        self._rows[row.tenant, row.name] = row

    def forget(self) -> None:
        """Forget all: the file may be other than remembered."""
        self._rows.clear()


class Batch:
    """The parts of one transaction; `careful` checks what the fast way leaves to the indexes."""

    def __init__(self, db: sqlite3.Connection, heads: Heads, *, careful: bool = False) -> None:
        self._db = db
        self._heads = heads
        self._careful = careful
        self.working: dict[PageName, PageRow] = {}
        self._log: list[journal.LogParameters] = []
        self._events: list[events.EventParameters] = []
        self._parts: list[tuple[PageRow, PageCommit]] = []

    def add(self, commit: PageCommit) -> CommitResult:
        """Plan one page's part; what it writes is written by `flush`. Raises ROW_ERRORS."""
        page = self._head(commit)
        if page is None or page.seq != commit.expected_seq:
            return self._behind(page, commit)
        entries = commit.entries
        if self._careful and entries:
            known = journal.known_origins(self._db, page.id, entries)
            entries = list({e.origin: e for e in entries if e.origin not in known}.values())
            if not entries:
                return Appended(page.seq)
        for entry in entries:
            self._log.append(journal.appended(page, entry))
        now = entries[-1].at if entries else 0
        stamped = [events.appended(page, event, now) for event in commit.events]
        self._events += stamped
        self._parts.append((page, commit))
        return Appended(page.seq, tuple(row[1] for row in stamped))

    def _head(self, commit: PageCommit) -> PageRow | None:
        """The page's row to work on; a page is created by its first commit, on head 0."""
        key = (commit.tenant, commit.page)
        page = self.working.get(key)
        if page is not None:
            return page
        committed = self._heads.get(self._db, *key)
        if committed is not None:
            page = committed.copy()
        elif not self._heads.complete:
            raise Quarantined(*key, pages.LOST)
        elif commit.expected_seq == 0:
            page = pages.create(self._db, *key)
        else:
            return None
        self.working[key] = page
        return page

    def _behind(self, page: PageRow | None, commit: PageCommit) -> CommitResult:
        if page is None:
            return Conflict(())
        self.flush()
        known = journal.known_origins(self._db, page.id, commit.entries)
        if commit.entries and len(known) == len({entry.origin for entry in commit.entries}):
            return Appended(page.seq)
        return Conflict(tuple(journal.rows_after(self._db, page, commit.expected_seq)))

    def flush(self) -> None:
        """Write what was planned. Raises ROW_ERRORS."""
        db = self._db
        if self._log:
            db.executemany(journal.INSERT, self._log)
        if self._events:
            db.executemany(events.INSERT, self._events)
        usage: list[tuple[str, int, str, str, int]] = []
        for page, commit in self._parts:
            gate.apply(db, page, commit)
            for projected in commit.projected:
                readmodel.apply(db, page.id, projected)
            day = page.updated // _DAY_MS
            usage += [(page.tenant, day, page.name, metric, n) for metric, n in commit.usage]
        if usage:
            db.executemany(_USAGE, usage)
        pages.save(db, [page for page, _ in self._parts])
        self._log, self._events, self._parts = [], [], []


def commit_all(
    db: sqlite3.Connection, heads: Heads, commits: Sequence[PageCommit]
) -> list[CommitResult]:
    """Commit everything in one durable transaction and say what became of each part.

    Raises sqlite3.Error if the transaction as a whole failed; nothing of it stands then.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        batch = Batch(db, heads)
        results = [batch.add(commit) for commit in commits]
        batch.flush()
    except ROW_ERRORS:
        rollback(db)
        return _one_by_one(db, heads, commits)
    except BaseException:
        rollback(db)
        raise
    _finish(db, heads, batch.working)
    return results


def _one_by_one(
    db: sqlite3.Connection, heads: Heads, commits: Sequence[PageCommit]
) -> list[CommitResult]:
    db.execute("BEGIN IMMEDIATE")
    working: dict[PageName, PageRow] = {}
    try:
        results = [_in_savepoint(db, heads, commit, working) for commit in commits]
    except BaseException:
        rollback(db)
        raise
    _finish(db, heads, working)
    return results


def _in_savepoint(
    db: sqlite3.Connection, heads: Heads, commit: PageCommit, working: dict[PageName, PageRow]
) -> CommitResult:
    db.execute("SAVEPOINT part")
    batch = Batch(db, heads, careful=True)
    key = (commit.tenant, commit.page)
    if key in working:
        batch.working[key] = working[key].copy()
    try:
        result = batch.add(commit)
        batch.flush()
    except ROW_ERRORS as error:
        if not db.in_transaction:
            raise  # SQLite has rolled back all of it: disk full, I/O error
        db.execute("ROLLBACK TO part")
        db.execute("RELEASE part")
        return Failed(error)
    db.execute("RELEASE part")
    working |= batch.working
    return result


def _finish(db: sqlite3.Connection, heads: Heads, working: dict[PageName, PageRow]) -> None:
    try:
        db.execute("COMMIT")
    except BaseException:
        rollback(db)
        raise
    for row in working.values():
        heads.put(row)


def rollback(db: sqlite3.Connection) -> None:
    """Roll back what is open; SQLite may have done so itself."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def head_of(db: sqlite3.Connection, heads: Heads, tenant: str, name: str) -> PageRow | None:
    """A copy of the page's row for another kind of transaction. Raises Quarantined."""
    row = heads.get(db, tenant, name)
    return None if row is None else row.copy()
