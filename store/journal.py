"""The log of admitted updates: what a transaction appends and how a page is read, verified."""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise

from store.checksums import chained, row_digest, snapshot_digest
from store.errors import Quarantined
from store.pages import REMEMBERED_ORIGINS, Origins, PageRow
from store.records import LogEntry, LogRow

INSERT = (
    "INSERT INTO log (page, seq, epoch, at, actor, connection, origin, digest, chain, data) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
_READ = (
    "SELECT seq, at, actor, connection, data, epoch, origin, digest, chain, redacted FROM log "
    "WHERE page = ? AND seq > ? ORDER BY seq LIMIT ?"
)
LogParameters = tuple[int, int, int, int, str, str, bytes, bytes, int, bytes]


def appended(page: PageRow, entry: LogEntry) -> LogParameters:
    """Advance the page's head by `entry`; the parameters of `INSERT`."""
    seq = page.seq + 1
    digest = row_digest(
        seq, entry.at, page.epoch, entry.actor, entry.connection, entry.origin, entry.update
    )
    page.chain = chained(page.chain, digest)
    page.seq = seq
    page.updated = max(page.updated, entry.at)
    return (
        page.id,
        seq,
        page.epoch,
        entry.at,
        entry.actor,
        entry.connection,
        entry.origin,
        digest,
        page.chain,
        entry.update,
    )


def origins_of(db: sqlite3.Connection, page: PageRow) -> Origins:
    """The origins of the page's newest rows: read once, then kept up by who appends."""
    if page.origins is None:
        query = "SELECT origin FROM log WHERE page = ? AND seq > ? ORDER BY seq"
        rows = db.execute(query, (page.id, page.seq - REMEMBERED_ORIGINS)).fetchall()
        page.origins = Origins(origin for (origin,) in rows)
    return page.origins


def rows_after(db: sqlite3.Connection, page: PageRow, after: int, limit: int = -1) -> list[LogRow]:
    """Log rows with seq > `after`, ascending, at most `limit` (negative: all), each verified.

    None of those that are kept may be missing, and the chain must end as the page's row says.
    Raises Quarantined.
    """
    found = db.execute(_READ, (page.id, after, limit)).fetchall()
    verify_rows(page, found)
    first = max(after, page.log_gone) + 1
    last = found[-1][0] if found else first - 1
    if found and found[0][0] != first:
        raise Quarantined(page.tenant, page.name, f"log row {first} is missing")
    if len(found) != limit and last < page.seq:
        raise Quarantined(page.tenant, page.name, f"log rows after {last} are missing")
    if last == page.seq and found and found[-1][8] != page.chain:
        raise Quarantined(page.tenant, page.name, "the log does not end as the page's row says")
    return [LogRow(*row[:5]) for row in found]


def forget(db: sqlite3.Connection, page: PageRow, upto: int) -> int:
    """Remove rows up to `upto`, or up to the snapshot; the caller writes the page's row.

    Returns how many.
    """
    upto = min(upto, page.snapshot_seq)
    page.log_gone = max(page.log_gone, upto)
    query = "DELETE FROM log WHERE page = ? AND seq <= ?"
    return db.execute(query, (page.id, page.log_gone)).rowcount


def verify_rows(
    page: PageRow, rows: Sequence[tuple[int, int, str, str, bytes, int, bytes, bytes, int, int]]
) -> None:
    """Check digests, density and chain of consecutive rows as `_READ` gives them.

    A redacted row has lost its content and its actor, and nothing else: its digest stays in the
    chain. Raises Quarantined.
    """
    for seq, at, actor, connection, data, epoch, origin, digest, _, redacted in rows:
        if redacted:
            sound = redacted == 1 and not (data or actor or connection)
        else:
            sound = row_digest(seq, at, epoch, actor, connection, origin, data) == digest
        if not sound:
            raise Quarantined(page.tenant, page.name, f"log row {seq} does not verify")
    for before, row in pairwise(rows):
        if row[0] != before[0] + 1 or row[8] != chained(before[8], row[7]):
            raise Quarantined(page.tenant, page.name, f"the log breaks at row {row[0]}")


def snapshot_of(db: sqlite3.Connection, page: PageRow) -> tuple[bytes | None, int]:
    """The page's snapshot and the chain it stands on; (None, 0) before the first one.

    Raises Quarantined if it is missing or does not verify.
    """
    query = "SELECT seq, chain, digest, data FROM snapshot WHERE page = ?"
    found = db.execute(query, (page.id,)).fetchone()
    if found is None and page.snapshot_seq == 0:
        return None, 0
    if found is None:
        raise Quarantined(page.tenant, page.name, "its snapshot is missing")
    seq, chain, digest, data = found
    if seq != page.snapshot_seq or digest != snapshot_digest(seq, chain, data):
        raise Quarantined(page.tenant, page.name, "its snapshot does not verify")
    return data, chain


def tail(db: sqlite3.Connection, page: PageRow, chain: int) -> list[LogRow]:
    """The rows after the snapshot whose chain is `chain`: all of them, or Quarantined."""
    found = db.execute(_READ, (page.id, page.snapshot_seq, -1)).fetchall()
    verify_rows(page, found)
    for row in found:
        chain = chained(chain, row[7])
    if len(found) != page.seq - page.snapshot_seq or chain != page.chain:
        raise Quarantined(page.tenant, page.name, "log rows after the snapshot are missing")
    return [LogRow(*row[:5]) for row in found]


def put_snapshot(db: sqlite3.Connection, page: PageRow, upto: int, data: bytes) -> bool:
    """Write the snapshot that stands for rows up to `upto`; False if that is no progress.

    The caller writes the page's row and removes what the snapshot replaces, in the same
    transaction. Raises Quarantined if row `upto` cannot be found.
    """
    if not page.snapshot_seq < upto <= page.seq:
        return False
    query = "SELECT chain FROM log WHERE page = ? AND seq = ?"
    found = db.execute(query, (page.id, upto)).fetchone()
    if found is None:
        raise Quarantined(page.tenant, page.name, f"log row {upto} is missing")
    (chain,) = found
    db.execute(
        "INSERT OR REPLACE INTO snapshot (page, seq, chain, digest, data) VALUES (?,?,?,?,?)",
        (page.id, upto, chain, snapshot_digest(upto, chain, data), data),
    )
    page.snapshot_seq = upto
    return True
