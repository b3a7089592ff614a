"""`crdt-chat tenant add|list|show|set|remove`: the tenants that the database holds."""

import argparse
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from crdt_chat.cli.admin import add_place, ask
from crdt_chat.cli.parser import CommandLine, Mistake, Verbs, add_verb

EXAMPLES = """\
  crdt-chat tenant add acme --domain example.org
  crdt-chat tenant add acme --domain example.org --public-key key.pem --algorithm ES256
  crdt-chat tenant add club --domain club.example --anonymous commenter
  crdt-chat tenant list --json
  crdt-chat tenant show acme
  crdt-chat tenant set acme --domain example.org --domain '*.example.org' --set page.body=20000
  crdt-chat tenant set acme --role ada=moderator --role eve=viewer --role bob=
  crdt-chat tenant set acme --key-id k2 --public-key new.pem --algorithm ES256
  crdt-chat tenant set acme --remove-key k1
  crdt-chat tenant remove acme

A tenant is closed until it is told otherwise: whoever comes needs a token of one of its keys. What
is changed while a server runs is in force at once."""


def add_verbs(verbs: Verbs) -> None:
    """Add `tenant` with its own verbs."""
    line = add_verb(verbs, "tenant", _without_verb, "Say who may come.", EXAMPLES)
    inner: Verbs = line.add_subparsers(title="verbs", metavar="VERB")
    add = add_verb(inner, "add", run_add, "Add a tenant, closed unless --open.", EXAMPLES)
    _add_name(add)
    _add_settings(add)
    listing = add_verb(inner, "list", run_list, "List all tenants.", "  crdt-chat tenant list")
    add_place(listing)
    show = add_verb(inner, "show", run_show, "Show one tenant.", "  crdt-chat tenant show acme")
    _add_name(show)
    change = add_verb(inner, "set", run_set, "Change some of a tenant.", EXAMPLES)
    _add_name(change)
    _add_settings(change)
    change.add_argument("--remove-key", action="append", default=[], metavar="ID", help="end a key")
    change.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="USER=ROLE",
        help="a role whatever the token says; none: the token decides again",
    )
    remove = add_verb(
        inner,
        "remove",
        run_remove,
        "Remove a tenant; its pages stay in the file, but nobody reaches them.",
        "  crdt-chat tenant remove acme",
    )
    _add_name(remove)


def _add_name(line: CommandLine) -> None:
    line.add_argument("name", metavar="NAME", help="the tenant")
    add_place(line)


def _add_settings(line: CommandLine) -> None:
    line.add_argument("--title", metavar="TEXT", help="a name for people")
    line.add_argument(
        "--domain",
        action="append",
        metavar="DOMAIN",
        help="a web site that may use it: example.org, *.example.org, http://host:8080, localhost",
    )
    line.add_argument(
        "--anonymous", metavar="ROLE", help="visitors without a token: viewer, commenter, ... none"
    )
    line.add_argument("--open", action="store_true", help="anybody may read and write")
    line.add_argument("--closed", action="store_true", help="the opposite of --open")
    line.add_argument("--sso-secret", metavar="FILE", help="API secret of legacy secure SSO")
    line.add_argument("--key-id", metavar="ID", help="of the key given here (default: k1)")
    line.add_argument("--secret", metavar="FILE", help="an HS256 secret, 32 bytes or more")
    line.add_argument("--public-key", metavar="FILE", help="a public key (PEM)")
    line.add_argument("--algorithm", metavar="NAME", help="of the public key: RS256, ES256, EdDSA")
    line.add_argument("--jwks", metavar="FILE", help="public keys as a JWKS, copied now")
    line.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a limit: page.body=20000"
    )


def _without_verb(_chosen: argparse.Namespace) -> int:
    raise Mistake("say what to do: `crdt-chat tenant add NAME` (see `crdt-chat tenant --help`)")


def run_add(chosen: argparse.Namespace) -> int:
    """Add a tenant and a key: one that was given, or a fresh secret, shown once."""
    key, fresh = _key(chosen), None
    if key is None and not chosen.open:
        import secrets

        fresh = secrets.token_urlsafe(32)
        key = {"id": chosen.key_id or "k1", "algorithm": "HS256", "secret": fresh}
    made = ask(chosen, "POST", "/tenants", {"name": chosen.name, **_wanted(chosen)})
    if key is not None:
        try:
            made["keys"] = ask(chosen, "POST", f"{_path(chosen)}/keys", key)["keys"]
        except Mistake:
            # A tenant without its key is half of what was asked for.
            ask(chosen, "DELETE", _path(chosen))
            raise
    if chosen.json:
        print(json.dumps({**made, **({"secret": fresh} if fresh else {})}, indent=2))
        return 0
    print(f"Added the tenant {chosen.name} ({'open to all' if made['open'] else 'closed'}).")
    if fresh is not None:
        print(
            f"Sign tokens with HS256, `kid` {made['keys'][0]['id']}, and this secret:\n\n    {fresh}"
        )
        print(
            "\nIt is shown only here. For a token to try it out:\n\n"
            f"    crdt-chat token {chosen.name} --user ada"
        )
    return 0


