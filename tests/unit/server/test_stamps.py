"""Awareness clocks rise over restarts, also where the time of day was set back meanwhile."""

import pytest

from crdt_chat.config import Config
from crdt_chat.server.app import build
from crdt_chat.server.rooms.services import Clock
from crdt_chat.server.stamps import AHEAD_MS, Stamps
from store.errors import Unavailable
from store.memory import MemoryStore

pytestmark = pytest.mark.anyio
T0 = 1_750_000_000_000
HOUR = 3_600_000


class Time:
    """A time of day that is set by hand, and seconds that pass."""

    def __init__(self) -> None:
        self.now = T0
        self.seconds = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.seconds)


async def test_a_clock_that_is_set_back_between_two_processes_hides_nobody():
    store, time = MemoryStore(), Time()
    async with build(Config(), store, clock=time.clock) as app:
        time.seconds += 100
        newest = app.services.stamps()
        assert newest == T0 + 100_000
    time.now -= HOUR
    for _ in range(3):
        async with build(Config(), store, clock=time.clock) as app:
            assert newest < app.services.stamps() <= newest + 2 * AHEAD_MS
            newest = app.services.stamps()


def test_within_a_process_they_follow_the_steady_clock():
    time = Time()
    stamps = Stamps(time.clock)
    before = stamps()
    time.now -= HOUR
    time.seconds += 2.5
    assert stamps() == before + 2_500


class Full(MemoryStore):
    """A disk without room: what is there can be read."""

    async def reserve_clock(self, until: int) -> int:
        if until:
            raise Unavailable("the disk is full")
        return T0 + HOUR


async def test_a_disk_that_takes_nothing_keeps_nobody_from_reading(caplog):
    async with build(Config(), Full(), clock=Time().clock) as app:
        assert app.services.stamps() > T0 + HOUR
    assert "awareness clocks cannot be reserved now" in caplog.text
