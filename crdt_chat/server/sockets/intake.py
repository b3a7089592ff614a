"""Memory for large messages that are still coming in: a share for the whole process, in turn."""

from collections import Counter, deque
from typing import Protocol, TypeAlias

Whose: TypeAlias = tuple[str, str]
"""Tenant and user of a connection."""

EACH = 4
"""One user may have one place in so many: who sends slowly on purpose keeps her own and nobody else's."""


class Waiting(Protocol):
    """A connection that has begun a large message and is not read until it may go on."""

    whose: Whose

    def proceed(self) -> None:
        """Read on: there is memory for the rest."""
        ...


class Intake:
    """Places for messages over the ordinary size. Each may become as large as the largest there is.

    A place is taken for the whole of a message: if half-read ones shared what is left by the byte,
    a few of them could fill it and wait for each other for ever. One user has a quarter of the places, and
    one tenant all but one, at most: what one of them does with theirs, others need not wait for.
    """

    def __init__(self, share: int, largest: int, *, patience_s: float) -> None:
        """share and largest in bytes; patience_s is how long a message may hold its place."""
        self._places = self._free = max(1, share // max(1, largest))
        self.patience_s = patience_s
        self._kept: Counter[Whose] = Counter()
        self._tenants: Counter[str] = Counter()
        self._waiting: deque[Waiting] = deque()

    def enter(self, connection: Waiting) -> bool:
        """Whether there is a place now; else `proceed` is called once there is one."""
        if self._may(connection):
            self._keep(connection.whose, 1)
            return True
        self._waiting.append(connection)
        return False

    def leave(self, connection: Waiting) -> None:
        """A message is taken care of: next is who came first, of the tenant that has the fewest places."""
        self._keep(connection.whose, -1)
        able = [each for each in self._waiting if self._may(each)]
        if able:
            comer = min(able, key=lambda each: self._tenants[each.whose[0]])
            self._waiting.remove(comer)
            self._keep(comer.whose, 1)
            comer.proceed()

    def forget(self, connection: Waiting) -> None:
        """A connection that waits is gone."""
        if connection in self._waiting:
            self._waiting.remove(connection)

    def _may(self, connection: Waiting) -> bool:
        tenant, _ = whose = connection.whose
        hers, theirs = max(1, self._places // EACH), max(1, self._places - 1)
        return bool(self._free) and self._kept[whose] < hers and self._tenants[tenant] < theirs

    def _keep(self, whose: Whose, places: int) -> None:
        self._free -= places
        self._kept[whose] += places
        self._tenants[whose[0]] += places
        # Names that nobody needs any more are not kept.
        self._kept, self._tenants = +self._kept, +self._tenants
