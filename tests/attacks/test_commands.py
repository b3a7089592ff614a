"""Every verb of the command line on tenants with hostile names: it touches and tells of the one named."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

import jwt
import pytest
from estate import PAGES, Estate, Holdings, Owner, contents, estate, holdings

from crdt_chat.cli import parser

__all__ = ["estate"]

PAGE = "b:c"


@dataclass(frozen=True)
class Line:
    """One way to use a verb on a tenant.

    words: what is said, NAME for the tenant. changes: what of the tenant it may change: a page and what the
    tenant has itself, all, or nothing. tells: whether something of the tenant must come out. where: the
    tenants that it works on, stored ones only, those of the settings only, all, or none.
    """

    verb: str
    words: tuple[str, ...]
    changes: str = ""
    tells: bool = False
    where: str = "all"


NAME = "\x00"
HERE = ("--page", PAGE)
WHY = ("--reason", "a reason")
LINES = (
    Line("tenant show", ("--json", NAME)),
    Line("tenant list", ("--json",)),
    Line("tenant add", (NAME,), where="none"),
    Line("tenant add", ("--open", "--title", "T", NAME), where="none"),
    Line("tenant set", ("--title", "T", "--domain", "a.example", NAME), "tenant", where="stored"),
    Line("tenant set", ("--set", "page.body=20000", "--anonymous", "viewer", NAME), "tenant", where="stored"),
    Line("tenant set", ("--open", NAME), "tenant", where="stored"),
    Line("tenant set", ("--closed", "--anonymous", "none", NAME), "tenant", where="stored"),
    Line("tenant set", ("--sso-secret", "FILE", NAME), "tenant", where="stored"),
    Line("tenant set", ("--key-id", "k2", "--secret", "FILE", NAME), "tenant", where="stored"),
    Line("tenant set", ("--remove-key", "k2", NAME), "tenant", where="stored"),
    Line("tenant set", ("--role", "ada=viewer", NAME), "tenant"),
    Line("tenant set", ("--role", "ada=", NAME), "tenant"),
    Line("token", ("--user", "a/../b", "--page", "*", "--name", "N", "--role", "viewer",
                   "--seconds", "60", NAME), "tenant"),
    Line("revoke", ("--user", "eve", *WHY, NAME), "tenant"),
    Line("revoke", ("--token", "j1", NAME), "tenant"),
    Line("revoke", ("--list", NAME)),
    Line("moderate", (*HERE, "--hide", "ada1/c1", *WHY, NAME), "page"),
    Line("moderate", (*HERE, NAME), tells=True),
    Line("moderate", (NAME,)),
    Line("moderate", (*HERE, "--unhide", "ada1/c1", NAME), "page"),
    Line("moderate", (*HERE, "--close", "ada1", NAME), "page"),
    Line("moderate", (*HERE, "--reopen", "ada1", NAME), "page"),
    Line("moderate", (*HERE, "--dismiss", "ada1", NAME), "page"),
    Line("moderate", (*HERE, "--restore", "ada1", NAME), "page", where="none"),
    Line("audit", ("--limit", "5", "--action", "token", "--after", "0", "--json", NAME)),
    Line("audit", ("--user", "eve", NAME)),
    Line("export", ("--user", "ada", NAME), "tenant", tells=True),
    Line("erase", ("--annotation", "ada1/c1", *HERE, NAME), "page"),
    Line("erase", (*HERE, NAME), "page"),
    Line("erase", ("--user", "bob", NAME), "all"),
    Line("revoke", ("--all", NAME), "tenant"),
)  # fmt: skip
"""In this order: what is erased first has nothing more to tell."""

OF_NO_TENANT = {
    "serve": "its tenants are those of this estate", "demo": "serves a file and a tenant of its own",
    "settings": "reads no database", "version": "reads no database",
    "integrity": "see test_integrity_finds_everybodys_in_order",
    "backup": "see test_a_restore_gives_everybody_back_what_was_theirs",
    "restore": "see test_a_restore_gives_everybody_back_what_was_theirs",
    "tenant remove": "see test_a_tenant_that_is_removed_is_the_one_that_was_named",
}  # fmt: skip
ELSEWHERE = {
    "tenant add": {"--secret", "--public-key", "--algorithm", "--jwks", "--key-id", "--sso-secret",
                   "--domain", "--anonymous", "--set", "--closed"},
    "tenant set": {"--public-key", "--algorithm", "--jwks"},
    "token": {"--operator"}, "revoke": {"--operators", "--server-secret", "--undo"},
}  # fmt: skip
"""Options that name no tenant, or stand beside the name of one as others do that are tried."""
PLACE = {"--db", "--config", "--json", "-h", "--help"}


def verbs(
    line: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every verb that can be carried out, with its parser."""
    inner = [each for each in line._actions if isinstance(each, argparse._SubParsersAction)]
    if not inner:
        yield name, line
    for action in inner:
        for word, below in action.choices.items():
            yield from verbs(below, f"{name} {word}".strip())


