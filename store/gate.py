"""The gate's own state beside the document: owners, entities, refused, held, archived, retired, erased.

Opaque rows here. All of a page's rows are covered by `gate_sum` in the page's row, so that a lost,
added or changed row is noticed when the page is loaded.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from store.checksums import fields_crc
from store.errors import Quarantined
from store.pages import PageRow
from store.records import PageCommit, StoredPage

Field = str | int


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the gate: its columns after `page`, the first `keys` of which identify a row."""

    name: str
    columns: tuple[str, ...]
    keys: int

    @property
    def where(self) -> str:
        """The condition that finds one row."""
        return " AND ".join(f"{column} = ?" for column in ("page", *self.columns[: self.keys]))

    @property
    def insert(self) -> str:
        """The statement that adds a row, unless its key is taken."""
        marks = ",".join("?" * (len(self.columns) + 1))
        columns = ", ".join(self.columns)
        return f"INSERT INTO {self.name} (page, {columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608

    @property
    def select(self) -> str:
        """The statement that reads a page's rows."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE page = ?"  # noqa: S608

    def crc(self, row: Iterable[Field]) -> int:
        """What this row adds to the page's gate_sum."""
        return fields_crc(self.name, *row)


OWNERS = Table("client_owner", ("client", "user"), 1)
ENTITIES = Table("entity", ("name", "creator", "created"), 1)
REFUSED = Table("refused", ("client", "clock", "length", "repair"), 2)
HELD = Table("held", ("name", "content"), 1)
ARCHIVED = Table("archived", ("root", "name", "content"), 2)
RETIRED = Table("retired", ("client", "epoch"), 1)
ERASED = Table("erased", ("digest",), 1)
TABLES = (OWNERS, ENTITIES, REFUSED, HELD, ARCHIVED, RETIRED, ERASED)
_INSERTS = {table.name: table.insert for table in TABLES}


def put(db: sqlite3.Connection, page: PageRow, table: Table, row: tuple[Field, ...]) -> None:
    """Add a row, or let it replace the one of the same key."""
    if db.execute(_INSERTS[table.name], (page.id, *row)).rowcount == 0:
        remove(db, page, table, row[: table.keys])
        db.execute(_INSERTS[table.name], (page.id, *row))
    page.gate_sum += table.crc(row)


def remove(db: sqlite3.Connection, page: PageRow, table: Table, key: tuple[Field, ...]) -> None:
    """Remove the row of this key, if it is there."""
    query = f"DELETE FROM {table.name} WHERE {table.where} RETURNING {', '.join(table.columns)}"  # noqa: S608
    for row in db.execute(query, (page.id, *key)).fetchall():
        page.gate_sum -= table.crc(row)


def clear(db: sqlite3.Connection, page: PageRow, table: Table) -> None:
    """Remove all of the page's rows of this table."""
    for row in db.execute(table.select, (page.id,)).fetchall():
        page.gate_sum -= table.crc(row)
    db.execute(f"DELETE FROM {table.name} WHERE page = ?", (page.id,))  # noqa: S608


def apply(db: sqlite3.Connection, page: PageRow, commit: PageCommit) -> None:
    """Write the gate's rows of one commit."""
    for owner in commit.owners:
        put(db, page, OWNERS, owner)
    for entity in commit.entities:
        put(db, page, ENTITIES, entity)
    for refused in commit.refused:
        put(db, page, REFUSED, refused)
    for name in commit.released:
        remove(db, page, HELD, (name,))
    for held in commit.held:
        put(db, page, HELD, held)
    for key in commit.unarchived:
        remove(db, page, ARCHIVED, key)
    for archived in commit.archived:
        put(db, page, ARCHIVED, archived)


def load(db: sqlite3.Connection, page: PageRow, into: StoredPage) -> None:
    """Fill the gate's rows of `into`. Raises Quarantined if they do not verify."""
    total = 0
    found: dict[str, list[Any]] = {}
    for table in TABLES:
        rows = db.execute(table.select, (page.id,)).fetchall()
        total += sum(table.crc(row) for row in rows)
        found[table.name] = rows
    if total != page.gate_sum:
        raise Quarantined(page.tenant, page.name, "the gate's tables do not verify")
    into.owners = found["client_owner"]
    into.entities = found["entity"]
    into.refused = found["refused"]
    into.held = found["held"]
    into.archived = found["archived"]
    into.retired = [client for client, _ in found["retired"]]
    into.erased = [digest for (digest,) in found["erased"]]
