"""Honest people on yjs and pycrdt are refused only for the races that design 4 names.

`python bench/honest.py` plays any number of updates, `--page N` one of the pages again.
"""

from itertools import count

import pytest
from traffic.line import crowds
from yjs_peer import require_node

pytestmark = [pytest.mark.node, pytest.mark.no_cover, pytest.mark.timeout(300)]

UPDATES = 8_000
ODDITIES = (
    "ContentAny longer than 1 in its own delete set",
    "GC",
    "a property that is undefined",
    "an origin inside the update",
    "client id of more than 32 bits",
    "echo of what came from the server",
    "gc: false",
    "overwritten offline",
    "overwritten offline, longer than 1",
    "second tab",
    "step 2 with a whole delete set",
)


def test_honest_traffic_is_refused_for_races_only() -> None:
    require_node()
    outcome = crowds(1, count(), lambda outcome: outcome.counts["updates"] >= UPDATES)
    assert outcome.faults == []
    for oddity in ODDITIES:
        assert outcome.counts[f"oddity: {oddity}"], oddity
    for name in ("verdict gap", "gesture undo", "gesture redo", "updates of pycrdt", "page loads"):
        assert outcome.counts[name], name
    assert any(name.startswith("race") for name in outcome.counts)
