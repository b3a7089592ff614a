"""An asyncio loop on virtual time: when nobody has anything to do, the clock jumps to the next timer.

Nothing in it waits for the machine, so a run is as fast as its work and depends on its seed alone.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from sniffio import current_async_library_cvar

T = TypeVar("T")

START = 1_000.0
"""Seconds at which virtual time begins."""

LONGEST = 7 * 86_400.0
"""Virtual seconds after which nothing is expected any more: who sleeps for ever has a timer, too."""

SPINS = 200_000
"""Rounds of the loop without any time passing after which it is taken for an endless loop."""


class StalledError(AssertionError):
    """Everybody waits and no timer is set, or somebody runs without end."""


class _Jump(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.end = START + LONGEST
        self.spins = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or self.now > self.end:
            raise StalledError("everybody waits for ever")
        if timeout > 0:
            self.now += timeout
            self.spins = 0
        else:
            self.spins += 1
            if self.spins > SPINS:
                raise StalledError("somebody runs without end")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time()` is virtual. It knows no sockets and no threads."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def last_words(self) -> None:
        """From now on it only cleans up, however late it is."""
        self._jump.end = self._jump.now + LONGEST


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time. Whatever it leaves behind is cancelled."""
    loop = VirtualLoop()
    # anyio asks the running task where it is; timers have none, but inherit this.
    token = current_async_library_cvar.set("asyncio")
    try:
        return loop.run_until_complete(main)
    finally:
        loop.last_words()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
        current_async_library_cvar.reset(token)
