"""The structs of one client as they are written, one behind the other in one piece of memory.

An object for each struct is no less quick, but Python's allocator never gives back to the system what a page
has needed of such small ones, since something that stays always lies between; one buffer it does.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, compress
from operator import ne, sub
from typing import Final

from crdt_chat.errors import UpdateBroken
from crdt_chat.page.cell import KIND, content_at, extended, joins, rest_of, without_value
from crdt_chat.page.lib0 import read_any
from crdt_chat.page.update import ANY, Struct, encoded_uint, joined, written
from crdt_chat.page.verdict import Json

SLACK: Final = 256
"""Bytes that may be unused however few are used."""


class Column:
    """Struct i begins with the clock firsts[i], and is written from starts[i] to ends[i] of the buffer.

    What becomes shorter leaves bytes unused behind it, until these are more than those in use.
    end: the clock behind the last struct.
    """

    __slots__ = ("_buffer", "_deletions", "_ends", "_starts", "_used", "end", "firsts")

    def __init__(self) -> None:
        self.firsts: array[int] = array("I")
        self.end = 0
        self._buffer = bytearray()
        self._starts: array[int] = array("I")
        self._ends: array[int] = array("I")
        self._used = 0
        self._deletions: bytes | None = b""

    def append(self, client: int, run: Sequence[Struct]) -> None:
        """Add the next structs. Raises UpdateBroken if clocks are missing."""
        end = self.end
        if run[0].clock != end:
            raise UpdateBroken("structs that do not follow each other")
        for struct in run:
            self._add(client, end, written(struct), struct.length)
            self.end = end = end + struct.length

    def _add(self, client: int, first: int, cell: bytes, length: int) -> None:
        buffer = self._buffer
        start = len(buffer)
        self.firsts.append(first)
        self._starts.append(start)
        self._ends.append(start + len(cell))
        self._used += len(cell)
        buffer += cell
        if cell[0] & KIND != ANY:
            self._absorb(client, len(self.firsts) - 1, length)

    def value(self, clock: int) -> Json:
        """The value of a unit. Raises UpdateBroken if it has none."""
        place = self.place_of(clock)
        buffer = self._buffer
        at = content_at(buffer, self._starts[place]) + 1
        return read_any(bytes(buffer[at : self._ends[place]]), 0)[0]

    def cell(self, place: int) -> bytes:
        """The struct at this place."""
        return bytes(self._buffer[self._starts[place] : self._ends[place]])

    def _write(self, place: int, cell: bytes) -> None:
        """Write a struct anew, which is no longer than it was and what is unused behind it."""
        start = self._starts[place]
        end = start + len(cell)
        self._used += end - self._ends[place]
        self._buffer[start:end] = cell
        self._ends[place] = end

    def _tighten(self) -> None:
        """Let go of what is unused if it has become much."""
        if len(self._buffer) <= 2 * self._used + SLACK:
            return
        sizes = array("I", map(sub, self._ends, self._starts))
        self._buffer = bytearray().join(self._spans(0))
        self._ends = array("I", accumulate(sizes))
        self._starts = array("I", map(sub, self._ends, sizes))

    def _spans(self, place: int) -> Iterator[bytearray]:
        """The bytes in use from this place on, in as few pieces as there are."""
        buffer, start = self._buffer, self._starts[place]
        if self._used < len(buffer):
            ends, following = self._ends[place:], self._starts[place + 1 :]
            for gap in compress(range(len(following)), map(ne, ends, following)):
                yield buffer[start : ends[gap]]
                start = following[gap]
        yield buffer[start : self._ends[-1]]

    def _absorb(self, client: int, place: int, length: int) -> bool:
        """Let the struct before this one, which has no value, take it in if they are one."""
        self._deletions = None
        last = place - 1
        if not place or self._buffer[self._starts[last]] & KIND == ANY:
            return False
        above, firsts = self.cell(last), self.firsts
        if not joins(self.cell(place), above, client, firsts[place]):
            return False
        more = extended(above, firsts[place] - firsts[last], length)
        self._used -= self._ends[place] - self._starts[place]
        # What was its own is unused behind the one before: room enough for a longer length.
        del firsts[place], self._starts[place], self._ends[place]
        self._write(last, more)
        self._tighten()
        return True

    def place_of(self, clock: int) -> int:
        """The place of the item that holds this unit's value. Raises UpdateBroken if none does."""
        firsts = self.firsts
        place = bisect_right(firsts, clock) - 1
        if place < 0 or firsts[place] != clock or self._buffer[self._starts[place]] & KIND != ANY:
            raise UpdateBroken("a value that the index knows of is not there")
        return place

    def drop(self, client: int, clock: int) -> None:
        """Take a unit's value out; the deleted units that it hangs on take it into their struct."""
        place = self.place_of(clock)
        if not self._absorb(client, place, 1):
            self._empty(place)
            self._tighten()

    def _empty(self, place: int) -> None:
        """Take the value out of the item at this place."""
        buffer, start, ends = self._buffer, self._starts[place], self._ends
        buffer[start] = without_value(buffer[start])
        # The length of one that stands before a value is that of a deleted unit, too.
        end = content_at(buffer, start) + 1
        self._used += end - ends[place]
        ends[place] = end

    def drop_many(self, client: int, clocks: Iterable[int]) -> None:
        """The same for many units in one pass: each by itself would move all that is behind it."""
        for clock in clocks:
            self._empty(self.place_of(clock))
        firsts, ends = self.firsts, (*self.firsts[1:], self.end)
        cells = [self.cell(place) for place in range(len(firsts))]
        self.firsts, self._starts, self._ends = array("I"), array("I"), array("I")
        self._buffer, self._used = bytearray(), 0
        for cell, first, end in zip(cells, firsts, ends, strict=True):
            self._add(client, first, cell, end - first)

    def since(self, client: int, clock: int) -> tuple[int, list[bytes | bytearray]]:
        """The structs from this clock on, the first one cut if it begins earlier: how many, and in pieces."""
        place = bisect_right(self.firsts, clock) - 1
        pieces: list[bytes | bytearray] = []
        count = len(self.firsts) - place
        if self.firsts[place] < clock:
            pieces.append(rest_of(self.cell(place), client, self.firsts[place], clock))
            place += 1
        if place < len(self.firsts):
            pieces += self._spans(place)
        return count, pieces

    def deletions(self, client: int) -> bytes:
        """Its section of the delete set; b"" if nothing of it is deleted."""
        if self._deletions is None:
            ends, buffer = (*self.firsts[1:], self.end), self._buffer
            ranges = joined([
                (first, end)
                for first, end, start in zip(self.firsts, ends, self._starts, strict=True)
                if buffer[start] & KIND != ANY
            ])  # fmt: skip
            out = [encoded_uint(client), encoded_uint(len(ranges))]
            for first, end in ranges:
                out += (encoded_uint(first), encoded_uint(end - first))
            self._deletions = b"".join(out)
        return self._deletions