def test_every_verb_and_every_option_is_tried_on_the_estate() -> None:
    known = dict(verbs(parser()))
    assert set(known) == {line.verb for line in LINES} | set(OF_NO_TENANT)
    for verb in {line.verb for line in LINES}:
        options = {each for action in known[verb]._actions for each in action.option_strings}
        tried = {
            word
            for line in LINES
            if line.verb == verb
            for word in line.words
            if word.startswith("--")
        }
        assert options == tried | ELSEWHERE.get(verb, set()) | PLACE, verb


def untouched(estate: Estate, before: Holdings, line: Line, owner: Owner) -> Holdings:
    """Nothing has changed but what this line may change of this tenant. Raises AssertionError."""
    mine = {"": set(), "tenant": {""}, "page": {"", PAGE}, "all": {"", *PAGES}}[line.changes]
    return estate.untouched(before, {(owner.name, page) for page in mine})


def expected(line: Line, owner: Owner) -> bool:
    """Whether the verb does it for this tenant."""
    if NAME not in line.words:
        return True
    # The address of such a tenant in the admin API would be another one's.
    if "/" in owner.name or line.where == "none":
        return False
    return line.where == "all" or owner.stored


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "line", LINES, ids=lambda line: " ".join((line.verb, *line.words)).replace(NAME, "T")
)
def test_a_verb_touches_and_tells_of_the_tenant_that_it_names(estate: Estate, line: Line) -> None:
    before = holdings(estate.server.db)
    named = NAME in line.words
    for owner in estate.tenants if named else estate.tenants[:1]:
        words = [owner.name if word == NAME else word for word in line.words]
        code, out = estate.run(line.verb, *words)
        assert (code == 0) is expected(line, owner), (owner.name, code, out)
        before = untouched(estate, before, line, owner)
        others = [each.word for each in estate.tenants if each != owner and each.word in out]
        assert not others, (owner.name, out)
        assert not any(each.secret in out for each in estate.tenants)
        if code == 0:
            assert owner.word in out or not line.tells, (owner.name, out)
            told_of(line, owner, out)


def told_of(line: Line, owner: Owner, out: str) -> None:
    """What a verb prints of a tenant names this one."""
    if line.verb == "token":
        said = jwt.decode(out.strip(), owner.secret, ["HS256"], audience="crdt-chat")
        assert (said["tenant"], said["sub"]) == (owner.name, "a/../b")
    if line.verb == "tenant show":
        assert json.loads(out)["name"] == owner.name
    if line.verb == "audit":
        rows = [json.loads(row) for row in out.splitlines()] if "--json" in line.words else []
        assert {row["tenant"] for row in rows} <= {owner.name}


def test_a_revocation_is_taken_back_by_its_own_tenant_only(estate: Estate) -> None:
    first = next(each for each in estate.tenants if each.name == "acme")
    code, out = estate.run("revoke", "--user", "zoe", "--json", first.name)
    assert code == 0
    number = json.loads(out)["id"]
    line = Line("revoke", ("--undo", str(number), NAME))
    before = holdings(estate.server.db)
    for owner in estate.tenants:
        if owner != first:
            assert estate.run("revoke", "--undo", str(number), owner.name)[0] != 0
            before = untouched(estate, before, line, owner)
    assert estate.run("revoke", "--undo", str(number), first.name)[0] == 0


def test_integrity_finds_everybodys_in_order(estate: Estate) -> None:
    code, out = estate.run("integrity", "--json")
    assert code == 0
    assert json.loads(out)["pages"] == len({key for key in contents(estate.server.db) if key[1]})


def test_a_tenant_that_is_removed_is_the_one_that_was_named(estate: Estate) -> None:
    before = holdings(estate.server.db)
    for owner in estate.tenants:
        if owner.name == "acme":
            continue
        code, _ = estate.run("tenant remove", owner.name)
        assert (code == 0) is owner.stored, owner.name
        before = untouched(estate, before, Line("tenant remove", (), "tenant"), owner)


def test_a_restore_gives_everybody_back_what_was_theirs(estate: Estate) -> None:
    """What is erased afterwards stays so, at the tenant that was named."""
    kept = contents(estate.server.db)
    backup = estate.settings.with_name("backup.db")
    assert estate.run("backup", str(backup))[0] == 0
    for owner in estate.tenants:
        code, _ = estate.run("erase", "--page", "c ", owner.name)
        assert (code == 0) is ("/" not in owner.name and (owner.name == "acme" or not owner.stored))
        if code == 0:
            kept[owner.name, "c "] = set()
    estate.server.stop()
    assert estate.run("restore", str(backup))[0] == 0
    now = contents(estate.server.db)
    for key in kept:
        assert now.get(key, set()) == kept[key], key
    estate.server.start()
