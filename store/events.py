"""The event log: rows whose timestamps rise per page whatever the clock does."""

import sqlite3

from store.checksums import fields_crc
from store.errors import Quarantined
from store.pages import PageRow
from store.records import EventEntry, EventRow

INSERT = (
    "INSERT INTO event (page, timestamp, type, broadcast_id, user, entity, body, crc) "
    "VALUES (?,?,?,?,?,?,?,?)"
)
_READ = (
    "SELECT timestamp, type, broadcast_id, user, entity, body, crc FROM event "
    "WHERE page = ? AND timestamp > ? ORDER BY timestamp LIMIT ?"
)
EventParameters = tuple[int, int, str, str, str, str, str, int]


def appended(page: PageRow, event: EventEntry, now: int) -> EventParameters:
    """Give `event` its timestamp, `now` (ms) or later; the parameters of `INSERT`."""
    timestamp = page.next_timestamp(now)
    crc = fields_crc(
        timestamp, event.type, event.broadcast_id, event.user, event.entity, event.body
    )
    page.event_sum += crc
    return (
        page.id,
        timestamp,
        event.type,
        event.broadcast_id,
        event.user,
        event.entity,
        event.body,
        crc,
    )


def events_after(db: sqlite3.Connection, page: PageRow, after: int, limit: int) -> list[EventRow]:
    """Events with timestamp > `after` (ms), ascending, at most `limit` (negative: all).

    Raises Quarantined if one does not verify.
    """
    found = []
    for row in db.execute(_READ, (page.id, after, limit)):
        if fields_crc(*row[:-1]) != row[-1]:
            raise Quarantined(page.tenant, page.name, f"event {row[0]} does not verify")
        found.append(EventRow(*row[:-1]))
    return found


def forget(db: sqlite3.Connection, page: PageRow, before: int, limit: int = -1) -> int:
    """Remove at most `limit` (negative: all) of the oldest events with timestamp < `before` (ms).

    Returns how many; the caller writes the page's row in the same transaction.
    """
    query = "SELECT timestamp, crc FROM event WHERE page = ? AND timestamp < ? ORDER BY 1 LIMIT ?"
    rows = db.execute(query, (page.id, before, limit)).fetchall()
    if rows:
        page.event_floor = rows[-1][0]
        page.event_sum -= sum(crc for _, crc in rows)
        query = "DELETE FROM event WHERE page = ? AND timestamp <= ?"
        db.execute(query, (page.id, page.event_floor))
    return len(rows)
