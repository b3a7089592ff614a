"""Which unit of which client belongs to which entry, and who wins it: ids only, no values (design 4).

**The tree of an entry.** Every unit of an entry hangs on its origin, the unit it was written over;
units without an origin are the tree's roots. Siblings stand in the order of their client ids; of one
client, the earlier stands further right. The entry's value is the rightmost leaf; if that is deleted
the entry is absent. All other units are dead.

**Only the rightmost branch can matter.** A unit that hangs anywhere else stands to the left of the
rightmost leaf for ever, so an entry remembers just its branch, from a root to the leaf, as stretches
of consecutive clocks of one client.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from crdt_chat.page.update import Id


@dataclass(slots=True)
class Stretch:
    """Units `first` to `last` of one client, each hanging on the one before."""

    client: int
    first: int
    last: int


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of a root map that somebody has written at some time.

    live: the leaf has a value. client, first, last: the stretch that ends in the leaf. above: the
    stretches of the branch above it, from the root down.
    """

    root: str
    name: str
    live: bool
    client: int
    first: int
    last: int
    above: list[Stretch] | None = None

    def leaf(self) -> Id:
        """The unit that holds the value, or its tombstone."""
        return self.client, self.last

    def depth(self) -> int:
        """How many stretches the branch has."""
        return 1 if self.above is None else len(self.above) + 1

    def stretch(self, number: int) -> Stretch | None:
        """The stretch of this number from the root down, None beyond the leaf."""
        above = self.above or ()
        if number < len(above):
            return above[number]
        return Stretch(self.client, self.first, self.last) if number == len(above) else None


class Contest(NamedTuple):
    """What it costs Yjs to find the places of an entry's items: it looks at those that are there already.

    items: how many there are. steps: at how many it looks, at most, where an item hangs on the end of no
    branch; elsewhere it looks at none.
    """

    items: int
    steps: int


class Burnt(NamedTuple):
    """What stands where a Gc struct is: no entry. `mended` if its writer was rolled back for good."""

    mended: bool


BURNT: Final = Burnt(mended=False)
MENDED: Final = Burnt(mended=True)

Owner = Entry | Burnt
T = TypeVar("T")


@dataclass(slots=True)
class Runs(Generic[T]):
    """All units of one client, without holes: run i holds the clocks from firsts[i] to firsts[i + 1].

    numbers[i] is the number of the stretch of its entry's branch that run i belongs (or once
    belonged) to; whether it still does is seen by looking at that stretch.
    """

    end: int = 0
    firsts: "array[int]" = field(default_factory=lambda: array("I"))
    numbers: "array[int]" = field(default_factory=lambda: array("I"))
    owners: list[T] = field(default_factory=list)

    def append(self, owner: T, number: int, length: int) -> None:
        """Add `length` units at the end."""
        if not (
            self.owners
            and self.owners[-1] is owner
            and (self.numbers[-1] == number or isinstance(owner, Burnt))
        ):
            self.firsts.append(self.end)
            self.numbers.append(number)
            self.owners.append(owner)
        self.end += length

    def assign(self, first: int, end: int, owner: T) -> None:
        """Give the known units from `first` to before `end`, which are of one run, to `owner`."""
        place = bisect_right(self.firsts, first) - 1
        stop = self.firsts[place + 1] if place + 1 < len(self.firsts) else self.end
        kept, number = self.owners[place], self.numbers[place]
        pieces = [(self.firsts[place], kept), (first, owner), (min(end, stop), kept)]
        pieces = [
            piece
            for piece, following in zip(pieces, [*pieces[1:], (stop, kept)], strict=True)
            if piece[0] < following[0]
        ]
        self.firsts[place : place + 1] = array("I", [piece[0] for piece in pieces])
        self.numbers[place : place + 1] = array("I", [number] * len(pieces))
        self.owners[place : place + 1] = [piece[1] for piece in pieces]

    def between(self, first: int, end: int) -> Sequence[T]:
        """Whose the known units of a range are, in the order of their clocks."""
        if first >= self.end:
            return ()
        start = bisect_right(self.firsts, first) - 1
        if end == first + 1:
            return (self.owners[start],)
        stop = len(self.owners) if end >= self.end else bisect_right(self.firsts, end - 1)
        return self.owners[start:stop]


OFF: Final = 2**32 - 1
"""The number of a run that never was on a branch."""


class Index:
    """Every unit of the page. `entries` maps root -> name -> Entry, runs client id -> Runs.

    contests: of the few entries that several wrote without knowing of each other, how contested.
    """

    __slots__ = ("contests", "entries", "runs")

    def __init__(self, roots: Iterable[str]) -> None:
        self.entries: dict[str, dict[str, Entry]] = {root: {} for root in roots}
        self.contests: dict[tuple[str, str], Contest] = {}
        self.runs: dict[int, Runs[Owner]] = {}

    def next(self, client: int) -> int:
        """The first clock of this client that is not known yet."""
        runs = self.runs.get(client)
        return 0 if runs is None else runs.end

    def at(self, unit: Id) -> tuple[Owner, int] | None:
        """Whose a unit is, and the number of its stretch; None for one that is not known."""
        client, clock = unit
        runs = self.runs.get(client)
        if runs is None or clock >= runs.end:
            return None
        place = bisect_right(runs.firsts, clock) - 1
        return runs.owners[place], runs.numbers[place]

    def entry(self, root: str, name: str) -> Entry | None:
        """The entry of this name, if anybody ever wrote it."""
        entries = self.entries.get(root)
        return None if entries is None else entries.get(name)

    def owners(self, client: int, first: int, end: int) -> Iterable[Owner]:
        """Whose the known units of a range are, in the order of their clocks."""
        runs = self.runs.get(client)
        return () if runs is None else runs.between(first, end)

    def of(self, client: int) -> Runs[Owner]:
        """The units of a client, to be added to."""
        runs = self.runs.get(client)
        if runs is None:
            runs = self.runs[client] = Runs()
        return runs

    def mark(self, client: int, first: int, length: int, owner: Owner) -> None:
        """Say of known units whose they are: those of a Gc that was a refused operation."""
        runs = self.runs.get(client)
        if runs is not None:
            runs.assign(first, min(first + length, runs.end), owner)
