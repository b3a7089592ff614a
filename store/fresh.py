"""A new file at once: `fresh.sql` is what all migrations together come to.

sqlite_utils, which runs migrations, takes 0.3 s to import, and pandas with it where that is installed: too
much for every first start, and for as long as the server runs. A test compares both ways. After a new
migration:

    python -m store.fresh > store/fresh.sql
"""

import sqlite3
from collections.abc import Iterator
from importlib import resources

_APPLIED = "_sqlite_migrations"
"""sqlite_utils' table of the migrations that a file has seen."""

_RECORD = (
    "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
    " VALUES ('store', '{}', strftime('%Y-%m-%d %H:%M:%f000+00:00'));"
)


def create(db: sqlite3.Connection, application_id: int, version: int) -> None:
    """Make an empty file one of this schema, in one transaction. db is in autocommit mode."""
    script = (resources.files("store") / "fresh.sql").read_text("utf-8")
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(script):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {application_id}")
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        # A trigger has semicolons of its own.
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def script_of(db: sqlite3.Connection) -> str:
    """The script that makes a file like this one, which has seen migrations and nothing else."""
    made: list[tuple[str, str, str | None]] = db.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY rowid"
    ).fetchall()
    virtual = [name for _, name, sql in made if (sql or "").startswith("CREATE VIRTUAL")]
    own = [
        (kind, name, sql.strip() + ";")
        for kind, name, sql in made
        if sql and not any(name.startswith(f"{table}_") for table in virtual)
    ]
    plain = [name for kind, name, _ in own if kind == "table" and name not in (*virtual, _APPLIED)]
    rows = [row for name in plain for row in _rows(db, name)]
    steps = db.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    records = [_RECORD.format(step) for (step,) in steps]
    return "\n".join([*(sql for _, _, sql in own), *rows, *records]) + "\n"


def _rows(db: sqlite3.Connection, table: str) -> Iterator[str]:
    columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})").fetchall()]
    values = " || ', ' || ".join(f'quote("{name}")' for name in columns)
    for (row,) in db.execute(f"SELECT {values} FROM {table}"):  # noqa: S608  # our own names
        yield f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({row});"  # noqa: S608


def migrated() -> sqlite3.Connection:
    """A database in memory that has gone through all migrations."""
    from sqlite_utils import Database

    from store.schema import migrations

    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations().apply(Database(db))
    return db


if __name__ == "__main__":
    print("-- Written by `python -m store.fresh`; do not edit by hand.")  # noqa: T201
    print(script_of(migrated()), end="")  # noqa: T201
