"""Hostile bytes, and the inputs that make yrs panic: none of them reaches the document (design 4).

`python bench/fuzz.py` plays any number of these batches and sends some through real sockets.
"""

import random
import sys

import pytest
from hostile.batch import STEP_MS, play
from hostile.soil import PANICS, filled

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits

NOW = 1_763_000_000_000
PARTS = 5
BATCHES = 40
RULES = "origin role root key shape size identity fixed owner bare deleted closed limit unknown"


@pytest.mark.parametrize("data", PANICS, ids=lambda data: data.hex()[:20])
@pytest.mark.parametrize("sync", ["update", "step2", "last"])
def test_panics_are_refused(data: bytes, sync: str) -> None:
    page = filled(random.Random(1)).load(PageLimits())
    before = page.state_vector()
    with pytest.raises(Malformed):
        page.receive(data, sync, Grant("t", "eve", "Eve", Role.ADMIN), NOW)
    assert page.state_vector() == before
    assert page.state()


@pytest.mark.no_cover
@pytest.mark.parametrize("part", range(PARTS))
def test_hostile_bytes_harm_nobody(part: int) -> None:
    """10,000 each, 2,000 of them for every role: malformed or judged, never a failure of the page."""
    tally = play(1, range(part * BATCHES, (part + 1) * BATCHES))
    counts = tally.counts
    for kind in ("malformed", "accepted", "refused", "trimmed", "gap"):
        assert counts[f"verdict {kind}"] > 100, kind
    for role in Role:
        assert counts[f"as {role.name.lower()}"] == 2_000
    seen = [rule for rule in RULES.split() if counts[f"keys refused by {rule}"]]
    assert len(seen) >= 10, seen
    # Measuring coverage takes three times as long as the code that is measured.
    traced = 4 if sys.gettrace() else 1
    assert tally.slowest[0][0] < STEP_MS * traced, tally.slowest
