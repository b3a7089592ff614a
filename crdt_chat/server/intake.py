"""Memory for large messages that are still coming in: a share for the whole process, in turn."""

from collections import deque
from typing import Protocol


class Waiting(Protocol):
    """A connection that has begun a large message and is not read until it may go on."""

    def proceed(self) -> None:
        """Read on: there is memory for the rest."""
        ...


class Intake:
    """Places for messages over the ordinary size. Each may become as large as the largest there is.

    A place is taken for the whole of a message: if half-read ones shared what is left by the byte,
    a few of them could fill it and wait for each other for ever.
    """

    def __init__(self, share: int, largest: int, *, patience_s: float) -> None:
        """share and largest in bytes; patience_s is how long a message may hold its place."""
        self._free = max(1, share // max(1, largest))
        self.patience_s = patience_s
        self._waiting: deque[Waiting] = deque()

    def enter(self, connection: Waiting) -> bool:
        """Whether there is a place now; else `proceed` is called once there is one."""
        if self._free:
            self._free -= 1
            return True
        self._waiting.append(connection)
        return False

    def leave(self) -> None:
        """A message is taken care of: its place goes to who has waited longest."""
        if self._waiting:
            self._waiting.popleft().proceed()
        else:
            self._free += 1

    def forget(self, connection: Waiting) -> None:
        """A connection that waits is gone."""
        if connection in self._waiting:
            self._waiting.remove(connection)
