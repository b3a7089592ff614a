"""Every history of tests/data/gate-vectors.jsonl gives what it says, also when the page restarts anywhere."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from witness import Witness

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows, Verdict

DATA = Path(__file__).parents[2] / "data" / "gate-vectors.jsonl"
NOW = 1_763_000_000_000
SERVER = 9
HISTORIES = [json.loads(line) for line in DATA.read_text().splitlines()][1:]


class Life:
    """A page that may be restarted: what it wrote is kept as the store would keep it."""

    def __init__(self, history: dict[str, Any]) -> None:
        self.limits = replace(
            PageLimits(),
            **(history.get("limits") or {}),
            any_writer_resolves=bool(history.get("any_resolves")),
        )
        self.page = Page(self.limits, SERVER)
        self.rows = GateRows()
        self.journal: list[bytes] = []
        self.never = [text.encode() for text in history.get("never") or []]
        self.witness = Witness()

    def keep(self, verdict: Verdict) -> None:
        if verdict.update:
            self.journal.append(verdict.update)
        self.witness.look(self.page, verdict.update)
        self.rows.owners += self.page.announced + verdict.rows.owners
        self.page.announced.clear()
        self.rows.entities += verdict.rows.entities
        self.rows.refused += verdict.rows.refused
        self.rows.held += verdict.rows.held
        self.rows.released += verdict.rows.released
        for text in self.never:
            assert text not in verdict.update
            assert text not in self.page.state()
            assert text not in repr(self.rows).encode()

    def restart(self, how: str) -> None:
        self.rows.owners += self.page.announced
        self.page.announced.clear()
        if how == "snapshot":
            snapshot, updates = self.page.state(), []
        else:
            snapshot, updates = None, self.journal
        self.page = Page.load(snapshot, updates, self.rows, self.limits, SERVER)

    def step(self, step: dict[str, Any], how: str) -> None:
        if "announce" in step:
            self.page.announce(step["announce"], step["user"])
        elif step.get("restart"):
            self.restart(how)
        elif step["from"] == "server":
            grant = Grant("t", "server", "server", Role.ADMIN)
            writes = [tuple(write) for write in step["write"]]
            verdict = self.page.write(
                writes, grant, NOW, keep_past=True, hides=step.get("held") or ()
            )
            assert verdict.kind == "accepted", verdict.refusals
            self.keep(verdict)
        else:
            self.receive(step)

    def receive(self, step: dict[str, Any]) -> None:
        grant = Grant("t", step["user"], step["user"], Role.parse(step["role"]))
        expect = step["expect"]
        before = self.page.state_vector()
        try:
            verdict = self.page.receive(bytes.fromhex(step["update"]), step["sync"], grant, NOW)
        except Malformed:
            assert expect["kind"] == "malformed"
            assert self.page.state_vector() == before
            return
        self.keep(verdict)
        found = {"kind": verdict.kind, "keys": dict(verdict.keys), "repair": verdict.repair}
        assert found == expect
        refused = {key: f"refused:{rule}" for key, rule in _refusals(verdict)}
        assert refused == {key: what for key, what in expect["keys"].items() if what != "accepted"}

    def content(self) -> dict[str, dict[str, Any]]:
        content = {root: dict(self.page.items(root)) for root in ROOTS}
        return {root: entries for root, entries in content.items() if entries}


def _refusals(verdict: Verdict) -> Iterator[tuple[str, str]]:
    return ((refusal.key, refusal.rule) for refusal in verdict.refusals)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history["name"])
@pytest.mark.parametrize("restarts", ["never", "snapshot", "journal"])
def test_history(history: dict[str, Any], restarts: str) -> None:
    life = Life(history)
    for step in history["steps"]:
        if restarts != "never":
            life.restart(restarts)
        life.step(step, "snapshot" if restarts == "never" else restarts)
    life.restart("snapshot")
    assert life.content() == history["final"]


def test_the_file_is_whole() -> None:
    assert len(HISTORIES) >= 161
