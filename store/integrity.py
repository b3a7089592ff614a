"""Verification of a whole file: what SQLite knows, and what only our digests, chains and sums know."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator

from store import events, gate, journal, listing, pages, readmodel, seals, words
from store.errors import Quarantined
from store.faults import quarantine
from store.pages import PageRow
from store.protocol import Project
from store.records import Problem, Report, StoredPage

_ORPHANS = "SELECT count(*) FROM {table} WHERE page NOT IN (SELECT id FROM page)"
_WITH_PAGES = (
    "log",
    "event",
    "snapshot",
    *(table.name for table in gate.TABLES),
    *readmodel.TABLES.values(),
    "fact",
)
Name = tuple[str, str]


def check_file(db: sqlite3.Connection, report: Report) -> list[Name]:
    """What concerns the file as a whole; the names of its pages."""
    names: list[Name] = []
    for check in (_sqlite, _directory, _seals, _orphans, _listing):
        with _noting(report):
            check(db, report)
    with _noting(report):
        names += db.execute("SELECT tenant, name FROM page ORDER BY 1, 2").fetchall()
    return names


@contextlib.contextmanager
def _noting(report: Report) -> Iterator[None]:
    """Turn what SQLite raises inside into a problem of the file: the next check goes on."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        _add(report, None, f"SQLite: {error}")


def _sqlite(db: sqlite3.Connection, report: Report) -> None:
    for (line,) in db.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            _add(report, None, f"SQLite: {line}")


def _directory(db: sqlite3.Connection, report: Report) -> None:
    if not pages.directory_holds(db):
        _add(report, None, "the directory of pages does not hold: a page may be lost")


def _seals(db: sqlite3.Connection, report: Report) -> None:
    for table in seals.TABLES:
        with _noting(report):
            if not seals.holds(db, table):
                _add(report, None, f"the table {table} does not verify")
    for name in seals.strangers(db):
        _add(report, None, f"the seal named {name} is of no table")


def _orphans(db: sqlite3.Connection, report: Report) -> None:
    for table in _WITH_PAGES:
        (orphans,) = db.execute(_ORPHANS.format(table=table)).fetchone()
        if orphans:
            _add(report, None, f"{orphans} rows of {table} belong to no page")


def _listing(db: sqlite3.Connection, _report: Report) -> None:
    """The columns that questions need are there: a flipped bit may rename one."""
    listing.search(db, "", "any word", None, 1)
    listing.pages(db, "", "", 1)
    listing.usage(db, "", 0, 0)


def check_pages(
    db: sqlite3.Connection, names: Iterable[Name], report: Report, project: Project | None
) -> None:
    """Verify these pages, each for itself."""
    for name in names:
        check_page(db, name, report, project)


def check_page(db: sqlite3.Connection, name: Name, report: Report, project: Project | None) -> None:
    """Verify one page: its rows and history, gate, events and read model."""
    try:
        with quarantine(*name):
            page = _found(db, name)
            stored = load(db, page)
            report.pages += 1
            report.rows += len(journal.rows_after(db, page, 0))
            report.events += len(events.events_after(db, page, 0, -1))
            known = {(root, key): value for root, key, value in _model(db, page)}
        report.keys += len(known)
        for what in () if project is None else differences(known, stored, project):
            _add(report, name, what)
    except Quarantined as error:
        _add(report, name, error.reason)


def _found(db: sqlite3.Connection, name: Name) -> PageRow:
    page = pages.find(db, *name)
    if page is None:
        raise Quarantined(*name, "it cannot be found by its name")
    return page


def load(db: sqlite3.Connection, page: PageRow) -> StoredPage:
    """The whole page, verified. Raises Quarantined."""
    snapshot, chain = journal.snapshot_of(db, page)
    stored = StoredPage(page.seq, page.epoch, snapshot, page.snapshot_seq)
    stored.last_event = page.last_event
    stored.rows = journal.tail(db, page, chain)
    gate.load(db, page, stored)
    return stored


def _model(db: sqlite3.Connection, page: PageRow) -> Iterator[tuple[str, str, str]]:
    for root, key, value, sound in readmodel.rows(db, page.id):
        if not sound:
            reason = f"read model: {root}/{key} does not verify"
            raise Quarantined(page.tenant, page.name, reason)
        yield root, key, value


def differences(
    known: dict[tuple[str, str], str], stored: StoredPage, project: Project
) -> Iterator[str]:
    """How the read model differs from what the log says; JSON is compared by value, `known` is emptied."""
    for key in project(stored):
        if key.value is None:
            continue
        value = known.pop((key.root, key.name), None)
        if value is None:
            yield f"read model: {key.root}/{key.name} is missing"
        elif json.loads(value) != json.loads(key.value):
            yield f"read model: {key.root}/{key.name} is not what the log says"
    for root, name in known:
        yield f"read model: {root}/{name} is not in the log"


def check_index(db: sqlite3.Connection, report: Report) -> None:
    """Verify the full text index against the tables, and make it anew if it is not what they say.

    This needs the write connection.
    """
    with _noting(report):
        while words.behind(db):
            words.catch_up(db)
    faults = words.faults(db)
    for fault in faults:
        _add(report, None, fault)
    if faults:
        with _noting(report):
            words.rebuild(db)


def _add(report: Report, name: Name | None, what: str) -> None:
    tenant, page = name or (None, None)
    report.problems.append(Problem(tenant, page, what))
