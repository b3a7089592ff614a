"""The samples of deploy/ name what there is: settings, commands, files; and drop what they need not have.

The proxies are run by tests/interop/test_proxies.py; docs/operations.md says how far the others were tried.
"""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from repository import ROOT

from crdt_chat.cli import parser
from crdt_chat.config import load

DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "crdt-chat.service").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line]


def commands(text: str) -> list[list[str]]:
    """The lines of crdt-chat in the comments of a sample."""
    joined = text.replace("\\\n#", "")
    found = re.findall(r"^#.*?crdt-chat (tenant|token|serve)\b(.*)$", joined, re.MULTILINE)
    return [[verb, *shlex.split(rest)] for verb, rest in found]


def service() -> configparser.SectionProxy:
    class Several(dict):
        """systemd takes a name several times."""

        def __setitem__(self, key, value):
            if key in self and isinstance(value, list):
                self[key].extend(value)
            else:
                super().__setitem__(key, value)

    unit = configparser.RawConfigParser(
        strict=False, dict_type=Several, empty_lines_in_values=False
    )
    unit.optionxform = str
    unit.read_string(UNIT)
    return unit["Service"]


@pytest.mark.parametrize("words", [*commands(UNIT), *commands(DOCKERFILE)], ids=" ".join)
def test_what_the_comments_tell_to_type_is_a_command(words):
    parser().parse_args(words)


def test_the_samples_have_such_comments():
    assert len(commands(UNIT)) >= 1
    assert len(commands(DOCKERFILE)) >= 2


def test_the_unit_starts_the_server_under_settings_that_there_are():
    program, *words = shlex.split(service()["ExecStart"])
    assert program == "/opt/crdt-chat/bin/crdt-chat"
    assert parser().parse_args(words).run.__name__ == "run_serve"
    environ = dict(line.split("=", 1) for line in service()["Environment"].splitlines() if line)
    config = load(environ=environ)
    assert (str(config.db), config.proxies) == ("/var/lib/crdt-chat/crdt-chat.db", ("127.0.0.1",))
    assert service()["StateDirectory"] == "crdt-chat"


def test_the_unit_leaves_time_for_a_graceful_stop_and_none_for_wrong_settings():
    assert int(service()["TimeoutStopSec"]) > load(environ={}).limits.stop_s * 2
    assert service()["RestartPreventExitStatus"] == "2"


@pytest.mark.parametrize(
    "line",
    [
        "NoNewPrivileges=true",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=true",
        "UMask=0077",
        "StateDirectoryMode=0700",
    ],
)
def test_the_unit_drops_what_a_server_need_not_have(line):
    assert line in UNIT.splitlines()


def test_systemd_understands_the_unit(tmp_path: Path):
    """As far as it can be asked where nothing is installed in /opt."""
    if shutil.which("systemd-analyze") is None:
        return  # a machine without systemd has no use for the unit either
    there = tmp_path / "crdt-chat.service"
    there.write_text(UNIT.replace("/opt/crdt-chat/bin/crdt-chat serve", "/bin/true"), "utf-8")
    ran = subprocess.run(
        ["systemd-analyze", "verify", there], capture_output=True, text=True, timeout=60
    )
    assert "crdt-chat.service:" not in ran.stderr, ran.stderr


def test_the_image_is_made_of_files_that_there_are_and_that_the_builder_is_sent():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        name
        for instruction, words in instructions()
        if instruction == "COPY" and not words.startswith("--from")
        for name in words.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_the_server_as_nobody_special_under_settings_that_there_are():
    said = instructions()
    assert [words for instruction, words in said if instruction == "USER"] == ["chat"]
    assert [i for i, _ in said].index("USER") > max(
        n for n, (i, _) in enumerate(said) if i == "RUN"
    )
    [variables] = [words for instruction, words in said if instruction == "ENV"]
    environ = dict(word.split("=", 1) for word in shlex.split(variables))
    del environ["PATH"]
    assert str(load(environ=environ).db) == "/data/crdt-chat.db"
    assert ("VOLUME", "/data") in said
    assert ("STOPSIGNAL", "SIGTERM") in said
    assert ("ENTRYPOINT", '["crdt-chat"]') in said
    [words] = [words for instruction, words in said if instruction == "CMD"]
    assert parser().parse_args(shlex.split(words.strip('[]"'))).run.__name__ == "run_serve"
    [health] = [words for instruction, words in said if instruction == "HEALTHCHECK"]
    assert f":{load(environ={}).port}/healthz" in health


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_the_proxies_that_are_tried_are_these_very_files(name):
    tried = (ROOT / "tests/interop/test_proxies.py").read_text("utf-8")
    assert f'replaced("{name}"' in tried
    assert 'DEPLOY = Path(__file__).resolve().parents[2] / "deploy"' in tried


def test_every_sample_is_in_the_table_of_what_was_tried():
    table = (ROOT / "docs/operations.md").read_text("utf-8")
    for path in DEPLOY.iterdir():
        if path.name != "Dockerfile.dockerignore":
            assert f"| `deploy/{path.name}` |" in table
