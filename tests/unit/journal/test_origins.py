"""The idempotency keys of a page's newest rows, in one buffer: exact, and never more than it says."""

import random

from store.pages import ORIGIN_BYTES, REMEMBERED_ORIGINS, Origins


def test_the_newest_are_known_and_older_ones_are_not() -> None:
    chance = random.Random(1)
    made = [chance.randbytes(ORIGIN_BYTES) for _ in range(REMEMBERED_ORIGINS + 40)]
    known = Origins(made[:100])
    for origin in made[100:]:
        assert origin not in known
        known.add(origin)
    assert all(origin in known for origin in made[40:])
    assert not any(origin in known for origin in made[:40])


def test_the_end_of_one_and_the_beginning_of_the_next_are_nobodys() -> None:
    one, two = bytes(range(16)), bytes(range(16, 32))
    across = one[5:] + two[:5]
    known = Origins((one, two))
    assert one in known
    assert two in known
    assert across not in known
    known.add(across)
    assert across in known


def test_what_repeats_itself_is_found_where_it_begins() -> None:
    zeros, almost = bytes(16), bytes(15) + b"\x01"
    assert zeros not in Origins((almost, almost))
    assert zeros in Origins((almost, zeros))
