"""One transaction of the group commit: what all pages of a batch append, planned and written.

The fast way plans the whole batch and writes it with a few executemany. If anything at all is wrong
the transaction is rolled back and done again page by page, each in its own savepoint, so that one
bad row fails only its page.
"""

import sqlite3
import struct
from collections.abc import Sequence

from store import events, gate, journal, moderation, pages, readmodel, trust
from store.errors import Quarantined, StoreError
from store.pages import PageRow
from store.records import Appended, CommitResult, Conflict, Failed, PageCommit

ROW_ERRORS = (
    sqlite3.Error,
    StoreError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
)
"""What a bad row raises: SQLite refuses it, or it cannot be encoded (ValueError: Unicode, JSON)."""

_DAY_MS = 86_400_000
_CACHED_PAGES = 1_024
_USAGE = (
    "INSERT INTO usage (tenant, day, page, metric, amount) VALUES (?,?,?,?,?) "
    "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
)


class Heads:
    """The page rows as the writer's transaction sees them: it alone writes, so memory is right.

    They are changed in place; whoever rolls back must forget what was touched. Without a complete
    directory no page is created: it might be one that is only lost.
    """

    def __init__(self, *, complete: bool = True) -> None:
        self._rows: dict[tuple[str, str], PageRow] = {}
        self.complete = complete

    def get(self, db: sqlite3.Connection, tenant: str, name: str) -> PageRow | None:
        """The page's row. Raises Quarantined if it does not verify."""
        row = self._rows.get((tenant, name))
        if row is None:
            row = pages.find(db, tenant, name)
            if row is not None:
                self._put(row)
        return row

    def create(self, db: sqlite3.Connection, tenant: str, name: str) -> PageRow:
        """An empty page, inserted. Raises Quarantined if it may exist already."""
        if not self.complete:
            raise Quarantined(tenant, name, pages.LOST)
        row = pages.create(db, tenant, name)
        self._put(row)
        return row

    def _put(self, row: PageRow) -> None:
        self._rows[row.tenant, row.name] = row

    def trim(self) -> None:
        """Forget the longest known pages. Only between transactions: one may hold unwritten rows."""
        while len(self._rows) > _CACHED_PAGES:
            del self._rows[next(iter(self._rows))]

    def forget(self, tenant: str, name: str) -> None:
        """Forget one page: the next look reads it again."""
        self._rows.pop((tenant, name), None)

    def forget_all(self) -> None:
        """Forget all pages."""
        self._rows.clear()


class Batch:
    """The planned parts of one transaction, or of one savepoint of it."""

    def __init__(self, db: sqlite3.Connection, heads: Heads) -> None:
        self._db = db
        self._heads = heads
        self._log: list[journal.LogParameters] = []
        self._events: list[events.EventParameters] = []
        self._usage: list[tuple[str, int, str, str, int]] = []
        self._parts: list[tuple[PageRow, PageCommit]] = []

    def add(self, commit: PageCommit) -> CommitResult:
        """Plan one page's part; what it writes is written by `flush`. Raises ROW_ERRORS."""
        page = self._heads.get(self._db, commit.tenant, commit.page)
        if page is None and commit.expected_seq == 0:
            page = self._heads.create(self._db, commit.tenant, commit.page)
        if page is None:
            return Conflict(())
        origins = journal.origins_of(self._db, page)
        fresh = {entry.origin: entry for entry in commit.entries if entry.origin not in origins}
        if commit.entries and not fresh:
            return Appended(page.seq)
        if page.seq != commit.expected_seq:
            self.flush()
            return Conflict(tuple(journal.rows_after(self._db, page, commit.expected_seq)))
        for entry in fresh.values():
            origins.add(entry.origin)
            self._log.append(journal.appended(page, entry))
        return self._append_events(page, commit)

    def _append_events(self, page: PageRow, commit: PageCommit) -> Appended:
        now = commit.entries[-1].at if commit.entries else 0
        stamped = [events.appended(page, event, now) for event in commit.events]
        self._events += stamped
        self._parts.append((page, commit))
        day = page.updated // _DAY_MS
        self._usage += [(page.tenant, day, page.name, metric, n) for metric, n in commit.usage]
        return Appended(page.seq, tuple([row[1] for row in stamped]))

    def flush(self) -> None:
        """Write what was planned. Raises ROW_ERRORS."""
        db = self._db
        if self._log:
            db.executemany(journal.INSERT, self._log)
        if self._events:
            db.executemany(events.INSERT, self._events)
        for page, commit in self._parts:
            gate.apply(db, page, commit)
        readmodel.apply(db, [(page.id, commit.projected) for page, commit in self._parts])
        if self._usage:
            db.executemany(_USAGE, self._usage)
        for _, commit in self._parts:
            for ruling in commit.moderated:
                moderation.append(db, ruling)
            for noted in commit.audit:
                trust.append(db, noted)
        pages.save(db, [page for page, _ in self._parts])
        self._log, self._events, self._usage, self._parts = [], [], [], []


def commit_all(
    db: sqlite3.Connection, heads: Heads, commits: Sequence[PageCommit]
) -> list[CommitResult]:
    """Commit everything in one durable transaction and say what became of each part.

    Raises sqlite3.Error if the transaction as a whole failed; nothing of it stands then.
    """
    heads.trim()
    try:
        db.execute("BEGIN IMMEDIATE")
        batch = Batch(db, heads)
        results = [batch.add(commit) for commit in commits]
        batch.flush()
        db.execute("COMMIT")
    except ROW_ERRORS:
        roll_back(db, heads)
        return _one_by_one(db, heads, commits)
    except BaseException:
        roll_back(db, heads)
        raise
    return results


def _one_by_one(
    db: sqlite3.Connection, heads: Heads, commits: Sequence[PageCommit]
) -> list[CommitResult]:
    try:
        db.execute("BEGIN IMMEDIATE")
        results = [_in_savepoint(db, heads, commit) for commit in commits]
        db.execute("COMMIT")
    except BaseException:
        roll_back(db, heads)
        raise
    return results


def _in_savepoint(db: sqlite3.Connection, heads: Heads, commit: PageCommit) -> CommitResult:
    db.execute("SAVEPOINT part")
    batch = Batch(db, heads)
    try:
        result = batch.add(commit)
        batch.flush()
    except ROW_ERRORS as error:
        if not db.in_transaction:
            raise  # SQLite has rolled back all of it: disk full, I/O error
        db.execute("ROLLBACK TO part")
        result = Failed(error)
        heads.forget(commit.tenant, commit.page)
    db.execute("RELEASE part")
    return result


def roll_back(db: sqlite3.Connection, heads: Heads) -> None:
    """Roll back what is open (SQLite may have done so itself) and what memory knows of it."""
    heads.forget_all()
    if db.in_transaction:
        db.execute("ROLLBACK")
