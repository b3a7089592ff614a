"""What is kept: one SQLite file, its schema, journal, group commit and read model.

    what goes in and out    records protocol errors
    one commit              writer batch journal gate events readmodel words pages
    reading                 sqlite_reader readers integrity listing people
    beside the pages        tenants trust moderation beside seals
    the file                sqlite_store schema fresh lock faults checksums backup epochs retention
    in memory               memory memory_page

docs/storage.md explains them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from store.sqlite_reader import SqliteReader
    from store.sqlite_store import SqliteStore

DISTRIBUTION = "crdt-chat"
"""Sentinel: a distribution on the registry is called `store`, too; the composition root checks."""


def open_store(path: "str | os.PathLike[str]") -> "SqliteStore":
    """Open or create the store in this file; blocks while it is verified or migrated.

    Raises errors.Locked (another process writes it), NotAStore, SchemaMismatch or Damaged; the file
    is left where it is and as it was.
    """
    # Imported here: `import store` stays cheap for the command line.
    from pathlib import Path

    from store.sqlite_store import SqliteStore

    return SqliteStore(Path(path))


def open_reader(path: "str | os.PathLike[str]") -> "SqliteReader":
    """Open the store in this file for reading only, also while another process serves it.

    Raises errors.NotAStore, SchemaMismatch or Damaged.
    """
    from pathlib import Path

    from store.sqlite_reader import SqliteReader

    return SqliteReader(Path(path))
