"""Promises 2, 3 and 4 of design 1 on random histories with real yjs and pycrdt clients.

CRDT_CHAT_HISTORIES sets how many (default 300); a failure names its seed, which
`python bench/histories.py --seed SEED --count 1 --verbose` replays.
"""

import os
from collections import Counter

import pytest
from simulation.history import History
from yjs_peer import YjsPeers

HISTORIES = int(os.environ.get("CRDT_CHAT_HISTORIES", "300"))
PARTS = 10

pytestmark = [pytest.mark.node, pytest.mark.no_cover, pytest.mark.timeout(600)]


@pytest.mark.parametrize("part", range(PARTS))
def test_everyone_converges_and_nothing_forbidden_gets_through(yjs: YjsPeers, part: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(part, HISTORIES, PARTS):
        history = History(yjs, seed)
        history.run()
        counts += history.counts
    if HISTORIES >= 300:
        # A run in which nothing of these happened would prove nothing.
        for name in ("verdict accepted", "verdict gap", "attacker updates refused", "crashes"):
            assert counts[name] > 0, f"no {name} in {HISTORIES} histories"
        assert any(name.startswith("race ") for name in counts)


@pytest.mark.parametrize(
    "seed",
    [
        # Her own entry for a thread made and deleted offline could not be lifted.
        20082,
        21798,
        # A moderator's unannounced client id was taken by whoever carried it in a shared browser.
        20398,
        21048,
    ],
)
def test_what_once_failed_holds(yjs: YjsPeers, seed: int) -> None:
    History(yjs, seed, 80).run()
