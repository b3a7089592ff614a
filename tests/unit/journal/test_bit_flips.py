"""Flipped bits in the file of a filled server: noticed, or harmless; never an empty page.

The long form is bench/bit_flips.py.
"""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from flips import PAGES, examine, fill, judged, played, rows_of

from store.errors import Quarantined

SEEDS = range(1, 41)


@pytest.mark.no_cover
def test_every_flipped_bit_is_noticed_or_harmless(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    logging.disable(logging.CRITICAL)
    try:
        whole, copy = tmp_path / "whole.db", tmp_path / "flipped.db"
        anyio.run(fill, whole, 1)
        content, rows = whole.read_bytes(), rows_of(whole)
        truth, problems = anyio.run(examine, whole)
        assert truth is not None
        assert problems == []
        outcomes = Counter(played(content, truth, rows, copy, seed) for seed in SEEDS)
    finally:
        logging.disable(logging.NOTSET)
    assert {"a page is not served", "integrity tells", "harmless"} <= set(outcomes)
    record_property("flipped bits", len(SEEDS))


def test_what_is_wrong_and_not_noticed_fails() -> None:
    empty, damaged = {"comments": {}}, Quarantined("t", "p", "broken")
    page, question = ("page", PAGES[0].page), ("question", "pages")
    truth = {page: {"comments": {"a/c": 1}}, question: ["p"]}
    assert judged(truth, truth, [], same=True) == "harmless"
    assert judged(truth, truth | {page: damaged}, ["p"], same=False) == "a page is not served"
    assert judged(truth, truth | {question: []}, ["p"], same=False) == "integrity tells"
    for said, problems, same in (
        (truth | {page: empty}, ["an empty page is never right"], False),
        (truth | {page: damaged}, [], False),
        (truth | {question: []}, [], True),
        (truth, [], False),
    ):
        with pytest.raises(AssertionError):
            judged(truth, said, problems, same=same)
