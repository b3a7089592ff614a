"""The code in README runs as it stands there, against a real server."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from repository import ROOT
from server import StartServer, start_server
from waiting import PATIENCE_S

__all__ = ["start_server"]

README = (ROOT / "README.md").read_text("utf-8")
STATED = "ws://127.0.0.1:8700"


def code(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, language
    assert STATED in found[0]
    return found[0]


@pytest.fixture
def address(start_server: StartServer) -> str:
    """Where the tenant `lab` of README is served, here."""
    return start_server(tenants=("lab",)).http.replace("http", "ws", 1)


@pytest.fixture
def browser_code(address: str) -> Iterator[subprocess.Popen[str]]:
    """The JavaScript of README under Node, which needs a WebSocket where it has none."""
    polyfill = "import WebSocket from 'ws'; globalThis.WebSocket = WebSocket;\n"
    synced = code("js").replace("new Web", "const link = new Web")
    synced += "link.once('sync', () => console.log('synced'))\n"
    running = subprocess.Popen(
        ["node", "--input-type=module", "-e", polyfill + synced.replace(STATED, address)],
        cwd=ROOT / "tests/interop",
        stdout=subprocess.PIPE,
        text=True,
    )
    yield running
    running.kill()
    running.communicate(timeout=PATIENCE_S)


def run_python(address: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code("python").replace(STATED, address)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_python_annotates_and_reads_it_back(address):
    shown = run_python(address)
    assert "Is that so?" in shown
    assert "a sentence of the article" in shown


@pytest.mark.node
def test_the_javascript_sees_what_the_python_writes(address, browser_code):
    assert browser_code.stdout is not None
    assert browser_code.stdout.readline() == "synced\n"
    run_python(address)
    seen = browser_code.stdout.readline()
    while "a sentence of the article" not in seen:
        line = browser_code.stdout.readline()
        assert line, seen
        seen += line
