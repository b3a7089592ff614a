"""Promise 4: who brings a big page keeps nobody else waiting (design 4, "judged in slices")."""

import math
import random
from pathlib import Path

import anyio
import pytest
from holding import Watch, offline_batch, play

HELD_MS = 150.0
"""CPU of the process between two beats of the loop: 30 to 60 measured, several hundred without turns."""

TRIES = 3
"""A busy machine lets the loop's thread wait while another of ours works: the least of three is ours."""


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nine_thousand_threads_written_offline_do_not_hold_the_loop(tmp_path: Path) -> None:
    seed = random.Random(1)
    batch = offline_batch(seed, threads=9_000, replies=0, body=200)
    held = dict.fromkeys(("batch", "join", "edits and snapshot", "load"), math.inf)
    for attempt in range(TRIES):
        watch = Watch()
        anyio.run(play, tmp_path / f"hold-{attempt}.db", seed, batch, watch)
        assert watch.phases.keys() == held.keys()
        held = {name: min(held[name], cpu) for name, (_wall, cpu) in watch.phases.items()}
        if max(held.values()) < HELD_MS:
            break
    assert max(held.values()) < HELD_MS, held
    # Judging alone takes seconds: somebody on another page was served all the while.
    assert len(watch.served["batch"]) >= 5
