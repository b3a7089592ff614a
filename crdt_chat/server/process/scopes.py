"""A cancel scope for what is many and lasts long: the reader of every connection.

anyio's keeps sets of its tasks and of the scopes inside it, 800 bytes in all, as many again with a group of
tasks. This one keeps a task.
"""

import asyncio
from types import TracebackType
from typing import Protocol, Self

import anyio


class Scope(Protocol):
    """A block of one task that can be ended from outside, without deadline or shield."""

    def __enter__(self) -> object:
        """From now on `cancel` ends the block."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """The cancellation stops here."""
        ...

    def cancel(self) -> None:
        """End the block where it waits; after it, nothing."""
        ...


class TaskScope:
    """A `Scope` of an asyncio task. The task itself must not cancel it."""

    __slots__ = ("_cancelled", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        task, self._task = self._task, None
        if task is None or not self._cancelled:
            return False
        # Others may want the whole task to end as well.
        others = task.uncancel() > 0
        return kind is asyncio.CancelledError and not others

    def cancel(self) -> None:
        """End the block where it waits; before and after it, nothing."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()


def scope() -> Scope:
    """The scope for a block of this task."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.CancelScope()  # another library's loop
    return TaskScope()
