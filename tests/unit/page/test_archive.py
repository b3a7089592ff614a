"""What lifted deletions bring back: the recorded histories, and the archive on its own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.archive import Archive, without
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import Change, Verdict

VECTORS = Path(__file__).parents[2] / "data" / "gate-vectors.jsonl"
LINES = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()][1:]
NOW = 1_763_000_000_000
LIMIT = 2**24


def restores(history: dict[str, Any]) -> bool:
    return any(
        step.get("from") == "server"
        and any(write[2] is not None for write in step.get("write", ()))
        for step in history.get("steps", ())
    )


HISTORIES = [line for line in LINES if restores(line)]
FIRST_WRITES = ("the servers client id", "delete what the server made")


class Life:
    """A page with its archive; a step of the server must be what the archive calls for."""

    def __init__(self, history: dict[str, Any]) -> None:
        limits = replace(
            PageLimits(),
            **(history.get("limits") or {}),
            any_writer_resolves=bool(history.get("any_resolves")),
        )
        self.page = Page(limits, 9)
        self.archive = Archive([], LIMIT)
        self.due: list[Any] = []
        self.restored = 0
        self.seen: set[str] = set()

    def note(self, verdict: Verdict) -> None:
        self.seen |= {change.name for change in verdict.changes if change.after is None}
        self.archive.note(verdict.changes, self.page.deleted)
        self.due = self.archive.returned(verdict.changes, self.page.deleted)

    def step(self, step: dict[str, Any]) -> None:
        if "announce" in step:
            self.page.announce(step["announce"], step["user"])
        elif "write" in step:
            self.write(step)
        elif "update" in step:
            grant = Grant("t", step["user"], step["user"], Role.parse(step["role"]))
            try:
                update = bytes.fromhex(step["update"])
                self.note(self.page.receive(update, step["sync"], grant, NOW))
            except Malformed:
                return

    def deleted_once(self, writes: list[Any]) -> bool:
        """Whether these writes restore, and are no first ones."""
        return any(name in self.seen for _, name, _ in writes)

    def write(self, step: dict[str, Any]) -> None:
        writes = [tuple(write) for write in step["write"]]
        if self.deleted_once(writes) and not step.get("held"):
            # Some of the recorded servers wrote back less: only the entity itself.
            assert all(write in self.due for write in writes)
            self.restored += len(writes)
        grant = Grant("t", "server", "server", Role.ADMIN)
        hides = step.get("held") or ()
        self.note(self.page.write(writes, grant, NOW, keep_past=True, hides=hides))


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history["name"])
def test_the_archive_calls_for_what_the_server_wrote(history: dict[str, Any]) -> None:
    life = Life(history)
    for step in history["steps"]:
        life.step(step)
    assert life.restored or history["name"] in FIRST_WRITES


GONE = Change("comments", "a/c", {"body": "x"}, None)
LIFTED = Change("deleted", "a/c/ada", {}, None)


def test_what_was_persisted_comes_back() -> None:
    noted = Archive([], LIMIT).note([GONE], {"a/c"}.__contains__)
    rows = [(*key, content or "") for key, content in noted.items()]
    again = Archive(rows, LIMIT)
    assert again.returned([LIFTED], set().__contains__) == [("comments", "a/c", {"body": "x"})]
    assert again.returned([LIFTED], {"a"}.__contains__) == []


def test_what_was_removed_otherwise_or_is_back_is_not_kept() -> None:
    archive = Archive([], LIMIT)
    assert archive.note([GONE], set().__contains__) == {}
    archive.note([GONE], {"a"}.__contains__)
    back = Change("comments", "a/c", None, {"body": "y"})
    assert archive.note([back], {"a"}.__contains__) == {("comments", "a/c"): None}
    assert len(archive) == 0


def test_beyond_its_limit_the_oldest_is_forgotten() -> None:
    archive = Archive([], 30)
    for name in ("a/c1", "a/c2", "a/c3"):
        noted = archive.note([Change("comments", name, {"body": "x"}, None)], {"a"}.__contains__)
    assert noted[("comments", "a/c1")] is None
    assert [name for _, name, _ in archive.below("a")] == ["a/c2", "a/c3"]


def test_with_a_refused_annotation_goes_what_lies_below() -> None:
    writes = [("annotations", "a", 1), ("comments", "a/c", 2), ("comments", "b/c", 3)]
    assert without(writes, ["annotations/a"]) == [("comments", "b/c", 3)]
    assert without(writes, ["comments/a/c"]) == [writes[0], writes[2]]
