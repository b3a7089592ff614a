"""The command line: a mistake gets one sentence and exit code 2, never usage or a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crdt_chat.cli import main
from crdt_chat.cli.serving import config_of
from crdt_chat.config import Config, settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("CRDT_CHAT_"):
            monkeypatch.delenv(name)


def test_serve_turns_flags_into_settings(parsed):
    config = config_of(
        parsed(
            "serve", "--host", "::1", "--port", "0", "--db", "x.db", "--limits", "off",
            "--log-json", "--open-tenant", "a", "--open-tenant", "b", "--set", "page.body=7",
        )
    )  # fmt: skip
    assert (config.host, config.port, config.db) == ("::1", 0, Path("x.db"))
    assert (config.limits_off, config.log_json, config.page.body) == (True, True, 7)
    assert config.open_tenants == ("a", "b")


def test_flags_that_are_not_given_leave_the_environment_standing(parsed, monkeypatch):
    monkeypatch.setenv("CRDT_CHAT_LIMITS", "off")
    monkeypatch.setenv("CRDT_CHAT_LOG_JSON", "true")
    config = config_of(parsed("serve"))
    assert config.limits_off
    assert config.log_json


@pytest.fixture
def parsed():
    from crdt_chat.cli import parser

    return lambda *words: parser().parse_args(words)


def test_the_help_names_the_real_defaults(parsed):
    from crdt_chat.cli import parser

    verbs = next(action for action in parser()._actions if action.dest == "verb" or action.choices)
    shown = verbs.choices["serve"].format_help()  # type: ignore[index, union-attr]
    for value in (Config().host, Config().port, Config().db):
        assert f"(default: {value})" in " ".join(shown.split())


def test_settings_lists_every_setting_with_its_value(capsys, monkeypatch):
    monkeypatch.setenv("CRDT_CHAT_PORT", "9000")
    assert main(["settings", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(listed) == [setting.name for setting in settings()]
    assert listed["port"]["value"] == 9000
    assert main(["settings"]) == 0
    assert "limits.frame_bytes" in capsys.readouterr().out


def test_version_says_what_it_stands_on(capsys):
    assert main(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"crdt-chat", "python", "pycrdt", "sqlite"}
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"crdt-chat {found['crdt-chat']} (python ")


def test_a_reader_that_leaves_early_is_no_error():
    listing = subprocess.Popen(
        [sys.executable, "-m", "crdt_chat", "settings"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    complaint = listing.stderr.read()
    listing.stderr.close()
    assert listing.wait(60) in (0, 1)
    assert complaint == b""
