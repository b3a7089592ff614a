"""`crdt-chat token`, `crdt-chat revoke` and `crdt-chat audit`."""

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from crdt_chat.cli.admin import add_place, ask
from crdt_chat.cli.parser import Mistake, Verbs, add_verb

EXAMPLES = """\
  crdt-chat token acme --user ada
  crdt-chat token acme --user ada --role moderator --page 'docs/*' --seconds 86400
  crdt-chat token --operator grace

The token is the only thing on stdout. Tenants' own servers sign theirs with the same secret; this is
for trying out and for scripts."""

REVOKE_EXAMPLES = """\
  crdt-chat revoke acme --user eve --reason "left the company"
  crdt-chat revoke acme --token 0198c1f0-0000-7000-8000-000000000000
  crdt-chat revoke acme --all
  crdt-chat revoke acme --list
  crdt-chat revoke acme --undo 3
  crdt-chat revoke --server-secret

Who is connected is closed with 4401 at once. --user and --all end what was issued so far: a fresh
token is good again."""


AUDIT_EXAMPLES = """\
  crdt-chat audit
  crdt-chat audit acme --action refused
  crdt-chat audit acme --user eve --json
  crdt-chat audit --after 1200 --limit 100

The newest entries, the oldest of them first; with --after those that follow. Actions begin with
tenant, key, token, role, revoke, moderation, refused, erase, export, backup, restore."""


def add_verbs(verbs: Verbs) -> None:
    """Add `token`, `revoke` and `audit`."""
    token = add_verb(verbs, "token", run_token, "Make a token, to try things out.", EXAMPLES)
    token.add_argument("tenant", metavar="TENANT", nargs="?", help="whose pages it is for")
    token.add_argument("--user", metavar="ID", help="who it is for")
    token.add_argument("--name", metavar="TEXT", help="the name that others see")
    token.add_argument("--role", metavar="ROLE", default="editor", help="default: editor")
    token.add_argument("--page", action="append", metavar="GLOB", help="default: all pages")
    token.add_argument("--seconds", metavar="N", type=int, default=3_600, help="default: 3600")
    token.add_argument("--operator", metavar="ID", help="for the whole admin API, no tenant")
    add_place(token)
    revoke = add_verb(
        verbs, "revoke", run_revoke, "End tokens before they expire.", REVOKE_EXAMPLES
    )
    revoke.add_argument("tenant", metavar="TENANT", nargs="?", help="whose tokens")
    revoke.add_argument("--operators", action="store_true", help="operators' tokens, no tenant's")
    what = revoke.add_mutually_exclusive_group(required=True)
    what.add_argument("--token", metavar="ID", help="one token, by its `jti`")
    what.add_argument("--user", metavar="ID", help="all that somebody was given so far")
    what.add_argument("--all", action="store_true", help="all that the tenant issued so far")
    what.add_argument("--list", action="store_true", help="show what is revoked")
    what.add_argument("--undo", metavar="N", type=int, help="take a revocation back")
    what.add_argument(
        "--server-secret",
        action="store_true",
        help="all that this server signed itself, after a database or backup has leaked",
    )
    revoke.add_argument("--reason", metavar="TEXT", default="", help="for the audit log")
    add_place(revoke)
    audit = add_verb(
        verbs,
        "audit",
        run_audit,
        "Show who changed what.",
        AUDIT_EXAMPLES,
    )
    audit.add_argument("tenant", metavar="TENANT", nargs="?", help="one tenant's (default: all)")
    audit.add_argument("--after", metavar="ID", type=int, help="the first entries after this one")
    audit.add_argument("--limit", metavar="N", type=int, default=1_000, help="at most so many")
    audit.add_argument("--action", metavar="TEXT", default="", help="how the action begins")
    audit.add_argument("--user", metavar="ID", help="who did it, or whom it was done to")
    add_place(audit)


def run_token(chosen: argparse.Namespace) -> int:
    """Print a token."""
    wanted: dict[str, Any] = {"seconds": chosen.seconds}
    if chosen.operator:
        made = ask(chosen, "POST", "/operators/tokens", {**wanted, "user": chosen.operator})
    elif not (chosen.tenant and chosen.user):
        raise Mistake("name a tenant and a --user: `crdt-chat token TENANT --user ID`")
    else:
        wanted |= {"user": chosen.user, "role": chosen.role, "pages": chosen.page or ["*"]}
        wanted |= {"name": chosen.name} if chosen.name else {}
        made = ask(chosen, "POST", f"/tenants/{quote(chosen.tenant, safe='')}/tokens", wanted)
    print(json.dumps(made, indent=2) if chosen.json else made["token"])
    return 0


def run_revoke(chosen: argparse.Namespace) -> int:
    """Revoke, list what is revoked, or take one back."""
    if chosen.server_secret:
        if chosen.tenant:
            raise Mistake("--server-secret is this server's own, not a tenant's")
        ask(chosen, "POST", "/operators/secret")
        return 0
    if bool(chosen.tenant) is bool(chosen.operators):
        raise Mistake("name the tenant: `crdt-chat revoke TENANT ...`, or say --operators")
    path = "/operators/revocations"
    if chosen.tenant:
        path = f"/tenants/{quote(chosen.tenant, safe='')}/revocations"
    elif chosen.list or chosen.undo is not None:
        raise Mistake("--list and --undo are for tenants")
    if chosen.list:
        for row in ask(chosen, "GET", path)["revocations"]:
            said = f"{row['id']:6} {moment(row['at'])} {row['kind']:7} {row['subject']} {row['reason']}"
            print(json.dumps(row) if chosen.json else said)
        return 0
    if chosen.undo is not None:
        ask(chosen, "DELETE", f"{path}/{chosen.undo}")
        return 0
    wanted = {"token": chosen.token, "user": chosen.user, "tenant": chosen.all}
    asked = {name: value for name, value in wanted.items() if value}
    made = ask(chosen, "POST", path, {**asked, "reason": chosen.reason})
    print(json.dumps(made) if chosen.json else f"Revoked (number {made['id']}).")
    return 0


def run_audit(chosen: argparse.Namespace) -> int:
    """Print the audit log, oldest first."""
    path = f"/tenants/{quote(chosen.tenant, safe='')}/audit" if chosen.tenant else "/audit"
    asked: dict[str, object] = {"limit": chosen.limit, "action": chosen.action}
    asked |= {"newest": "true"} if chosen.after is None else {"after": chosen.after}
    asked |= {} if chosen.user is None else {"user": chosen.user}
    found = ask(chosen, "GET", f"{path}?{urlencode(asked)}")["entries"]
    for row in found:
        print(json.dumps(row) if chosen.json else _audit_line(row))
    return 0


def _audit_line(row: Mapping[str, Any]) -> str:
    actor, subject = (
        f"{row['actor']} ({row['address']})",
        f"{row['tenant'] or '-'} {row['subject']}",
    )
    detail = json.dumps(row["detail"])
    return f"{row['id']:6} {moment(row['at'])} {actor} {row['action']} {subject} {detail}"


def moment(milliseconds: int) -> str:
    """A time (ms since 1970) for people to read, in UTC."""
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")
