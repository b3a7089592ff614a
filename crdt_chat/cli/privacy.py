"""`crdt-chat erase`: a person, a page or an annotation, from everywhere, while the server runs."""

import argparse
import json
from urllib.parse import quote

from crdt_chat.cli.admin import add_place, ask
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


def add_verbs(verbs: Verbs) -> None:
    """Add `erase`."""
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
    return 0
