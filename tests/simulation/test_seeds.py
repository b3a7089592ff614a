"""Promises 1 and 2 of design 1 on simulated histories of the production server, every one from a seed.

After every step: what was acknowledged or seen is durable, nothing grows without bound, nobody has touched
a page while a big job had its turn. At the end:
replicas converge, events came once and in order, presence is exact, memory is free again, and a new
process finds the same page. CRDT_CHAT_SEEDS sets how many; `python bench/simulate.py --seed N` replays.
"""

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import anyio
import pytest
from simnet.history import History, simulate
from simnet.loop import StalledError, run

SEEDS = int(os.environ.get("CRDT_CHAT_SEEDS", "200"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_promises_hold_on_every_seed() -> None:
    counts: Counter[str] = Counter()
    # Spawned: a forked child would inherit whatever other tests have left running.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 4), mp_context=context) as pool:
        for happened in pool.map(simulate, range(SEEDS), chunksize=5):
            counts += happened
    if SEEDS >= 200:
        # A run in which nothing of these happened would prove nothing.
        for name in HAPPENS:
            assert counts[name] > 0, f"no {name} in {SEEDS} seeds"


HAPPENS = (
    "commits",
    "crash",
    "restart",
    "failed commits",
    "commits that were only said to have failed",
    "rebuilds",
    "epochs",
    "snapshots",
    "catch-ups",
    "acknowledgements checked",
    "frames checked",
    "events told",
    "refusals",
    "server writes",
    "big jobs",
    "frames for moderators checked",
    "worlds of bytes",
)


def test_a_seed_says_everything() -> None:
    played: list[History] = []
    again: list[History] = []
    assert simulate(7, played=played) == simulate(7, played=again)
    assert played[0].digest == again[0].digest


def test_a_loop_in_which_everybody_waits_is_noticed() -> None:
    with pytest.raises(StalledError):
        run(anyio.sleep_forever())
