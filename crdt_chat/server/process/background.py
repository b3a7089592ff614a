"""Tasks of pages and people in the background: many and short, one for every commit.

A task of an anyio group costs five times as much as asyncio's own (16 and 3 us, four times that on a
core that has slept). These are asyncio's, and end with the group all the same.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

Arguments = TypeVarTuple("Arguments")


class Background:
    """What runs beside `group`: cancelled with it, and the group waits until all of it has ended."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._kept = self._over = False

    def start(
        self, work: Callable[[*Arguments], Coroutine[Any, Any, None]], *arguments: *Arguments
    ) -> None:
        """Go on with `work` in a task. Raises RuntimeError once the group has ended."""
        if self._over:
            raise RuntimeError("the server has ended")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Another library's loop: a task of the group, for its price.
            self._group.start_soon(work, *arguments)
            return
        task = loop.create_task(work(*arguments))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        if not self._kept:
            self._group.start_soon(self._keep)
            self._kept = True

    async def _keep(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                while self._tasks:
                    for task in self._tasks:
                        task.cancel()
                    await asyncio.wait(tuple(self._tasks))
            self._over = True
