"""`crdt-chat moderate`: what waits for a moderator, and what moderators do, from the command line."""

import argparse
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from crdt_chat.cli.admin import add_place, ask
from crdt_chat.cli.parser import Mistake, Verbs, add_verb
from crdt_chat.cli.tokens import moment

EXAMPLES = """\
  crdt-chat moderate acme
  crdt-chat moderate acme --page blog/first-post
  crdt-chat moderate acme --page blog/first-post --hide a1/c2 --reason "it is rude"
  crdt-chat moderate acme --page blog/first-post --dismiss a1
  crdt-chat moderate acme --page blog/first-post --close page

Without a page: the flags that wait, on all pages. With one: what is hidden, deleted and closed, its
flags, and who did what and why. ENTITY is ANNOTATION or ANNOTATION/COMMENT, as these lists name it."""

ACTIONS = {
    "hide": "move it out of the page into the store",
    "unhide": "write it back as it was",
    "restore": "lift every deletion of it",
    "close": "take nothing new below it, or on the page (`page`)",
    "reopen": "the opposite of --close",
    "dismiss": "answer its flags: it may stay",
}


def add_verbs(verbs: Verbs) -> None:
    """Add `moderate`."""
    line = add_verb(verbs, "moderate", run_moderate, "See flags, hide, restore, close.", EXAMPLES)
    line.add_argument("tenant", metavar="TENANT", help="whose pages are meant")
    line.add_argument("--page", metavar="NAME", help="the page")
    what = line.add_mutually_exclusive_group()
    for action, about in ACTIONS.items():
        what.add_argument(f"--{action}", metavar="ENTITY", help=about)
    line.add_argument("--reason", metavar="TEXT", default="", help="for moderators to read")
    add_place(line)


def run_moderate(chosen: argparse.Namespace) -> int:
    """Show what waits, or act and return when it is durable."""
    path = f"/tenants/{quote(chosen.tenant, safe='')}/moderation"
    wanted = [(action, getattr(chosen, action)) for action in ACTIONS if getattr(chosen, action)]
    if wanted and chosen.page is None:
        raise Mistake("say where: --page NAME")
    if wanted:
        [(action, entity)] = wanted
        asked = {"page": chosen.page, "action": action, "entity": entity, "reason": chosen.reason}
        ask(chosen, "POST", path, asked)
        return 0
    query = "" if chosen.page is None else f"?{urlencode({'page': chosen.page})}"
    found = ask(chosen, "GET", path + query)
    if chosen.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found)
    return 0


def _show(found: Mapping[str, Any]) -> None:
    for entity, held in found.get("hidden", {}).items():
        print(f"hidden   {entity} {_words(held['content'])}")
    for entity, gone in found.get("deleted", {}).items():
        people = ", ".join(str(entry["by"]) for entry in gone["by"])
        print(f"deleted  {entity} by {people} {_words(gone['content'])}")
    for closing in found.get("closed", ()):
        print(f"closed   {closing['entity']} by {closing['by']} {json.dumps(closing['reason'])}")
    for flag in found["flags"]:
        place = f"{flag['page']} " if "page" in flag else ""
        print(f"waits    {place}{flag['entity']} by {_told(flag)}")
    for entry in found.get("log", ()):
        print(f"{entry['action']:8} {entry['entity']} by {_told(entry)}")


def _told(entry: Mapping[str, Any]) -> str:
    return f"{entry['user']} {moment(entry['at'])} {json.dumps(entry['reason'])}"


def _words(content: list[list[Any]]) -> str:
    """The text of what is hidden or deleted, quoted: it may hold anything, line ends included."""
    bodies = [value["body"] for root, _, value in content if root == "comments" and value]
    return json.dumps(" / ".join(bodies), ensure_ascii=True)
