"""Whatever is wrong on a command line or around it: one sentence that helps, exit code 2, no traceback."""

import os
import shlex
import subprocess
import sys

import pytest

from crdt_chat.cli import main

FILES = {
    "text.txt": b"hello\n",
    "noise.db": bytes(range(256)) * 20,
    "wrong.toml": b'port = "x"\n',
    "broken.toml": b"port = \n",
    "empty.json": b"{}",
}

MISTAKES = {
    "": "say what to do: `crdt-chat demo` to try it",
    "--nope": "`crdt-chat` knows no --nope",
    "serv": "there is no verb serv; did you mean serve?",
    "xyzzy": "there is no verb xyzzy (see `crdt-chat --help`)",
    "serve": "name one with `crdt-chat serve --open-tenant NAME`",
    "serve --prot 1": "`crdt-chat serve` knows no --prot; did you mean --port?",
    "serve extra": "`crdt-chat serve` knows no extra",
    "serve --port": "argument --port: expected one argument (see `crdt-chat",
    "serve --port x": "--port must be a whole number, 0 or more, not 'x'",
    "serve --port 70000": "--port must be a port from 0 to 65535",
    "serve --limits none": "argument --limits: invalid choice: 'none'",
    "serve --log-level loud": "--log-level must be one of debug, info, warning, error, not 'loud'",
    "serve --open-tenant=": "--open-tenant must be a list of names",
    "serve --set page.body": "--set takes NAME=VALUE, not 'page.body'",
    "serve --set page.bodi=3": "page.bodi is unknown; did you mean page.body?",
    "serve --set page.body=x": "--set page.body must be a whole number",
    "serve --config absent.toml": "cannot read the settings file absent.toml",
    "serve --config folder": "cannot read the settings file folder: Is a directory",
    "serve --config wrong.toml": "wrong.toml: port must be a whole number",
    "serve --config broken.toml": "the settings file broken.toml is not TOML",
    "serve --open-tenant lab --db folder": "folder is a folder: name a file with --db",
    "serve --open-tenant lab --db no/x.db": "to keep x.db in",
    "serve --open-tenant lab --tls-cert a": "TLS needs both --tls-cert and --tls-key",
    "serve --open-tenant lab --tls-cert a --tls-key b": "cannot read a or b",
    "serve --open-tenant lab --tls-cert text.txt --tls-key text.txt": "are no certificate",
    "demo --prot 1": "`crdt-chat demo` knows no --prot; did you mean --port?",
    "settings --config absent.toml": "cannot read the settings file absent.toml",
    "settings --jsn": "knows no --jsn; did you mean --json?",
    "integrity --db absent.db": "there is no file absent.db",
    "integrity --db text.txt": "file is not a database",
    "integrity --config wrong.toml": "wrong.toml: port must be a whole number",
    "tenant": "say what to do: `crdt-chat tenant add NAME`",
    "tenant ad acme": "there is no verb ad; did you mean add?",
    "tenant add": "the following arguments are required: NAME",
    "tenant add acme": "there is a tenant acme already",
    "tenant add 'a b'": "a tenant's name has 1 to 64 of A-Z a-z 0-9 _ -",
    "tenant add x --open --closed": "--open and --closed are opposites",
    "tenant add x --secret absent": "cannot read absent: No such file",
    "tenant add x --secret noise.db": "cannot read noise.db: it is not text",
    "tenant add x --secret text.txt": "an HS256 secret has at least 32 bytes",
    "tenant add x --public-key text.txt": "say with --algorithm what the public key is for",
    "tenant add x --public-key text.txt --algorithm RS256": "that is no public key for RS256",
    "tenant add x --jwks text.txt": "text.txt is not JSON",
    "tenant add x --jwks empty.json": "a JWKS is an object with at most 50 `keys`",
    "tenant add x --anonymous king": "one of viewer, commenter, editor, not 'king'",
    "tenant add x --domain 'no domain'": "'no domain' is no domain: write example.org",
    "tenant show nobody": "there is no such tenant here",
    "tenant show acme --db absent.db": "there is no database absent.db: name one with --db",
    "tenant set acme": "say what to change",
    "tenant set acme --role ada": "--role takes USER=ROLE, not 'ada'",
    "tenant set acme --role ada=king": "`role` is one of viewer, commenter, editor",
    "tenant set acme --remove-key nope": "the tenant has no such key",
    "tenant set acme --set page.nobody=1": "is unknown for a tenant; did you mean page.body?",
    "tenant list --db text.txt": "file is not a database",
    "token": "name a tenant and a --user",
    "token nobody --user ada": "there is no such tenant here",
    "token acme --user ada --role king": "`role` is one of viewer",
    "token acme --user ada --seconds 0": "`seconds` is 1 to 31,622,400",
    "token acme --user anon:x": "begins with anon: is a visitor without a token",
    "revoke acme": "one of the arguments --token --user --all --list --undo --server-secret is required",
    "revoke acme --user a --token b": "argument --token: not allowed with argument --user",
    "revoke acme --server-secret": "--server-secret is this server's own, not a tenant's",
    "revoke --operators --list": "--list and --undo are for tenants",
    "revoke acme --undo 9": "there is no such revocation",
    "audit acme --after -1": "`after` is a whole number",
    "moderate nobody": "there is no such tenant here",
    "moderate acme --hide a1": "say where: --page NAME",
    "erase acme": "say whom or what: --user ID, --page NAME",
    "erase acme --user a --page b": "say whom or what to erase",
    "erase acme --page nope": "there is no such page",
    "export nobody --user a": "there is no such tenant here",
    "backup text.txt": "text.txt exists already",
    "backup no/new.db": "there is no folder",
    "restore absent.db": "there is no file absent.db",
    "restore folder": "there is no file folder",
    "restore text.txt": "file is not a database",
}

LATE = {
    "serve --open-tenant lab --db text.txt": "file is not a database",
    "serve --open-tenant lab --host nowhere.invalid": "is no address of this machine",
    "serve --open-tenant lab --set proxies=nonsense": "proxies must be addresses or networks",
}
"""Found only once the server is about to start, which sets up the logs of a whole process."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder to make mistakes in, with a database that knows the tenant acme."""
    path = tmp_path_factory.mktemp("mistakes")
    for name, content in FILES.items():
        (path / name).write_bytes(content)
    (path / "folder").mkdir()
    add = ["tenant", "add", "acme", "--db", str(path / "crdt-chat.db")]
    assert main(add) == 0
    return path


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, folder):
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name.startswith("CRDT_CHAT_"):
            monkeypatch.delenv(name)


def check(code: int, out: str, err: str, sentence: str) -> None:
    """The sentence and nothing else."""
    assert code == 2, err
    assert err.startswith("crdt-chat: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_gets_one_sentence(line, capsys, folder):
    capsys.readouterr()
    words = shlex.split(line)
    if line == "serve":
        words += ["--db", "fresh.db"]
    code = main(words)
    check(code, *capsys.readouterr(), MISTAKES[line])
    assert not (folder / "fresh.db").exists()


@pytest.mark.parametrize("line", LATE)
def test_a_mistake_that_shows_at_the_start_gets_one_sentence_too(line):
    words = [sys.executable, "-m", "crdt_chat", *shlex.split(line)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    check(done.returncode, done.stdout, done.stderr, LATE[line])
