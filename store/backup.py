"""A consistent copy of the file while it is served, verified before it gets its name."""

import os
from contextlib import closing
from pathlib import Path

from store import schema
from store.errors import Damaged
from store.faults import of_file


def backup(source: Path, target: Path) -> None:
    """Copy the store to `target`, which appears whole or not at all. Blocks.

    Raises FileExistsError if there is something already, Damaged if the copy does not verify.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    schema.create_private(part)
    try:
        db = schema.connect(source, readonly=True)
        try:
            db.execute("PRAGMA query_only = OFF")  # the copy is written; the source cannot be
            db.execute("VACUUM INTO ?", (os.fspath(part),))
        finally:
            db.close()
        check_copy(part)
        schema.sync(part)
        # link, not rename: it fails if somebody has made the target meanwhile.
        os.link(part, target)
    finally:
        part.unlink(missing_ok=True)
    schema.sync(target.parent)


def carry_over(old: Path, new: Path) -> None:
    """Take over what must outlive a restore of an older copy: who may come, and the audit log.

    A key that was taken back since, a role or a secret that was renewed, must not be good again.

    `new` may be open elsewhere, `old` may not be damaged. Raises sqlite3.Error.
    """
    db = schema.connect(new)
    try:
        db.execute("ATTACH ? AS old", (os.fspath(old),))
        db.execute("BEGIN IMMEDIATE")
        for table in ("audit", "revocation"):
            newer = f"WHERE id > (SELECT coalesce(max(id), 0) FROM main.{table})"  # noqa: S608
            db.execute(f"INSERT INTO main.{table} SELECT * FROM old.{table} {newer}")  # noqa: S608
        for table in ("tenant", "tenant_role", "server_secret"):
            db.execute(f"DELETE FROM main.{table}")  # noqa: S608
            db.execute(f"INSERT INTO main.{table} SELECT * FROM old.{table}")  # noqa: S608
        if db.execute("SELECT 1 FROM old.sqlite_master WHERE name = 'clock'").fetchone():
            db.execute(
                "INSERT OR REPLACE INTO main.clock SELECT * FROM old.clock "
                "WHERE reserved > (SELECT coalesce(max(reserved), 0) FROM main.clock)"
            )
        db.execute("COMMIT")
    finally:
        db.close()


def noted(copy: Path, action: str) -> list[str]:
    """Details (JSON) of the audit entries of a copy whose action begins so. Raises Damaged."""
    query = "SELECT detail FROM audit WHERE substr(action, 1, length(:action)) = :action"
    with of_file(copy), closing(schema.connect(copy, readonly=True)) as db:
        return [detail for (detail,) in db.execute(query, {"action": action})]


def check_copy(copy: Path) -> None:
    """Verify a file that `backup` made, of this version's schema or an older one.

    Raises NotAStore, SchemaMismatch, Damaged.
    """
    with of_file(copy), closing(schema.connect(copy, readonly=True)) as db:
        found = db.execute("PRAGMA integrity_check(1)").fetchone()
        version = schema.check(db, copy)
    if found != ("ok",):
        raise Damaged(f"the copy does not verify: {found[0]}")
    if not version:
        raise Damaged("the copy does not verify: there are no pages in it")


def bring_up(copy: Path) -> None:
    """Give a copy that `check_copy` takes this version's schema. Raises SchemaMismatch, Damaged."""
    with of_file(copy), closing(schema.connect(copy)) as db:
        if schema.check(db, copy) < schema.VERSION:
            schema.migrate(db)
