"""The document: every struct of the page as it is written in an update, per client, and nothing decoded.

Yjs keeps each value as a tree of hash maps, four times its bytes, and encodes all of them for whoever
joins. Who wins an entry the index knows; what is left to do is to keep bytes in order and to take out
the values that are gone (docs/decisions/0013-our-own-document.md).
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from crdt_chat.errors import UpdateBroken
from crdt_chat.page.cell import extended, has_value, joins, rest_of, tombstone, value_of
from crdt_chat.page.update import Id, Struct, encoded_uint, joined, written
from crdt_chat.page.verdict import Json

DROPPED_SINGLY: Final = 1_000
"""So many values are taken out one by one at most; of more, all of a client's together."""


class Column:
    """The structs of one client: cells[i] is the one that begins with the clock firsts[i]."""

    __slots__ = ("_deletions", "cells", "end", "firsts")

    def __init__(self) -> None:
        self.firsts: array[int] = array("I")
        self.cells: list[bytes] = []
        self.end = 0
        self._deletions: bytes | None = b""

    def append(self, client: int, run: Sequence[Struct]) -> None:
        """Add the next structs. Raises UpdateBroken if clocks are missing."""
        end = self.end
        if run[0].clock != end:
            raise UpdateBroken("structs that do not follow each other")
        for struct in run:
            cell = written(struct)
            self.firsts.append(end)
            self.cells.append(cell)
            self.end = end = end + struct.length
            if not has_value(cell):
                self._absorb(client, len(self.cells) - 1, struct.length)

    def _absorb(self, client: int, place: int, length: int) -> bool:
        """Let the struct before this one, which has no value, take it in if they are one."""
        self._deletions = None
        cells, firsts, last = self.cells, self.firsts, place - 1
        if not place or not joins(cells[place], cells[last], client, firsts[place]):
            return False
        cells[last] = extended(cells[last], firsts[place] - firsts[last], length)
        del cells[place], firsts[place]
        return True

    def place_of(self, clock: int) -> int:
        """The place of the item that holds this unit's value. Raises UpdateBroken if none does."""
        firsts = self.firsts
        place = bisect_right(firsts, clock) - 1
        if place < 0 or firsts[place] != clock or not has_value(self.cells[place]):
            raise UpdateBroken("a value that the index knows of is not there")
        return place

    def drop(self, client: int, clock: int) -> None:
        """Take a unit's value out; the deleted units that it hangs on take it into their struct."""
        place = self.place_of(clock)
        if not self._absorb(client, place, 1):
            self.cells[place] = tombstone(self.cells[place])

    def drop_many(self, client: int, clocks: Iterable[int]) -> None:
        """The same for many units in one pass: each by itself would move all that is behind it."""
        for clock in clocks:
            place = self.place_of(clock)
            self.cells[place] = tombstone(self.cells[place])
        cells, firsts, ends = self.cells, self.firsts, (*self.firsts[1:], self.end)
        self.firsts, self.cells = array("I"), []
        for cell, first, end in zip(cells, firsts, ends, strict=True):
            self.firsts.append(first)
            self.cells.append(cell)
            if not has_value(cell):
                self._absorb(client, len(self.cells) - 1, end - first)

    def since(self, client: int, clock: int) -> Sequence[bytes]:
        """The structs from this clock on, the first one cut if it begins earlier."""
        if not clock:
            return self.cells
        place = bisect_right(self.firsts, clock) - 1
        cells = self.cells[place:]
        if self.firsts[place] < clock:
            cells[0] = rest_of(cells[0], client, self.firsts[place], clock)
        return cells

    def deletions(self, client: int) -> bytes:
        """Its section of the delete set; b"" if nothing of it is deleted."""
        if self._deletions is None:
            ends = (*self.firsts[1:], self.end)
            ranges = joined([
                (first, end)
                for first, end, cell in zip(self.firsts, ends, self.cells, strict=True)
                if not has_value(cell)
            ])  # fmt: skip
            out = [encoded_uint(client), encoded_uint(len(ranges))]
            for first, end in ranges:
                out += (encoded_uint(first), encoded_uint(end - first))
            self._deletions = b"".join(out)
        return self._deletions


class Document:
    """The columns of all clients. A unit that has a value is always an item of its own."""

    __slots__ = ("_columns",)

    def __init__(self) -> None:
        self._columns: dict[int, Column] = {}

    def append(self, client: int, run: Sequence[Struct]) -> None:
        """Add a client's next structs. Raises UpdateBroken."""
        column = self._columns.get(client)
        if column is None:
            column = self._columns[client] = Column()
        column.append(client, run)

    def drop(self, units: Sequence[Id]) -> None:
        """Take the values of these units out. Raises UpdateBroken if one has none."""
        if len(units) <= DROPPED_SINGLY:
            for client, clock in units:
                self._columns[client].drop(client, clock)
            return
        clocks: dict[int, list[int]] = {}
        for client, clock in units:
            clocks.setdefault(client, []).append(clock)
        for client, dropped in clocks.items():
            self._columns[client].drop_many(client, dropped)

    def read(self, unit: Id) -> Json:
        """The value of a unit. Raises UpdateBroken if it has none."""
        client, clock = unit
        column = self._columns[client]
        return value_of(column.cells[column.place_of(clock)])

    def since(self, known: Mapping[int, int]) -> bytes:
        """What a peer with this state vector lacks, as one update; all that is deleted is said anew."""
        parts: list[bytes] = [b""]
        deletions: list[bytes] = []
        count = 0
        for client in sorted(self._columns, reverse=True):
            column = self._columns[client]
            clock = known.get(client, 0)
            if clock < column.end:
                cells = column.since(client, clock)
                parts += map(encoded_uint, (len(cells), client, clock))
                parts += cells
                count += 1
            deleted = column.deletions(client)
            if deleted:
                deletions.append(deleted)
        parts[0] = encoded_uint(count)
        return b"".join((*parts, encoded_uint(len(deletions)), *deletions))
