"""What is committed in crdt_chat/static is what the sources in widget build."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDGET = ROOT / "widget"
STATIC = ROOT / "crdt_chat" / "static"
BY_HAND = {"demo.html", "demo.css", "front.html", "icon.svg"}
MODULES = WIDGET / "node_modules"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def node() -> str:
    path = shutil.which("node")
    if path is None or not MODULES.exists():
        pytest.skip("needs Node.js and the npm packages of widget: run script/test")
    return path


def test_the_committed_files_are_what_the_source_builds(node, tmp_path):
    subprocess.run([node, WIDGET / "build.mjs", tmp_path], check=True, capture_output=True)
    committed = digests(STATIC)
    built = digests(tmp_path)
    assert {name: committed.get(name) for name in built} == built
    assert committed.keys() - built.keys() == BY_HAND


def test_the_source_has_no_type_errors(node):
    checked = subprocess.run(
        [node, MODULES / "typescript" / "bin" / "tsc", "--noEmit", "--project", WIDGET],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout == ""
    assert checked.returncode == 0


def test_the_lock_file_names_no_registry():
    lock = (WIDGET / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "://registry" not in lock
    assert '"integrity"' in lock
