"""What the documentation names exists: commands, flags, settings, close codes, links."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest
from repository import ROOT, tracked

import crdt_chat.errors
from crdt_chat.cli import parser
from crdt_chat.cli.checking import markdown
from crdt_chat.cli.parser import CommandLine
from crdt_chat.config import load, settings
from crdt_chat.errors import CrdtChatError, LocalFault, RemoteFault
from crdt_chat.server.process.metrics import Metrics

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^([ ]*)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


OTHERS = (
    "pip", "sudo", "npm", ".venv/bin/ruff", "curl", "sqlite3", "python", "python3", "openssl", "umask", ".",
)  # fmt: skip
"""Programs of other people that the documentation uses."""


def blocks(path: Path, language: str) -> list[str]:
    """The blocks of code in a language; those in a list are indented with it."""
    found = FENCE.findall(path.read_text("utf-8"))
    return [textwrap.dedent(text) for _, kind, text in found if kind == language]


def commands() -> list[tuple[str, str]]:
    """Every shell line of every document, with the document's name."""
    return [
        (path.name, line)
        for path in DOCS
        for text in blocks(path, "sh")
        for line in text.splitlines()
        if line and not line.startswith("#")
    ]


def verbs() -> dict[str, CommandLine]:
    return next(action.choices for action in parser()._actions if action.choices)


@pytest.mark.parametrize(("document", "line"), commands())
def test_every_command_exists(document, line):
    words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    program, arguments = words[0], words[1:]
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    if program == "crdt-chat":
        parser().parse_args(arguments)
    elif program.startswith(("script/", ".ci/")):
        assert (ROOT / program).stat().st_mode & 0o100, f"{program} cannot be run"
        flags = [word for word in arguments if word.startswith("--")]
        assert all(flag in (ROOT / program).read_text("utf-8") for flag in flags)
    else:
        assert program in OTHERS, program


def test_every_verb_is_explained_and_has_examples_that_parse():
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for name, verb in verbs().items():
        assert f"crdt-chat {name}" in operations + readme, name
        examples = re.findall(r"^  (?:\w+=\S+ )*(crdt-chat .*)$", verb.epilog or "", re.MULTILINE)
        assert examples, name
        for example in examples:
            parser().parse_args(shlex.split(example)[1:])


