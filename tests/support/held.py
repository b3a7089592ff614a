"""A stand-in for the thread beside the loop: it does its jobs when a test tells it to."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import anyio.to_thread


class Held:
    """Does its jobs when it is told to."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go = anyio.Event()
        self._condition: Callable[[], bool] | None = None

    async def until_held(self, condition: Callable[[], bool]) -> None:
        """Go on with all jobs but the first that begins when this is so; return when it has."""
        self._condition = condition
        self.begun = anyio.Event()
        self.go.set()
        await self.begun.wait()

    async def __call__(self, job, **_line):
        if self._condition is not None:
            if not self._condition():
                return job()
            self._condition, self.go = None, anyio.Event()
        self.begun.set()
        with anyio.CancelScope(shield=True):
            await self.go.wait()
        return job()
