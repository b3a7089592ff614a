"""Tenants with hostile names in one file: all that each of them has there, so that a change of it is seen."""

import contextlib
import io
import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from entries import annotation, comment
from raw_client import RawClient
from server import RealServer, running_server
from trusted import token
from websockets.sync.client import connect

from crdt_chat.cli import main

SEED = 1

HOSTILE = (
    "a:b", "a", "a/b", "a%2Fb", "..", "A", "\u0430", "\u00e1", "a\u0301", "a ", "'; --", "\U0001f989", "*",
    "a?b", "a/roles/ada", "--db",
)  # fmt: skip
"""Only a settings file can name tenants like these."""
STORED = ("acme", "acme-", "ACME", "0")
"""What the database takes as a tenant's name."""
PAGES = ("c", "b:c", "c ")
GLOBAL = {
    "_sqlite_migrations", "directory", "server_secret", "clock", "seal", "fulltext", "sqlite_sequence",
}  # fmt: skip
"""Tables about the whole file; those of the full-text index repeat what is in others."""

Key = tuple[str, str]
"""Tenant and page; the page is "" for what is the tenant's own."""

Holdings = dict[Key, set[tuple[object, ...]]]
"""Every row of a file, by whose it is."""


@dataclass(frozen=True)
class Owner:
    """A tenant of the file. word is in all that it has and in nothing of anybody else's."""

    name: str
    secret: str
    word: str
    stored: bool

    def token(self, user: str = "ada", role: str = "moderator") -> str:
        """A token of its own."""
        shown = jwt.decode(token("acme", user, role=role), options={"verify_signature": False})
        return jwt.encode(shown | {"tenant": self.name}, self.secret, "HS256", {"kid": "k1"})


def owners(seed: int) -> list[Owner]:
    """The tenants of an estate: HOSTILE and STORED names, and a few drawn from the seed."""
    draw = random.Random(seed)
    drawn = {
        "".join(draw.choices("ab:/%2F.é\u200b \\?#&='\"*", k=draw.randint(1, 6))) for _ in range(4)
    }
    names = [*HOSTILE, *sorted(drawn - set(HOSTILE)), *STORED]
    return [
        Owner(name, f"secret-{number}-" + "s" * 30, f"word{number}x", name in STORED)
        for number, name in enumerate(names)
    ]


def settings_of(tenants: Sequence[Owner]) -> str:
    """The settings file that names those that the database can't."""
    return "\n".join(
        f'[tenants.{json.dumps(each.name, ensure_ascii=False)}]\nkeys.k1.secret = "{each.secret}"'
        for each in tenants
        if not each.stored
    )


def settle(server: RealServer, owner: Owner) -> None:
    """Write on each page of the tenant: an annotation of ada's and one of bob's, with comments."""
    for page, user in ((page, user) for page in PAGES for user in ("ada", "bob")):
        shown = f"token={owner.token(user)}&caps=crdt-chat.1"
        address = f"{server.ws(owner.name)}/{quote(page, safe='')}?{shown}"
        with connect(address, compression=None, max_size=None) as socket:
            client = RawClient(socket)
            client.handshake()
            client.write(
                ("annotations", f"{user}1", annotation(user, owner.word)),
                ("comments", f"{user}1/c1", comment(user, f"{owner.word} {page}")),
            )
            client.flush()


def holdings(db: Path) -> Holdings:
    """Every row of the file by whose it is. Raises AssertionError for a table that nobody has thought of."""
    found: Holdings = defaultdict(set)
    with closing(sqlite3.connect(db)) as file:
        tables = [
            row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        pages = {
            row[0]: (row[1], row[2]) for row in file.execute("SELECT id, tenant, name FROM page")
        }
        for table in tables:
            if table in GLOBAL or "_fts" in table:
                continue
            columns = [
                row[1] for row in file.execute(f"PRAGMA table_xinfo({table})") if row[6] != 1
            ]
            for values in file.execute(f"SELECT {', '.join(columns)} FROM {table}"):
                found[_whose(table, dict(zip(columns, values, strict=True)), pages)].add(
                    (table, *values)
                )
    return dict(found)


def _whose(table: str, row: dict[str, object], pages: dict[object, Key]) -> Key:
    if table == "tenant":
        return str(row["name"]), ""
    if table == "page":
        return str(row["tenant"]), str(row["name"])
    if "tenant" in row:
        return str(row["tenant"]), str(row.get("page", ""))
    assert "page" in row, f"whose are the rows of {table}?"
    return pages[row["page"]]


def contents(db: Path) -> dict[Key, set[tuple[str, str, str]]]:
    """What people see of every page, whatever epoch it is of: table, name and value."""
    found: dict[Key, set[tuple[str, str, str]]] = defaultdict(set)
    with closing(sqlite3.connect(db)) as file:
        for table in ("annotation", "comment", "reaction", "resolved", "deleted", "fact"):
            told = "SELECT tenant, page.name, t.name, value FROM page LEFT JOIN {} t ON t.page = page.id"
            for tenant, page, name, value in file.execute(told.format(table)):
                found[tenant, page] |= (
                    set()
                    if name is None
                    else {(table, name, json.dumps(json.loads(value), sort_keys=True))}
                )
    return dict(found)


class Estate:
    """The running server, its tenants, and the command line on its file."""

    def __init__(self, server: RealServer, tenants: list[Owner], settings: Path) -> None:
        self.server, self.tenants, self.settings = server, tenants, settings

    def run(self, verb: str, *words: str) -> tuple[int, str]:
        """Exit code and output. What looks like an option may be a name: names come last, behind `--`."""
        place = ["--db", str(self.server.db), "--config", str(self.settings)]
        file = str(self.settings.with_name("secret"))
        said = [file if word == "FILE" else word for word in words]
        out, err = io.StringIO(), io.StringIO()
        if said and said[-1] in {each.name for each in self.tenants}:
            place += ["--", said.pop()]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*verb.split(), *said, *place])
        assert "Traceback" not in err.getvalue()
        assert len(err.getvalue().splitlines()) <= 2, err.getvalue()
        return code, out.getvalue()

    def untouched(self, before: Holdings, but: Iterable[Key] = ()) -> Holdings:
        """Nothing has changed but perhaps these. Returns what there is now. Raises AssertionError."""
        now = holdings(self.server.db)
        changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
        assert changed <= set(but), changed - set(but)
        return now


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """An estate with something on every page of every tenant."""
    folder, tenants = tmp_path_factory.mktemp("estate"), owners(SEED)
    settings = folder / "settings.toml"
    settings.write_text(settings_of(tenants), "utf-8")
    (folder / "secret").write_text("q" * 40, "utf-8")
    with running_server(folder, tenants=(), arguments=["--config", str(settings)]) as running:
        found = Estate(running, tenants, settings)
        for owner in tenants:
            if owner.stored:
                key = folder / f"key-{owner.name}"
                key.write_text(owner.secret, "utf-8")
                assert found.run("tenant add", "--secret", str(key), owner.name)[0] == 0
            settle(running, owner)
        yield found
