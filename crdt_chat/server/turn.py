"""Turns on a page: what would hold the loop for long is done in a thread beside it, the rest waits.

A page is worked on by one at a time. What is small is done at once, as if there were no turns: nothing is
awaited then. While something big is judged, encoded or read, all else that concerns this page waits for
it, and the other pages go on. The thread gives Python's lock away every few ms, and no single call that
keeps it is long (page/pieces.py).
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")


class Aside(Protocol):
    """Does a job without holding the loop, whoever waits for it is cancelled or not."""

    async def __call__(self, job: Callable[[], T]) -> T:
        """The job's result; raises what it raises."""
        ...


class Beside:
    """Jobs in a thread, one at a time: two would only take Python's lock from each other."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(1)

    async def __call__(self, job: Callable[[], T]) -> T:
        """The job's result; raises what it raises."""
        return await anyio.to_thread.run_sync(_uncollected, job, limiter=self._limiter)


async def here(job: Callable[[], T]) -> T:
    """Do it in the loop after all: for a simulation, where nothing may happen in any order but one."""
    await anyio.lowlevel.checkpoint()
    return job()


def _uncollected(job: Callable[[], T]) -> T:
    """Do it without a full garbage collection in between, which stops all threads for 100 ms and more.

    What the job has made is mostly values on their way to the disk, free of cycles: it is set aside until
    `thaw`.
    """
    gc.disable()
    try:
        return job()
    finally:
        gc.freeze()
        gc.enable()


def thaw() -> None:
    """Nothing is on its way any more: let the garbage collector see what is left of it."""
    gc.unfreeze()


@dataclass(frozen=True, slots=True)
class Slices:
    """How much is done in one turn of the loop: measured costs, with room for a machine half as fast.

    judged: bytes of updates that are judged or told as events, or of a state that is read; units: their
    structs, deleted clocks and changes; encoded: bytes of a state that is encoded only; events: how many
    are told to those who listen.
    """

    judged: int
    units: int
    encoded: int
    events: int

    @classmethod
    def of(cls, slice_ms: float) -> "Slices":
        """What takes less than `slice_ms`."""
        per_ms = (1_000, 16, 20_000, 4)
        return cls(*(max(1, int(slice_ms * each)) for each in per_ms))


class Turn:
    """The turn on one page. busy: a big job has it; slices say what is big."""

    def __init__(self, aside: Aside, slices: Slices) -> None:
        self.busy = False
        self.slices = slices
        self._aside = aside
        self._free = anyio.Event()

    async def wait(self) -> None:
        """Return once no big job is on the page; until the next await it is the caller's."""
        while self.busy:
            await self._free.wait()

    async def run(self, job: Callable[[], T], *, big: bool) -> T:
        """Do a job on the page in its turn; after it, until the next await, the page is the caller's."""
        await self.wait()
        if not big:
            return job()
        self.busy = True
        try:
            return await self._aside(job)
        finally:
            self.busy = False
            self._free.set()
            self._free = anyio.Event()
