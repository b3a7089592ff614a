"""The full text index, filled apart from the commits: when the writer is idle, or somebody searches.

To index a text costs as much as all the rest of its commit, and less than half in bulk. The rows of a
table are indexed in the order of their ids, and `fulltext.upto` is the last that is: changes of a row up
to there change the index in the same transaction (triggers), those of younger rows need not. An id is
used again once the last row is gone: `upto` never lies beyond the last row.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

TOKENIZER = "unicode61 remove_diacritics 2"

SLICE = 256
"""Rows that are indexed in one transaction: some milliseconds for which commits wait."""

_COLUMNS = {"annotation": ("quote", "title"), "comment": ("body",)}
"""Table -> the columns of its index, `<table>_fts`."""


def _triggers(table: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    names = ", ".join(columns)
    old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("old", "new"))
    upto = f"(SELECT upto FROM fulltext WHERE source = '{table}')"  # noqa: S608
    forget = (
        f"INSERT INTO {table}_fts ({table}_fts, rowid, {names}) VALUES ('delete', old.id, {old});"  # noqa: S608
    )
    again = f"INSERT INTO {table}_fts (rowid, {names}) VALUES (new.id, {new});"  # noqa: S608
    lower = (
        f"UPDATE fulltext SET upto = (SELECT coalesce(max(id), 0) FROM {table}) "  # noqa: S608
        f"WHERE source = '{table}' AND upto > (SELECT coalesce(max(id), 0) FROM {table});"
    )
    return (
        f"CREATE TRIGGER {table}_changed AFTER UPDATE ON {table} WHEN old.id <= {upto} "
        f"BEGIN {forget} {again} END",
        # Before the next one, which may lower `upto`.
        f"CREATE TRIGGER {table}_gone BEFORE DELETE ON {table} WHEN old.id <= {upto} "
        f"BEGIN {forget} END",
        f"CREATE TRIGGER {table}_fewer AFTER DELETE ON {table} BEGIN {lower} END",
    )


TABLES = (
    # As sqlite_utils made them: an insert was indexed at once.
    *(f"DROP TRIGGER {table}_{kind}" for table in _COLUMNS for kind in ("ai", "ad", "au")),
    "CREATE TABLE fulltext (source TEXT PRIMARY KEY, upto INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    *(
        f"INSERT INTO fulltext SELECT '{table}', coalesce(max(id), 0) FROM {table}"  # noqa: S608
        for table in _COLUMNS
    ),
    *(statement for table in _COLUMNS for statement in _triggers(table, _COLUMNS[table])),
)
"""What turns an index that each insert fills into one that follows."""


def behind(db: sqlite3.Connection) -> int:
    """About how many rows are not indexed yet; 0 only if all are."""
    return sum(max(0, _last(db, table) - _upto(db, table)) for table in _COLUMNS)


def catch_up(db: sqlite3.Connection) -> int:
    """Index some rows in one transaction, which this opens and ends; returns as `behind`."""
    with _transaction(db):
        for table, columns in _COLUMNS.items():
            _index(db, table, ", ".join(columns))
        return behind(db)


def unindexed(db: sqlite3.Connection, table: str, query: str) -> list[int]:
    """The ids of rows that the index does not have yet and that this FTS5 query matches."""
    columns = ", ".join(_COLUMNS[table])
    wanted = f"SELECT id, {columns} FROM {table} WHERE id > ?"  # noqa: S608
    rows = db.execute(wanted, (_upto(db, table),)).fetchall()
    if not rows:
        return []
    with closing(sqlite3.connect(":memory:")) as own:
        own.execute(f"CREATE VIRTUAL TABLE young USING fts5 ({columns}, tokenize = '{TOKENIZER}')")
        marks = ",".join("?" * len(rows[0]))
        own.executemany(f"INSERT INTO young (rowid, {columns}) VALUES ({marks})", rows)  # noqa: S608
        found = own.execute("SELECT rowid FROM young WHERE young MATCH ?", (query,)).fetchall()
    return [row for (row,) in found]


def rebuild(db: sqlite3.Connection) -> None:
    """Make the whole index anew from the tables."""
    with _transaction(db):
        for table in _COLUMNS:
            db.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('rebuild')")  # noqa: S608
            _advance(db, table, _last(db, table))


def optimize(db: sqlite3.Connection) -> None:
    """Rewrite the index: it marks removed words and drops them only when it merges."""
    for table in _COLUMNS:
        db.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('optimize')")  # noqa: S608


def faults(db: sqlite3.Connection) -> list[str]:
    """What is wrong with the index, compared with the tables; it must have caught up."""
    found = []
    for table in _COLUMNS:
        try:
            query = f"INSERT INTO {table}_fts ({table}_fts, rank) VALUES ('integrity-check', 1)"  # noqa: S608
            db.execute(query)
        except sqlite3.DatabaseError as error:
            found.append(f"full text index {table}_fts: {error}")
    return found


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite may have done so itself.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _index(db: sqlite3.Connection, table: str, columns: str) -> None:
    upto = _upto(db, table)
    query = f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT ?)"  # noqa: S608
    (last,) = db.execute(query, (upto, SLICE)).fetchone()
    if last is not None:
        db.execute(
            f"INSERT INTO {table}_fts (rowid, {columns}) "  # noqa: S608
            f"SELECT id, {columns} FROM {table} WHERE id > ? AND id <= ?",
            (upto, last),
        )
        _advance(db, table, last)


def _last(db: sqlite3.Connection, table: str) -> int:
    (last,) = db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
    return int(last)


def _upto(db: sqlite3.Connection, table: str) -> int:
    found = db.execute("SELECT upto FROM fulltext WHERE source = ?", (table,)).fetchone()
    return 0 if found is None else int(found[0])


def _advance(db: sqlite3.Connection, table: str, upto: int) -> None:
    db.execute("INSERT OR REPLACE INTO fulltext (source, upto) VALUES (?, ?)", (table, upto))
