"""Promise 4: who brings a big page keeps nobody else waiting (design 4, "judged in slices")."""

import math
import random
import time
from pathlib import Path

import anyio
import pytest
from holding import Watch, offline_batch, play

from crdt_chat.page.update import decode

TRIES = 3
"""A busy machine lets the loop's thread wait while another of ours works: the least of three is ours."""


def reading_ms(batch: bytes) -> float:
    """The yardstick, on this machine and now: CPU that it takes only to read the batch, in one go.

    What holds the loop is a fifth of it; without turns, the batch held it for that and for judging it.
    """
    began = time.thread_time()
    decode(batch)
    return (time.thread_time() - began) * 1000


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nine_thousand_threads_written_offline_do_not_hold_the_loop(tmp_path: Path) -> None:
    seed = random.Random(1)
    batch = offline_batch(seed, threads=9_000, replies=0, body=200)
    held = dict.fromkeys(("batch", "join", "edits and snapshot", "load"), math.inf)
    for attempt in range(TRIES):
        watch, reading = Watch(), reading_ms(batch)
        anyio.run(play, tmp_path / f"hold-{attempt}.db", seed, batch, watch)
        assert watch.phases.keys() == held.keys()
        shares = {name: cpu / reading for name, (_wall, cpu) in watch.phases.items()}
        held = {name: min(held[name], share) for name, share in shares.items()}
        if max(held.values()) < 1:
            break
    assert max(held.values()) < 1, held
    # Judging alone takes seconds: somebody on another page was served all the while.
    assert len(watch.served["batch"]) >= 5
