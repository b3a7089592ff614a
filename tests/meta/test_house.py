"""The house keeps its own rules: nothing of one machine, one purpose per file, light imports."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from repository import ROOT, tracked

YARDSTICK = ["-c", "import asyncio"]
"""What it is measured by: seconds depend on the machine and on what else it does."""
HEAVY = ("pycrdt", "anyio", "sqlite_utils", "starlette", "prometheus_client", "pandas", "asyncio")
DOCS = [str(path.relative_to(ROOT)) for path in tracked() if path.match("docs/**/*.md")]
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|tmp)/\w|/opt/pypi|npmjs\.(?:com|org)|pypi\.org|pythonhosted\.org"
)


def modules() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.name != "conftest.py"]


def test_nothing_tracked_names_this_machine():
    for path in tracked():
        if path == Path(__file__):
            continue
        found = MACHINE.search(path.read_bytes().decode("utf-8", "replace"))
        assert found is None, f"{path.relative_to(ROOT)} names {found[0] if found else ''}"


def test_every_module_begins_with_what_it_is_for():
    for path in modules():
        text = path.read_text("utf-8")
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), path.relative_to(ROOT)
            assert text.splitlines()[0].startswith(('"""', "#!")), path.relative_to(ROOT)


def test_modules_stay_small():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in modules()
        if path.relative_to(ROOT).parts[0] in ("crdt_chat", "store")
        and (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}


def test_no_name_hides_what_a_thing_is():
    vague = re.compile(r"(?:^|_)(?:manager|helper|helpers|util|utils|data|info)(?:_|$)")
    for path in modules():
        if path.relative_to(ROOT).parts[0] not in ("crdt_chat", "store"):
            continue
        assert not vague.search(path.stem), path.relative_to(ROOT)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
                assert node.name == "data_received" or not vague.search(words), node.name


def test_nothing_else_is_called_store():
    for path in tracked():
        parts = path.relative_to(ROOT).with_suffix("").parts
        assert "store" not in parts[1:] or path.suffix not in (".py", ".pyi"), path
    assert not [path for path in tracked() if path.match("tests/**/__init__.py")]


def test_nothing_is_left_to_be_done():
    left = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
    for path in tracked():
        if path.suffix in (".py", ".ts", ".mjs", ".md", ".css", ".sh"):
            assert not left.search(path.read_text("utf-8")), path.relative_to(ROOT)


def test_no_statement_binds_parameters_by_number():
    """Python 3.12 warns of `?1` with a sequence, 3.14 refuses it; other tests may run on 3.11."""
    for path in modules():
        found = re.search(r"\?[1-9]\b(?=[^\"]*\b(?:FROM|WHERE|AND|OR)\b)", path.read_text("utf-8"))
        assert found is None or path == Path(__file__), path.relative_to(ROOT)


def test_the_map_names_only_what_exists():
    text = ast.get_docstring(ast.parse((ROOT / "crdt_chat/__init__.py").read_text("utf-8"))) or ""
    files = r"\b(?:(?:server|page|protocol|store|client)/[\w/]+\.py|docs/\w+\.md)"
    named = set(re.findall(files, text))
    named |= {
        name.replace(".", "/")
        for name in re.findall(r"\b(?:server|page|protocol|store)\.(?!py\b|md\b)[\w.]+\b", text)
    }
    assert named
    for name in named:
        places = [ROOT / name, ROOT / "crdt_chat" / name]
        places += [place.with_suffix(".py") for place in places if not place.suffix]
        assert any(place.exists() for place in places), name


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", *DOCS])
def test_the_documents_name_only_files_that_exist(path):
    rooms = "server|page|protocol|formats|client|cli|config"
    text = (ROOT / path).read_text("utf-8")
    for name in re.findall(rf"`(?:crdt_chat/)?((?:{rooms})/[\w/]+\.py)`", text):
        assert (ROOT / "crdt_chat" / name).is_file(), name


def the_rooms() -> list[str]:
    """Every package with a map: the server and its folders, the page, the store."""
    server = sorted((ROOT / "crdt_chat/server").glob("*/__init__.py"))
    folders = [str(path.parent.relative_to(ROOT)) for path in server]
    return ["crdt_chat/server", *folders, "crdt_chat/page", "store"]


@pytest.mark.parametrize("room", the_rooms())
def test_every_module_is_on_the_map_of_its_room(room):
    text = (ROOT / room / "__init__.py").read_text("utf-8")
    shown = set(re.findall(r"\w+", ast.get_docstring(ast.parse(text)) or ""))
    there = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    assert there <= shown, f"{sorted(there - shown)} are missing in {room}/__init__.py"


@pytest.mark.parametrize("room", the_rooms())
def test_the_map_of_a_room_shows_no_module_that_is_gone(room):
    """A row of a map: what a group is for, then its modules, or a module and what it is for."""
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text("utf-8"))) or ""
    there = {path.stem for path in (ROOT / room).glob("*.py")}
    there |= {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    for row in re.findall(r"^    (\S.*)$", text, re.M):
        cells = [set(re.findall(r"\w+", cell)) for cell in re.split(r"\s{2,}", row)]
        assert any(cell and cell <= there for cell in cells), f"{room}: {row}"


def imported(folders: tuple[str, ...]) -> set[str]:
    """The top-level modules that the Python files of these folders import."""
    found: set[str] = set()
    for path in modules():
        if path.relative_to(ROOT).parts[0] in folders:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize(
    ("folders", "groups"),
    [(("crdt_chat", "store"), ("notebook",)), (("tests", "bench"), ("notebook", "dev"))],
)
def test_what_is_imported_is_declared(folders, groups):
    """Else it works only where somebody has installed it by hand."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = list(project["dependencies"])
    for group in groups:
        lines += project["optional-dependencies"][group]
    # pyjwt[crypto] brings cryptography, whose types are used to tell keys apart
    declared = {re.split(r"[\[<>=;]", line)[0].lower() for line in lines} | {"cryptography"}
    offered = packages_distributions()
    for name in imported(folders) - set(sys.stdlib_module_names) - {"crdt_chat", "store"}:
        distributions = {item.lower().replace("_", "-") for item in offered.get(name, [])}
        if distributions:
            assert distributions & declared, f"{name} is of {distributions}"
        else:
            ours = {path.stem for path in modules()} | {path.parent.name for path in modules()}
            assert name in ours, f"{name} is of nobody"


@pytest.mark.parametrize("code", ["import crdt_chat", "import store", "import crdt_chat.cli"])
def test_imports_stay_light(code):
    shown = f"{code}; import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, check=True, text=True, cwd=ROOT
    ).stdout.split()
    assert loaded == []


@pytest.mark.parametrize("words", [["-c", "import crdt_chat"], ["-m", "crdt_chat", "--help"]])
def test_import_and_help_are_quick(words):
    # In turn; the fastest of each is what it costs where others disturb least.
    pairs = [(processor_seconds(words), processor_seconds(YARDSTICK)) for _ in range(7)]
    ours, theirs = (min(taken) for taken in zip(*pairs, strict=True))
    assert ours < 2 * theirs, pairs


def processor_seconds(words: list[str]) -> float:
    """What it costs, not how long it takes: other tests' servers may be at work beside it."""
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, cwd=ROOT) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return used.ru_utime + used.ru_stime
