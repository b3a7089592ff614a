"""Promises 1 and 4 over time: a minute of churn, kills, broken networks, slow readers and erasures.

`python bench/soak.py --seconds 1200` is the long form, with a plot.
"""

from pathlib import Path

import pytest
from endurance.play import GROWTH, growth, soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WANTED = (
    "SIGTERM", "kill -9", "connections killed", "durable writes checked", "forgeries answered with 4403",
    "offline branches", "pages erased", "readers caught up",
)  # fmt: skip


def test_a_minute_of_trouble_loses_nothing(tmp_path: Path) -> None:
    book = soak(tmp_path, seed=3, seconds=60, wanted=WANTED)
    assert book.lost == []
    assert growth(book) < GROWTH
    for name in WANTED:
        assert book.counts[name], (name, book.counts)
