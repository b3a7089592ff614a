"""`crdt-chat tenant`, `token`, `revoke` and `audit` on a database that nobody serves."""

import json
import stat
from pathlib import Path

import anyio
import jwt
import pytest

from crdt_chat.cli import main
from crdt_chat.cli.parser import Mistake
from crdt_chat.config import Config
from crdt_chat.errors import Unauthorized
from crdt_chat.server.admin.administration import open_authority
from crdt_chat.server.clock import system_clock, system_ids
from store import open_store


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Carries out one command line; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert (code, err) == (0, "")
    return out


def test_a_tenant_from_nothing_to_a_token(run, tmp_path):
    out = done(run("tenant", "add", "acme", "--domain", "a.example", "--title", "Acme"))
    secret = next(line.strip() for line in out.splitlines() if line.startswith("    "))
    token = done(
        run("token", "acme", "--user", "ada", "--role", "moderator", "--page", "docs/*")
    ).strip()
    claims = jwt.decode(token, secret, algorithms=["HS256"], audience="crdt-chat")
    assert (claims["sub"], claims["role"], claims["pages"]) == ("ada", "moderator", ["docs/*"])
    assert jwt.get_unverified_header(token)["kid"] == "k1"
    (shown,) = json.loads(done(run("tenant", "list", "--json")))
    assert (shown["name"], shown["domains"], shown["open"]) == ("acme", ["a.example"], False)
    assert secret not in json.dumps(shown)
    assert stat.S_IMODE((tmp_path / "crdt-chat.db").stat().st_mode) == 0o600


def test_what_is_set_is_shown_and_taken_back(run, tmp_path):
    (tmp_path / "secret").write_text("n" * 40 + "\n")
    done(run("tenant", "add", "acme", "--json"))
    words = [
        "--set",
        "page.body=20000",
        "--anonymous",
        "viewer",
        "--open",
        "--key-id",
        "k2",
        "--secret",
        "secret",
    ]
    words += ["--remove-key", "k1", "--role", "ada=moderator"]
    done(run("tenant", "set", "acme", *words))
    shown = json.loads(done(run("tenant", "show", "acme", "--json")))
    assert (shown["open"], shown["anonymous"], shown["limits"]["page.body"]) == (
        True,
        "viewer",
        20_000,
    )
    assert shown["keys"] == [{"id": "k2", "algorithm": "HS256"}]
    done(
        run(
            "tenant",
            "set",
            "acme",
            "--closed",
            "--anonymous",
            "none",
            "--set",
            "page.body=",
            "--role",
            "ada=",
        )
    )
    shown = json.loads(done(run("tenant", "show", "acme", "--json")))
    assert (shown["open"], shown["anonymous"], shown["limits"]["page.body"]) == (
        False,
        None,
        10_000,
    )
    done(run("tenant", "remove", "acme"))
    assert json.loads(done(run("tenant", "list", "--json"))) == []


