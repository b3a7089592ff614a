"""Turns on a page: what would hold the loop for long is done in a thread beside it, the rest waits.

A page is worked on by one at a time. What is small is done at once, as if there were no turns: nothing is
awaited then. While something big is judged, encoded or read, all else that concerns this page waits for
it, and the other pages go on. The thread gives Python's lock away every few ms, and no single call that
keeps it is long (page/yjs.py).
"""

import gc
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")

SHORT = 500_000
"""Bytes: to read so many takes about 100 ms, which another page's visitor may be kept waiting."""


class Aside(Protocol):
    """Does a job without holding the loop.

    Who is cancelled while the job is waiting leaves, and it is never done. Once it has begun, she is
    cancelled when it is done, not before.
    """

    async def __call__(
        self, job: Callable[[], T], *, tenant: str = "", reads: int | None = None
    ) -> T:
        """The job's result; raises what it raises.

        tenant: whose job it is. reads: how many bytes it reads, if it judges nothing: that decides
        what it has to wait for.
        """
        ...


class Lane:
    """One job at a time. Who waits is served one of each line in turn, in a line whoever came first."""

    def __init__(self) -> None:
        self._busy = False
        self._lines: dict[str, deque[anyio.Event]] = {}

    async def enter(self, name: str) -> None:
        """Return when it is the caller's, who waits in the line of this name; until `leave`."""
        if not self._busy:
            self._busy = True
            return
        place = anyio.Event()
        self._lines.setdefault(name, deque()).append(place)
        try:
            await place.wait()
        except BaseException:
            self._give_up(name, place)
            raise

    def _give_up(self, name: str, place: anyio.Event) -> None:
        if place.is_set():
            self.leave()
            return
        line = self._lines[name]
        line.remove(place)
        if not line:
            del self._lines[name]

    def leave(self) -> None:
        """The caller's job is done: it is the next one's."""
        if not self._lines:
            self._busy = False
            return
        name = next(iter(self._lines))
        line = self._lines.pop(name)
        line.popleft().set()
        if line:
            self._lines[name] = line


class Beside:
    """Jobs in threads, in two lanes: more would only take Python's lock from each other.

    What reads little, as to load or encode a page of common size, never waits for what takes seconds. Among
    the long jobs no tenant waits for all of another's, and no reader for all that is judged.
    """

    def __init__(self) -> None:
        self._short, self._long = Lane(), Lane()
        self._limiter = anyio.CapacityLimiter(2)

    async def __call__(
        self, job: Callable[[], T], *, tenant: str = "", reads: int | None = None
    ) -> T:
        """The job's result; raises what it raises. Arguments as of `Aside`."""
        lane = self._long if reads is None or reads > SHORT else self._short
        await lane.enter(tenant if reads is None else f"{tenant} reads")
        try:
            return await _to_its_end(job, self._limiter)
        finally:
            lane.leave()


async def _to_its_end(job: Callable[[], T], limiter: anyio.CapacityLimiter) -> T:
    """Do it in a thread; return or raise only when the thread has let go of it.

    A shield keeps anyio's cancellation away, but not `asyncio.Task.cancel`, of uvicorn for one: to go
    on then would be to work on the page while the thread still does.
    """
    begins, over = threading.Lock(), threading.Event()

    def work() -> T:
        if not begins.acquire(blocking=False):
            raise RuntimeError("nobody waits for it any more")
        try:
            return _uncollected(job)
        finally:
            over.set()

    with anyio.CancelScope(shield=True):
        try:
            result = await anyio.to_thread.run_sync(work, limiter=limiter)
        except anyio.get_cancelled_exc_class():
            if not begins.acquire(blocking=False):
                await _until(over)
            raise
    return result


async def _until(over: threading.Event) -> None:
    """Return once it is set, however often the waiting is cancelled."""
    while not over.is_set():
        try:
            await anyio.to_thread.run_sync(over.wait, limiter=anyio.CapacityLimiter(1))
        except anyio.get_cancelled_exc_class():
            # Who asked for it is about to raise the first one.
            continue


async def here(job: Callable[[], T], *, tenant: str = "", reads: int | None = None) -> T:  # noqa: ARG001
    """Do it in the loop after all: for a simulation, where nothing may happen in any order but one."""
    await anyio.lowlevel.checkpoint()
    return job()


class _Uncollected:
    """How many jobs are at work without a garbage collection: the last one lets it go on.

    hides: what they have made is set aside.
    """

    def __init__(self) -> None:
        self.hides = False
        self._lock = threading.Lock()
        self._jobs = 0

    def __enter__(self) -> None:
        with self._lock:
            self._jobs += 1
            gc.disable()

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._jobs -= 1
            if not self._jobs:
                gc.freeze()
                self.hides = True
                gc.enable()


_UNCOLLECTED = _Uncollected()


def _uncollected(job: Callable[[], T]) -> T:
    """Do it without a full garbage collection in between, which stops all threads for 100 ms and more.

    What the job has made is mostly values on their way to the disk, free of cycles: it is set aside until
    `thaw`.
    """
    with _UNCOLLECTED:
        return job()


def thaw() -> None:
    """Nothing is on its way any more: let the garbage collector see what is left of it."""
    if _UNCOLLECTED.hides:
        _UNCOLLECTED.hides = False
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
    """The turn on one page, of this tenant. busy: a big job has it; slices say what is big."""

    def __init__(self, aside: Aside, slices: Slices, tenant: str = "") -> None:
        self.busy = False
        self.slices = slices
        self._aside = aside
        self._tenant = tenant
        # Made for who waits: most pages are never busy.
        self._free: anyio.Event | None = None

    async def wait(self) -> None:
        """Return once no big job is on the page; until the next await it is the caller's."""
        while self.busy:
            self._free = self._free or anyio.Event()
            await self._free.wait()

    async def run(self, job: Callable[[], T], *, big: bool, reads: int | None = None) -> T:
        """Do a job on the page in its turn; after it, until the next await, the page is the caller's.

        reads: how many bytes it reads, if it judges nothing; see `Aside`.
        """
        await self.wait()
        if not big:
            return job()
        self.busy = True
        try:
            return await self._aside(job, tenant=self._tenant, reads=reads)
        finally:
            self.busy = False
            free, self._free = self._free, None
            if free is not None:
                free.set()
