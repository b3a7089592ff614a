"""The tables of the file, their migrations and the pragmas of every connection.

`user_version` is the number of migrations applied and `application_id` marks the file as ours, so
that opening an up-to-date file does not import sqlite_utils (0.3 s). Nor does a new one (`fresh.py`).
"""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from store import fresh, moderation, seals, trust, words
from store.errors import Damaged, NotAStore, SchemaMismatch

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

APPLICATION_ID = 0x43524443
"""`CRDC` in the SQLite header: https://www.sqlite.org/fileformat2.html#application_id"""

VERSION = 6

_CORE = """
CREATE TABLE page (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL, chain INTEGER NOT NULL, snapshot_seq INTEGER NOT NULL,
    updated INTEGER NOT NULL, last_event INTEGER NOT NULL, event_floor INTEGER NOT NULL,
    event_number INTEGER NOT NULL, events_gone INTEGER NOT NULL, log_gone INTEGER NOT NULL,
    gate_sum INTEGER NOT NULL, crc INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;
CREATE TABLE directory (
    id INTEGER PRIMARY KEY CHECK (id = 1), pages INTEGER NOT NULL, sum INTEGER NOT NULL
) STRICT;
INSERT INTO directory VALUES (1, 0, 0);
CREATE TABLE log (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    at INTEGER NOT NULL, actor TEXT NOT NULL, connection TEXT NOT NULL, origin BLOB NOT NULL,
    redacted INTEGER NOT NULL DEFAULT 0, digest BLOB NOT NULL, chain INTEGER NOT NULL,
    data BLOB NOT NULL, UNIQUE (page, seq)
) STRICT;
CREATE TABLE snapshot (
    page INTEGER PRIMARY KEY REFERENCES page, seq INTEGER NOT NULL, chain INTEGER NOT NULL,
    digest BLOB NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    number INTEGER NOT NULL, type TEXT NOT NULL, broadcast_id TEXT NOT NULL,
    user TEXT NOT NULL, entity TEXT NOT NULL, body TEXT NOT NULL,
    crc INTEGER NOT NULL, UNIQUE (page, timestamp)
) STRICT;
CREATE TABLE client_owner (
    page INTEGER NOT NULL REFERENCES page, client INTEGER NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (page, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE entity (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, creator TEXT NOT NULL,
    created INTEGER NOT NULL, PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE refused (
    page INTEGER NOT NULL REFERENCES page, client INTEGER NOT NULL, clock INTEGER NOT NULL,
    length INTEGER NOT NULL, repair TEXT NOT NULL, PRIMARY KEY (page, client, clock)
) STRICT, WITHOUT ROWID;
CREATE TABLE held (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE retired (
    page INTEGER NOT NULL REFERENCES page, client INTEGER NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (page, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    tenant TEXT NOT NULL, day INTEGER NOT NULL, page TEXT NOT NULL, metric TEXT NOT NULL,
    amount INTEGER NOT NULL, PRIMARY KEY (tenant, day, page, metric)
) STRICT, WITHOUT ROWID;
"""
_ARCHIVE = """
CREATE TABLE archived (
    page INTEGER NOT NULL REFERENCES page, root TEXT NOT NULL, name TEXT NOT NULL,
    content TEXT NOT NULL, PRIMARY KEY (page, root, name)
) STRICT, WITHOUT ROWID
"""
_ERASED = """
CREATE TABLE erased (
    page INTEGER NOT NULL REFERENCES page, digest TEXT NOT NULL, PRIMARY KEY (page, digest)
) STRICT, WITHOUT ROWID
"""

_READ_MODEL = """
CREATE TABLE annotation (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL,
    value TEXT NOT NULL, crc INTEGER NOT NULL, quote TEXT NOT NULL,
    title TEXT AS (json_extract(value, '$.title')),
    creator TEXT AS (json_extract(value, '$.creator')),
    created INTEGER AS (json_extract(value, '$.created')), UNIQUE (page, name)
) STRICT;
CREATE TABLE comment (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL,
    value TEXT NOT NULL, crc INTEGER NOT NULL,
    annotation TEXT NOT NULL, comment TEXT NOT NULL,
    body TEXT AS (json_extract(value, '$.body')), parent TEXT AS (json_extract(value, '$.parent')),
    creator TEXT AS (json_extract(value, '$.creator')),
    created INTEGER AS (json_extract(value, '$.created')),
    edited INTEGER AS (json_extract(value, '$.edited')), UNIQUE (page, name)
) STRICT;
CREATE TABLE reaction (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL, annotation TEXT NOT NULL, comment TEXT NOT NULL, emoji TEXT NOT NULL,
    user TEXT NOT NULL, at INTEGER AS (json_extract(value, '$.at')), PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE resolved (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL, by TEXT AS (json_extract(value, '$.by')),
    at INTEGER AS (json_extract(value, '$.at')),
    resolved INTEGER AS (json_extract(value, '$.resolved')), PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL, annotation TEXT NOT NULL, comment TEXT, user TEXT NOT NULL,
    at INTEGER AS (json_extract(value, '$.at')), PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE fact (
    page INTEGER NOT NULL REFERENCES page, root TEXT NOT NULL, name TEXT NOT NULL,
    value TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (page, root, name)
) STRICT, WITHOUT ROWID;
"""