def test_revocations_are_listed_and_undone(run):
    done(run("tenant", "add", "acme"))
    number = json.loads(done(run("revoke", "acme", "--user", "eve", "--reason", "left", "--json")))[
        "id"
    ]
    assert "eve left" in done(run("revoke", "acme", "--list"))
    done(run("revoke", "acme", "--undo", str(number)))
    assert done(run("revoke", "acme", "--list")) == ""
    actions = [
        json.loads(line)["action"] for line in done(run("audit", "acme", "--json")).splitlines()
    ]
    assert actions == ["tenant.add", "key.add", "revoke.user", "revoke.undo"]
    assert "revoke.user acme eve" in done(run("audit"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tenant",), "say what to do"),
        (("tenant", "ad", "x"), "did you mean add"),
        (("tenant", "add", "a:b"), "tenant's name"),
        (("tenant", "add", "acme"), "already"),
        (
            ("tenant", "add", "new", "--public-key", "absent.pem", "--algorithm", "ES256"),
            "cannot read",
        ),
        (("tenant", "add", "new", "--public-key", "a.pem"), "--algorithm"),
        (
            ("tenant", "add", "new", "--public-key", "a.pem", "--algorithm", "ES256"),
            "no public key",
        ),
        (("tenant", "add", "new", "--jwks", "a.pem"), "not JSON"),
        (("tenant", "add", "new", "--secret", "a.pem", "--jwks", "a.pem"), "one of"),
        (("tenant", "add", "new", "--open", "--closed"), "opposites"),
        (("tenant", "add", "new", "--domain", "a b"), "no domain"),
        (("tenant", "add", "new", "--set", "page.bodi=1"), "did you mean page.body"),
        (("tenant", "add", "new", "--set", "page.body"), "NAME=VALUE"),
        (("tenant", "set", "acme"), "what to change"),
        (("tenant", "set", "acme", "--role", "ada"), "USER=ROLE"),
        (("tenant", "set", "acme", "--role", "ada=root"), "one of viewer"),
        (("tenant", "show", "nobody"), "no such tenant"),
        (("tenant", "remove", "nobody"), "no such tenant"),
        (("token", "acme"), "--user"),
        (("token", "nobody", "--user", "a"), "no such tenant"),
        (("token", "acme", "--user", "a", "--role", "root"), "one of viewer"),
        (("revoke", "--user", "a"), "name the tenant"),
        (("revoke", "acme"), "required"),
        (("revoke", "acme", "--undo", "7"), "no such revocation"),
        (("audit", "--db", "absent/a.db"), "no folder"),
        (("audit", "--db", "absent.db"), "no database"),
        (("audit", "--db", "a.pem"), "a.pem"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(run, tmp_path, words, sentence):
    (tmp_path / "a.pem").write_text("not a key " * 200)
    done(run("tenant", "add", "acme"))
    before = done(run("audit", "--json"))
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("crdt-chat: ")
    assert err.count("\n") == 1
    assert sentence in err
    kept = [json.loads(line)["tenant"] for line in done(run("audit", "--json")).splitlines()]
    assert set(kept) <= {"acme", "new"}
    assert before in done(run("audit", "--json"))
    assert json.loads(done(run("tenant", "list", "--json")))[0]["name"] == "acme"
    assert len(json.loads(done(run("tenant", "list", "--json")))) == 1


def test_a_file_in_use_by_something_without_a_socket_is_told(run, tmp_path):
    done(run("tenant", "add", "acme"))
    store = open_store(Path(tmp_path / "crdt-chat.db"))
    code, _, err = run("tenant", "list")
    store._close()
    assert code == 2
    assert "in use by process" in err


def test_what_a_killed_server_left_behind_is_no_server(run, tmp_path):
    import socket

    done(run("tenant", "add", "acme"))
    left = socket.socket(socket.AF_UNIX)
    left.bind("crdt-chat.db.sock")
    left.close()
    assert "acme" in done(run("tenant", "list"))


def test_serve_takes_a_tenant_of_the_database_for_one(run):
    from crdt_chat.cli.serving import _stored_tenants

    code, _, err = run("serve", "--port", "0")
    assert code == 2
    assert "crdt-chat tenant add NAME" in err
    done(run("tenant", "add", "acme"))
    assert _stored_tenants(Path("crdt-chat.db")) == ["acme"]


def test_backups_and_restores_are_in_the_audit_log(run, tmp_path):
    done(run("tenant", "add", "acme"))
    done(run("backup", "copy.db"))
    done(run("tenant", "add", "later"))
    done(run("restore", "copy.db"))
    entries = [json.loads(line) for line in done(run("audit", "--json")).splitlines()]
    copy = str(tmp_path / "copy.db")
    assert [(e["actor"], e["action"]) for e in entries if e["subject"] == copy] == [
        ("operator", "backup"),
        ("operator", "restore"),
    ]
    assert all(entry["address"] for entry in entries)
    # what was done after the backup was made is known still
    assert "later" in [entry["subject"] for entry in entries]
    assert done(run("audit", "acme", "--action", "tenant.", "--limit", "1")).count("\n") == 1


def test_a_backup_that_can_not_be_noted_is_told(run, tmp_path, monkeypatch):
    done(run("tenant", "add", "acme"))

    def full(*_words, **_more):
        raise Mistake("the disk is full")

    monkeypatch.setattr("crdt_chat.cli.privacy.ask", full)
    code, _, err = run("backup", "copy.db")
    assert code == 2
    assert "is made, but not in the audit log" in err
    assert (tmp_path / "copy.db").exists()


def test_a_server_secret_that_leaked_is_renewed_and_nothing_signed_with_it_counts(run, tmp_path):
    done(run("tenant", "add", "acme"))
    token = done(run("token", "--operator", "grace")).strip()
    place = Config(db=tmp_path / "crdt-chat.db")

    async def operator() -> str:
        store, clock = open_store(place.db), system_clock()
        try:
            authority = await open_authority(place, store, clock, system_ids(clock))
            return authority.operator(token).user
        finally:
            await store.close()

    assert anyio.run(operator) == "grace"
    done(run("revoke", "--server-secret"))
    with pytest.raises(Unauthorized):
        anyio.run(operator)
    token = done(run("token", "--operator", "grace")).strip()
    assert anyio.run(operator) == "grace"
    assert "secret.renew" in done(run("audit", "--action", "secret"))
