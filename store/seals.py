"""Sums over the small tables that no page's own checks cover: roles, revocations, the secret, logs.

Triggers keep for each of them how many rows there are and the sum of their CRCs, order-free, like the
directory of pages. Without it a flipped bit could give a revoked key back, and nobody would know.
"""

import logging
import sqlite3

from store.checksums import fields_crc
from store.errors import Damaged

log = logging.getLogger("crdt_chat.store")

ACCESS = ("tenant_role", "revocation", "server_secret")
"""Who may come hangs on these: they are read whole at start, and verified then."""

TABLES = (*ACCESS, "audit", "moderation", "usage", "clock")

SEAL = """
CREATE TABLE seal (
    name TEXT PRIMARY KEY, rows INTEGER NOT NULL, sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


def define(db: sqlite3.Connection) -> None:
    """Give a connection the function that the triggers call."""
    db.create_function("row_crc", -1, fields_crc, deterministic=True)


def make(db: sqlite3.Connection) -> None:
    """Create the table, its triggers and the seals of what is there already (a migration)."""
    db.execute(SEAL)
    for table in TABLES:
        for event, signs in (("INSERT", "+"), ("DELETE", "-"), ("UPDATE", "-+")):
            db.execute(_trigger(db, table, event, signs))
        _seal(db, table)


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]


def _crc(columns: list[str], row: str = "") -> str:
    return f"row_crc({', '.join(row + column for column in columns)})"


def _trigger(db: sqlite3.Connection, table: str, event: str, signs: str) -> str:
    columns = _columns(db, table)
    terms = {"+": f"+ {_crc(columns, 'NEW.')}", "-": f"- {_crc(columns, 'OLD.')}"}
    change = " ".join(terms[sign] for sign in signs)
    count = {"INSERT": "+ 1", "DELETE": "- 1", "UPDATE": ""}[event]
    return (
        f"CREATE TRIGGER {table}_sealed_{event.lower()} AFTER {event} ON {table} BEGIN "  # noqa: S608
        f"UPDATE seal SET rows = rows {count}, sum = sum {change} WHERE name = '{table}'; END"
    )


def _found(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Number and sum of the rows that are there. Raises sqlite3.DatabaseError, UnicodeDecodeError."""
    crcs = [fields_crc(*row) for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608
    return len(crcs), sum(crcs)


def _seal(db: sqlite3.Connection, table: str) -> None:
    db.execute("INSERT INTO seal VALUES (?, ?, ?)", (table, *_found(db, table)))


def holds(db: sqlite3.Connection, table: str) -> bool:
    """Whether the table is what was written to it. Raises sqlite3.DatabaseError if it can't be read."""
    query = "SELECT rows, sum FROM seal WHERE name = ?"
    known = db.execute(query, (table,)).fetchone()
    try:
        return bool(known == _found(db, table))
    except UnicodeDecodeError:
        return False


def require(db: sqlite3.Connection, path: object) -> None:
    """Verify what access hangs on; a seal that an operator has removed is made anew.

    Raises Damaged: who was revoked, or made a viewer, must not come back because of a flipped bit.
    """
    sealed, lost = _names(db), strangers(db)
    for table in ACCESS:
        if table not in sealed and not lost:
            log.warning("the table %s had no seal: its rows are believed as they are", table)
            _seal(db, table)
        elif not holds(db, table):
            raise Damaged(
                f"{path}: the table {table} does not verify, and access hangs on it: restore a backup "
                f"(docs/operations.md, Damage){_of(lost)}"
            )


def strangers(db: sqlite3.Connection) -> list[str]:
    """Seals of no table: a flipped bit may have taken them from theirs."""
    return sorted(_names(db) - set(TABLES))


def _names(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM seal")}


def _of(lost: list[str]) -> str:
    return f"; there is a seal named {', '.join(lost)}" if lost else ""