# The latest awareness clock (ms) that a server of this file may have stamped.
_CLOCK = """
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL
) STRICT
"""

_READING = ("cell_size_check = ON", "query_only = ON")
# An erased text must not stay readable in free pages; FULL because NORMAL lost 9-27 % of what was
# acknowledged in each of five power cuts.
_WRITING = (
    "cell_size_check = ON",
    "foreign_keys = ON",
    "secure_delete = ON",
    "synchronous = FULL",
    "recursive_triggers = ON",
    "journal_size_limit = 67108864",
    "cache_size = -16384",
)


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection with the pragmas of the store, in autocommit: transactions are spelled out.

    `readonly` cannot write at all. Raises sqlite3.OperationalError if the file cannot be opened,
    Damaged if it is no database.
    """
    uri = path.absolute().as_uri() + ("?mode=ro" if readonly else "?mode=rwc")
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        for pragma in _READING if readonly else _WRITING:
            db.execute(f"PRAGMA {pragma}")
        seals.define(db)
    except BaseException:
        db.close()
        raise
    return db


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may read. Raises FileExistsError, OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's schema; a file that needs a migration is copied before.

    Raises as `check` does, and Damaged where there can be no write-ahead log. Such files are left
    untouched, where they are.
    """
    version = check(db, path)
    if db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise Damaged(f"{path}: the file system does not support SQLite's write-ahead log")
    if version == VERSION:
        return
    if version == 0 and not _applied(db):
        fresh.create(db, APPLICATION_ID, VERSION)
        return
    if version > 0:
        copy_before_migration(db, path, version)
    migrate(db)


def migrate(db: sqlite3.Connection) -> None:
    """Apply the migrations that a file of ours has not seen yet; nothing is copied before."""
    from sqlite_utils import Database

    # Our own pragmas stand; sqlite_utils leaves the connection and its autocommit as they are.
    migrations().apply(Database(db))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def check(db: sqlite3.Connection, path: Path) -> int:
    """The schema version of the file, 0 for a new one.

    Raises NotAStore, SchemaMismatch; sqlite3.DatabaseError for what is no database.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID and version > VERSION:
        raise SchemaMismatch(
            f"{path} has schema {version}, this program knows {VERSION}: use a newer crdt-chat"
        )
    if application == 0 and tables == 0:
        return 0
    # A first start that was killed between its migrations and the two pragmas is ours, too.
    if application == 0 and _applied(db):
        return 0
    if application != APPLICATION_ID:
        raise NotAStore(f"{path} is not a crdt-chat store; it was left as it is")
    if version < 1:
        raise SchemaMismatch(f"{path} has schema {version}, which never existed: it is damaged")
    return int(version)


def _applied(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone()
    if found is None:
        return False
    rows = db.execute("SELECT DISTINCT migration_set FROM _sqlite_migrations").fetchall()
    return rows in ([], [("store",)])


def copy_before_migration(db: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the file to `FILE.schema-N` and return that path; an existing copy is kept."""
    target = path.with_name(f"{path.name}.schema-{version}")
    if not target.exists():
        part = target.with_name(target.name + ".part")
        part.unlink(missing_ok=True)
        create_private(part)
        db.execute("VACUUM INTO ?", (os.fspath(part),))
        sync(part)
        part.replace(target)
        sync(target.parent)
    return target


def sync(path: Path) -> None:
    """Make a file or folder durable: VACUUM INTO does not, and a directory entry needs it, too."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def migrations() -> "Migrations":
    """The migrations in order; their number is `VERSION`."""
    from sqlite_utils import Migrations

    steps = Migrations("store")

    @steps()
    def m001_first(db: "Database") -> None:
        _all(db, (_CORE + _READ_MODEL).split(";"))
        # A prefix search of any length stays fast without prefix indexes at this size.
        for table, columns in (("annotation", ["quote", "title"]), ("comment", ["body"])):
            db.table(table).enable_fts(columns, create_triggers=True, tokenize=words.TOKENIZER)

    @steps()
    def m002_trust(db: "Database") -> None:
        _all(db, trust.TABLES)

    @steps()
    def m003_archive(db: "Database") -> None:
        db.execute(_ARCHIVE)

    @steps()
    def m004_moderation(db: "Database") -> None:
        _all(db, (*moderation.TABLES, _ERASED))

    @steps()
    def m005_index_apart(db: "Database") -> None:
        _all(db, words.TABLES)

    @steps()
    def m006_seals(db: "Database") -> None:
        db.execute(_CLOCK)
        seals.make(db.conn)

    return steps


def _all(db: "Database", statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