def test_the_examples_of_the_program_itself_parse():
    examples = re.findall(r"^  (crdt-chat .*?)(?:   .*)?$", parser().epilog or "", re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        parser().parse_args(shlex.split(example)[1:])


def test_the_table_of_settings_is_what_the_program_says():
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    shown = re.search(r"<!-- settings: .*?-->\n(.*?)\n<!-- /settings -->", text, re.DOTALL)
    assert shown is not None
    assert shown[1] == markdown(list(settings())), "run `crdt-chat settings --markdown`"


def test_the_table_of_metrics_is_what_the_program_counts():
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    shown = re.search(r"<!-- metrics: .*?-->\n(.*?)\n<!-- /metrics -->", text, re.DOTALL)
    assert shown is not None
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", shown[1], re.MULTILINE)
    counted = {
        (found.name + "_total" * (found.type == "counter"), found.documentation)
        for found in Metrics("1").registry.collect()
        if found.name.startswith("crdt_chat")
    }
    assert set(rows) == counted


def test_the_settings_file_of_the_documentation_loads(tmp_path):
    for number, text in enumerate(blocks(ROOT / "docs/operations.md", "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, "utf-8")
        assert load(environ={}, file=path).tenant_names()


def faults() -> list[type[RemoteFault]]:
    return [
        kind
        for kind in vars(crdt_chat.errors).values()
        if isinstance(kind, type) and issubclass(kind, RemoteFault) and kind is not RemoteFault
    ]


def test_every_remote_fault_has_its_own_code_and_is_in_the_documentation():
    protocol = (ROOT / "docs/protocol.md").read_text("utf-8")
    assert len({kind.close_code for kind in faults()}) == len(faults())
    assert len({kind.code for kind in faults()}) == len(faults())
    for kind in faults():
        assert str(kind.close_code) in protocol, kind
        assert kind.code in protocol, kind


def test_the_tree_of_errors_is_the_one_that_its_module_draws():
    drawn = crdt_chat.errors.__doc__ or ""
    for name, kind in vars(crdt_chat.errors).items():
        if isinstance(kind, type) and issubclass(kind, CrdtChatError):
            assert re.search(rf"\b{name}\b", drawn), name
    for kind in faults():
        assert re.search(rf"\b{kind.__name__}\s+{kind.close_code} / {kind.status}\b", drawn), kind
    assert issubclass(crdt_chat.errors.PageBroken, LocalFault)


def test_every_link_leads_somewhere():
    for path in DOCS:
        text = path.read_text("utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"https?://", target):
                continue
            name, _, anchor = target.partition("#")
            aim = (path.parent / name).resolve() if name else path
            assert aim.exists(), f"{path.name}: {target}"
            if anchor and aim.suffix == ".md":
                assert anchor in anchors(aim), f"{path.name}: {target}"


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_document_can_be_found_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for target in re.findall(r"\]\(([^)\s#]+\.md)", path.read_text("utf-8")):
            if "://" not in target:
                waiting.append((path.parent / target).resolve())
    assert set(DOCS) <= reached, {path.name for path in set(DOCS) - reached}


def test_every_decision_is_listed():
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text("utf-8")
    for path in folder.glob("0*.md"):
        assert f"]({path.name})" in listed, path.name
        assert len(path.read_text("utf-8").split()) < 400, f"{path.name} is longer than a page"


def test_every_promise_has_a_test_of_its_name():
    readme = (ROOT / "README.md").read_text("utf-8")
    promises = re.findall(r"^(\d)\. \*\*(.*?)\*\*", readme, re.MULTILINE)
    tests = (ROOT / "tests/interop/test_promises.py").read_text("utf-8")
    assert len(promises) == 6
    for number, promise in promises:
        words = re.sub(r"[^a-z0-9]+", "_", promise.lower()).strip("_")
        name = f"def test_promise_{number}_{words}"
        assert name.removesuffix("_on_the_wire") in tests, name


def test_the_tests_that_hold_the_promises_exist():
    for name in re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs/testing.md").read_text("utf-8")):
        assert (ROOT / name).exists(), name


def test_folders_of_tests_are_explained():
    explained = (ROOT / "docs/testing.md").read_text("utf-8")
    folders = {
        parts[1] for path in tracked() if (parts := path.relative_to(ROOT).parts)[0] == "tests"
    }
    for folder in folders - {"conftest.py"}:
        assert f"`tests/{folder}`" in explained, folder


OWN_PACE = {
    "limits.commit_interval_ms", "limits.page_rest_s", "limits.presence_renewal_s", "limits.stop_s",
    "page.any_writer_resolves", "page.commenters_annotate", "page.editors_resolve",
    "page.clock_ahead_ms",
}  # fmt: skip
"""Settings below `limits` and `page` that no peer runs into as into a limit."""


def test_every_limit_has_a_test_at_its_edge():
    text = (ROOT / "docs/testing.md").read_text("utf-8")
    shown = re.search(r"<!-- limits: .*?-->\n(.*?)\n<!-- /limits -->", text, re.DOTALL)
    assert shown is not None
    named: set[str] = set()
    for line in shown[1].splitlines()[2:]:
        what, names, tests = (cell.strip() for cell in line.strip("|").split("|"))
        found = set(re.findall(r"`([\w.]+)`", names))
        named |= found
        assert tests.startswith("`"), what
        for path, listed in re.findall(r"`(tests/[\w/.]+)`: ([^;]*)", tests):
            code = (ROOT / path).read_text("utf-8")
            for name in re.findall(r"`(test_\w+)`", listed):
                assert re.search(rf"^(?:async )?def {name}\(", code, re.MULTILINE), name
    there = {one.name for one in settings() if one.name.startswith(("limits.", "page."))}
    assert named == there - OWN_PACE | {"limits_off"}


def test_architecture_names_only_files_that_exist():
    named = re.findall(
        r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", (ROOT / "docs/architecture.md").read_text("utf-8")
    )
    assert len(named) > 40
    places = [ROOT, ROOT / "crdt_chat", ROOT / "crdt_chat" / "server"]
    for name in named:
        assert any((place / name).exists() for place in places), name
