"""The wheel holds both packages and all they need at run time, and nothing else."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser

import pytest
from repository import ROOT

import crdt_chat


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built in this environment: no network, and the build backend of pyproject.toml."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as opened:
        yield opened


def test_it_contains_both_packages_their_types_and_the_static_files(wheel):
    names = set(wheel.namelist())
    assert {"crdt_chat/__init__.py", "crdt_chat/py.typed", "store/__init__.py"} <= names
    assert "store/py.typed" in names
    static = {f"crdt_chat/static/{path.name}" for path in (ROOT / "crdt_chat/static").iterdir()}
    assert static <= names
    assert "crdt_chat/static/demo.html" in names


def test_it_contains_nothing_else(wheel):
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"crdt_chat", "store", f"crdt_chat-{crdt_chat.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or ".db" in name]


def test_its_metadata_agree_with_the_package(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    assert metadata["Version"] == crdt_chat.__version__
    assert metadata["License-Expression"] == "MIT"
    entry = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "crdt-chat = crdt_chat.cli:main" in wheel.read(entry).decode()


def test_it_runs_from_its_own_folder_alone(wheel, tmp_path):
    wheel.extractall(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "crdt_chat", "version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(f"crdt-chat {crdt_chat.__version__}")
