"""The event log: rows whose timestamps rise per page whatever the clock does.

They are numbered densely per page, so that a row that is lost is noticed by whoever reads past it.
"""

import sqlite3

from store.checksums import fields_crc
from store.errors import Quarantined
from store.pages import PageRow
from store.records import EventEntry, EventRow

INSERT = (
    "INSERT INTO event (page, timestamp, number, type, broadcast_id, user, entity, body, crc) "
    "VALUES (?,?,?,?,?,?,?,?,?)"
)
_READ = (
    "SELECT timestamp, number, type, broadcast_id, user, entity, body, crc FROM event "
    "WHERE page = ? AND timestamp > ? ORDER BY timestamp LIMIT ?"
)
_BEFORE = (
    "SELECT number FROM event WHERE page = ? AND timestamp <= ? ORDER BY timestamp DESC LIMIT 1"
)
EventParameters = tuple[int, int, int, str, str, str, str, str, int]


def appended(page: PageRow, event: EventEntry, now: int) -> EventParameters:
    """Give `event` its timestamp, `now` (ms) or later; the parameters of `INSERT`."""
    timestamp = page.next_timestamp(now)
    page.event_number += 1
    said = (event.type, event.broadcast_id, event.user, event.entity, event.body)
    crc = fields_crc(timestamp, page.event_number, *said)
    return (page.id, timestamp, page.event_number, *said, crc)


def events_after(db: sqlite3.Connection, page: PageRow, after: int, limit: int) -> list[EventRow]:
    """Events with timestamp > `after` (ms), ascending, at most `limit` (negative: all).

    Raises Quarantined if one does not verify or is missing.
    """
    found = db.execute(_READ, (page.id, after, limit)).fetchall()
    before = db.execute(_BEFORE, (page.id, after)).fetchone()
    number = page.events_gone if before is None else before[0]
    for row in found:
        number += 1
        if row[1] != number or fields_crc(*row[:-1]) != row[-1]:
            raise Quarantined(page.tenant, page.name, f"event {number} does not verify")
    if len(found) != limit and number != page.event_number:
        raise Quarantined(page.tenant, page.name, f"events after number {number} are missing")
    return [EventRow(row[0], *row[2:-1]) for row in found]


def forget(db: sqlite3.Connection, page: PageRow, before: int, limit: int = -1) -> int:
    """Remove at most `limit` (negative: all) of the oldest events with timestamp < `before` (ms).

    Returns how many; the caller writes the page's row in the same transaction.
    """
    query = (
        "SELECT timestamp, number FROM event WHERE page = ? AND timestamp < ? ORDER BY 1 LIMIT ?"
    )
    rows = db.execute(query, (page.id, before, limit)).fetchall()
    if rows:
        page.event_floor, page.events_gone = rows[-1]
        query = "DELETE FROM event WHERE page = ? AND timestamp <= ?"
        db.execute(query, (page.id, page.event_floor))
    return len(rows)


def forget_all(db: sqlite3.Connection, page: PageRow) -> None:
    """Remove all of the page's events, damaged ones too; the caller writes the page's row."""
    db.execute("DELETE FROM event WHERE page = ?", (page.id,))
    page.event_floor, page.events_gone = page.last_event, page.event_number
