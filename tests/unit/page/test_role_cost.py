"""The bench that takes the questions about roles out of the gate takes them all out, and puts them back."""

import importlib
import random
from types import ModuleType

import pytest
from repository import ROOT

from crdt_chat.identity import Role


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("admission")


def test_without_roles_a_viewer_may_write_and_afterwards_no_more(bench: ModuleType) -> None:
    viewer = bench.GRANTS[Role.VIEWER.name.lower()]
    page = bench.build(random.Random(1), 3, 1)
    author = bench.Writer(random.Random(2), 2**20 + 7)
    with bench.role_cost.no_roles():
        verdict = page.receive(author.annotate(), "update", viewer, bench.NOW)
    assert verdict.kind == "accepted"
    verdict = page.receive(author.annotate(), "update", viewer, bench.NOW)
    assert {refusal.rule for refusal in verdict.refusals} == {"role"}


def test_each_update_is_judged_on_both_sides(bench: ModuleType) -> None:
    found = bench.role_cost.measure(
        lambda: bench.build(random.Random(1), 5, 2),
        lambda: bench.Writer(random.Random(2), 2**20 + 7),
        {name: grant for name, grant in bench.GRANTS.items() if name != "viewer"},
        repeat=20,
        now=bench.NOW,
    )
    assert set(found["editor"]) == {"reply", "edit", "annotate"}
    for operations in found.values():
        for each in operations.values():
            # Whatever roles cost, it is no half of what an update costs.
            assert abs(each["difference"]) < each["with"] / 2
    assert "with" in bench.role_cost.table(found)
