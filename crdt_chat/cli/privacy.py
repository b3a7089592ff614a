"""`crdt-chat erase`, `export`, `backup`, `restore`: what is gone for good, and what must not get lost."""

import argparse
import json
from pathlib import Path
from urllib.parse import quote

from crdt_chat.cli.admin import add_place, ask, settings
from crdt_chat.cli.parser import Mistake, Verbs, add_verb

LONG_S = 3_600.0
"""How long an erasure may take: it looks through everything and rewrites the file."""

ERASE_EXAMPLES = """\
  crdt-chat erase acme --user ada@example.org
  crdt-chat erase acme --page blog/first-post
  crdt-chat erase acme --page blog/first-post --annotation 0198c1f0-0000-7000-8000-000000000000
  crdt-chat erase acme --page blog/first-post --annotation 0198c1f0-...-000000000000/0198c1f1-...

It can't be undone. The pages concerned begin a new epoch: whoever has one open loads it anew. Revoke a
person's tokens first (`crdt-chat revoke`), or she may go on writing. Backups made before still hold
what was erased: `crdt-chat restore` erases it again by FILE.erasures, which lies beside the database."""


BACKUP_EXAMPLES = """\
  crdt-chat backup /backups/chat-monday.db
  crdt-chat backup /backups/chat.db --db /var/lib/crdt-chat/chat.db

A consistent, verified copy; the server goes on serving. Keep the newest FILE.erasures with it."""

EXPORT_EXAMPLES = """\
  crdt-chat export acme --user ada@example.org

Everything that is kept about one person: what she wrote, also what was deleted or hidden and earlier
versions, what she did, flagged and was given, and where others mention her."""

RESTORE_EXAMPLES = """\
  crdt-chat restore /backups/chat-monday.db

Stop the server first. The database that was there is kept as FILE.replaced. Every page begins a new
epoch: who has written since the backup was made brings her own back with the next connection. What was
erased since is erased again."""


def add_verbs(verbs: Verbs) -> None:
    """Add `erase`, `export`, `backup` and `restore`."""
    _add_erase(verbs)
    backup = add_verb(verbs, "backup", run_backup, "Copy a database in use.", BACKUP_EXAMPLES)
    backup.add_argument("file", metavar="FILE", type=Path, help="the copy; must not exist yet")
    add_place(backup)
    export = add_verb(
        verbs, "export", run_export, "All about one person, as JSON.", EXPORT_EXAMPLES
    )
    export.add_argument("tenant", metavar="TENANT", help="whose pages are meant")
    export.add_argument("--user", metavar="ID", required=True, help="the person")
    add_place(export)
    restore = add_verb(verbs, "restore", run_restore, "Go back to a backup.", RESTORE_EXAMPLES)
    restore.add_argument("file", metavar="FILE", type=Path, help="what `backup` made")
    add_place(restore)


def run_backup(chosen: argparse.Namespace) -> int:
    """Copy the database, served or not."""
    import sqlite3

    from store.backup import backup
    from store.errors import StoreError

    db = settings(chosen).db
    if not db.exists():
        raise Mistake(f"there is no database {db}: name one with --db")
    if not chosen.file.absolute().parent.is_dir():
        raise Mistake(f"there is no folder {chosen.file.absolute().parent}")
    try:
        backup(db, chosen.file)
    except (StoreError, OSError, sqlite3.Error) as error:
        raise Mistake(f"no backup was made: {error}") from None
    size = chosen.file.stat().st_size
    noted = {"file": str(chosen.file.absolute()), "bytes": size}
    try:
        ask(chosen, "POST", "/backups", noted)
    except Mistake as mistake:
        raise Mistake(f"{chosen.file} is made, but not in the audit log: {mistake}") from None
    print(json.dumps({"file": str(chosen.file), "bytes": size}) if chosen.json else
          f"{chosen.file}: {size:,} bytes, verified.")  # fmt: skip
    return 0


def run_export(chosen: argparse.Namespace) -> int:
    """Print everything about one person."""
    tenant, user = quote(chosen.tenant, safe=""), quote(chosen.user, safe="")
    found = ask(chosen, "GET", f"/tenants/{tenant}/exports?user={user}", seconds=LONG_S)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return 0


def run_restore(chosen: argparse.Namespace) -> int:
    """Put a backup in the place of the database."""
    from crdt_chat.config import BadSetting
    from crdt_chat.server.restoring import restore
    from store.errors import StoreError

    config = settings(chosen)
    if not chosen.file.is_file():
        raise Mistake(f"there is no file {chosen.file}")
    try:
        done = restore(config, chosen.file)
    except (StoreError, BadSetting, OSError, ValueError) as error:
        raise Mistake(f"nothing was restored: {error}") from None
    said = {"pages": done.pages, "erasures": done.erasures}
    if chosen.json:
        print(json.dumps({**said, "replaced": str(done.replaced) if done.replaced else None}))
    else:
        print(f"Restored {done.pages} page(s); {done.erasures} erasure(s) were done again.")
        if done.replaced:
            print(f"What was there before is {done.replaced}: delete it when all is well.")
    return 0


def _add_erase(verbs: Verbs) -> None:
    about = "Erase a person, a page or an annotation for good."
    line = add_verb(verbs, "erase", run_erase, about, ERASE_EXAMPLES)
    line.add_argument("tenant", metavar="TENANT", help="whose pages are meant")
    line.add_argument("--user", metavar="ID", help="a person: all she wrote, and her name")
    line.add_argument("--page", metavar="NAME", help="all of a page, or where --annotation is")
    line.add_argument("--annotation", metavar="ID", help="an annotation, or ANNOTATION/COMMENT")
    add_place(line)


def run_erase(chosen: argparse.Namespace) -> int:
    """Erase, and return when no byte of it is left."""
    said = {"user": chosen.user, "page": chosen.page, "annotation": chosen.annotation}
    wanted = {name: value for name, value in said.items() if value is not None}
    if not wanted:
        raise Mistake("say whom or what: --user ID, --page NAME, or --page NAME --annotation ID")
    path = f"/tenants/{quote(chosen.tenant, safe='')}/erasures"
    done = ask(chosen, "POST", path, wanted, seconds=LONG_S)
    if chosen.json:
        print(json.dumps(done))
    else:
        print(f"Erased; {done['pages']} page(s) were rewritten. Its id in the logs: {done['id']}")
        for copy in done["copies"]:
            print(f"{copy} is an older copy and may still hold it: delete it.")
    return 0
