"""The only module that reads the time of day and makes random ids; all else is given them."""

import itertools
import os
import secrets
import time
from collections.abc import Callable

from crdt_chat.page.ids import NOISE_BYTES, uuid7
from crdt_chat.page.page import RESERVED
from crdt_chat.server.rooms.services import Clock, Ids

SUPPLY = 64
"""How many random ids are drawn at once."""


def system_clock() -> Clock:
    """The clocks of this machine."""
    return Clock(now=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic)


def system_ids(clock: Clock) -> Ids:
    """Random ids; connections are numbered from 1."""
    numbers = itertools.count(1)
    return Ids(
        origin=_drawn(16),
        number=lambda: next(numbers),
        client=lambda: 1 + secrets.randbelow(RESERVED - 1),
        text=lambda: uuid7(clock.now(), os.urandom(NOISE_BYTES)),
    )


def _drawn(size: int) -> Callable[[], bytes]:
    """Random bytes from a supply: asking the system for each costs 1 us, and the interpreter's lock."""
    supply: list[bytes] = []

    def draw() -> bytes:
        # Two threads may draw at once: the last one is taken by either.
        while True:
            try:
                return supply.pop()
            except IndexError:
                more = os.urandom(size * SUPPLY)
                supply.extend(more[at : at + size] for at in range(0, len(more), size))

    return draw