def run_list(chosen: argparse.Namespace) -> int:
    """List all tenants."""
    found = ask(chosen, "GET", "/tenants")["tenants"]
    if chosen.json:
        print(json.dumps(found, indent=2))
        return 0
    for tenant in found:
        state = "open" if tenant["open"] else "closed"
        print(f"{tenant['name']:24} {state:8} {', '.join(tenant['domains']) or '-'}")
    return 0


def run_show(chosen: argparse.Namespace) -> int:
    """Show one tenant, without secrets."""
    _show(chosen, ask(chosen, "GET", _path(chosen)))
    return 0


def run_set(chosen: argparse.Namespace) -> int:
    """Change what is given, leave the rest."""
    wanted, key = _wanted(chosen), _key(chosen)
    roles = [_role(pair) for pair in chosen.role]
    if not (wanted or key or roles or chosen.remove_key):
        raise Mistake("say what to change (see `crdt-chat tenant set --help`)")
    if wanted:
        ask(chosen, "PATCH", _path(chosen), wanted)
    if key is not None:
        ask(chosen, "POST", f"{_path(chosen)}/keys", key)
    for kid in chosen.remove_key:
        ask(chosen, "DELETE", f"{_path(chosen)}/keys/{quote(kid, safe='')}")
    for user, role in roles:
        path = f"{_path(chosen)}/roles/{quote(user, safe='')}"
        ask(chosen, "PUT" if role else "DELETE", path, {"role": role} if role else None)
    _show(chosen, ask(chosen, "GET", _path(chosen)))
    return 0


def run_remove(chosen: argparse.Namespace) -> int:
    """Remove a tenant."""
    ask(chosen, "DELETE", _path(chosen))
    if not chosen.json:
        print(f"Removed the tenant {chosen.name}; its pages are still in the file.")
    return 0


def _path(chosen: argparse.Namespace) -> str:
    return f"/tenants/{quote(chosen.name, safe='')}"


def _show(chosen: argparse.Namespace, tenant: dict[str, Any]) -> None:
    if chosen.json:
        print(json.dumps(tenant, indent=2))
        return
    limits = tenant.pop("limits")
    for name, value in {**tenant, **limits}.items():
        if name == "keys":
            value = [f"{key['id']} ({key['algorithm']})" for key in value]
        shown = ", ".join(value) if isinstance(value, list) else value
        print(f"{name:28} {'-' if shown in ('', None) else shown}")


def _role(pair: str) -> tuple[str, str]:
    user, equals, role = pair.rpartition("=")
    if not (user and equals):
        raise Mistake(f"--role takes USER=ROLE, not {pair!r}")
    return user, role


def _wanted(chosen: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as the API takes it."""
    if chosen.open and chosen.closed:
        raise Mistake("--open and --closed are opposites")
    wanted: dict[str, Any] = {}
    if chosen.title is not None:
        wanted["title"] = chosen.title
    if chosen.domain is not None:
        wanted["domains"] = [domain for domain in chosen.domain if domain]
    if chosen.anonymous is not None:
        wanted["anonymous"] = None if chosen.anonymous == "none" else chosen.anonymous
    if chosen.open or chosen.closed:
        wanted["open"] = chosen.open
    if chosen.sso_secret is not None:
        wanted["sso_secret"] = _read(chosen.sso_secret)
    for pair in chosen.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Mistake(f"--set takes NAME=VALUE, not {pair!r}")
        wanted[name] = value
    return wanted


def _key(chosen: argparse.Namespace) -> dict[str, Any] | None:
    """The key that the options name, None if they name none."""
    given = [name for name in ("secret", "public_key", "jwks") if getattr(chosen, name)]
    if len(given) > 1:
        raise Mistake("give one of --secret, --public-key and --jwks")
    if not given:
        return None
    material = _read(getattr(chosen, given[0]))
    if given == ["jwks"]:
        try:
            return {"jwks": json.loads(material)}
        except ValueError:
            raise Mistake(f"{chosen.jwks} is not JSON") from None
    if given == ["public_key"] and not chosen.algorithm:
        raise Mistake("say with --algorithm what the public key is for: RS256, ES256 or EdDSA")
    algorithm = chosen.algorithm or "HS256"
    return {"id": chosen.key_id or "k1", "algorithm": algorithm, given[0]: material}


def _read(name: str) -> str:
    """A file's text; secrets come in files, because other users can see a command line."""
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(
            f"cannot read {name}: {getattr(error, 'strerror', 'it is not text')}"
        ) from None
