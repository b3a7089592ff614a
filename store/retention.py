"""Retention: old events and old history go, page by page, a little at a time."""

import sqlite3

from store import events, journal, pages
from store.batch import Heads

CHUNK = 2_000
"""Rows removed in one transaction: commits wait that long, not longer."""

_OLD_EVENTS = """
SELECT tenant, name FROM page WHERE (:tenant IS NULL OR tenant = :tenant)
AND EXISTS (SELECT 1 FROM event WHERE page = page.id AND timestamp < :before)
"""
_OLD_ROWS = """
SELECT tenant, name FROM page WHERE (:tenant IS NULL OR tenant = :tenant)
AND (SELECT at FROM log WHERE page = page.id AND seq <= snapshot_seq ORDER BY seq LIMIT 1) < :before
"""


def old_events(db: sqlite3.Connection, tenant: str | None, before: int) -> list[tuple[str, str]]:
    """Pages that have events with timestamp < `before` (ms)."""
    return db.execute(_OLD_EVENTS, {"tenant": tenant, "before": before}).fetchall()


def old_rows(db: sqlite3.Connection, tenant: str | None, before: int) -> list[tuple[str, str]]:
    """Pages whose oldest row below the snapshot is of before `before` (ms)."""
    return db.execute(_OLD_ROWS, {"tenant": tenant, "before": before}).fetchall()


def forget_events(db: sqlite3.Connection, heads: Heads, name: tuple[str, str], before: int) -> int:
    """Remove up to CHUNK events of this page in a transaction of its own; returns how many."""
    db.execute("BEGIN IMMEDIATE")
    page = heads.get(db, *name)
    removed = 0 if page is None else events.forget(db, page, before, CHUNK)
    if page is not None and removed:
        pages.save(db, [page])
    db.execute("COMMIT")
    return removed


def forget_rows(db: sqlite3.Connection, heads: Heads, name: tuple[str, str], before: int) -> int:
    """Remove up to CHUNK of the oldest rows below the snapshot in a transaction of its own.

    Only rows older than `before` (ms) and only from the beginning: what stays has no holes.
    """
    db.execute("BEGIN IMMEDIATE")
    page = heads.get(db, *name)
    removed = 0
    if page is not None:
        upto = 0
        query = "SELECT seq, at FROM log WHERE page = ? AND seq <= ? ORDER BY seq LIMIT ?"
        for seq, at in db.execute(query, (page.id, page.snapshot_seq, CHUNK)):
            if at >= before:
                break
            upto = seq
        removed = journal.forget(db, page, upto)
        pages.save(db, [page])
    db.execute("COMMIT")
    return removed
