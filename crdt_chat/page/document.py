"""The document: every struct of the page as it is written in an update, per client, and nothing decoded.

Yjs keeps each value as a tree of hash maps, four times its bytes, and encodes all of them for whoever
joins. Who wins an entry the index knows; what is left to do is to keep bytes in order and to take out
the values that are gone (docs/decisions/0013-our-own-document.md).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from crdt_chat.page.column import Column
from crdt_chat.page.update import Id, Item, Struct, encoded_uint
from crdt_chat.page.verdict import Json

DROPPED_SINGLY: Final = 1_000
"""So many values are taken out one by one at most; of more, all of a client's together."""


RECALLED: Final = 16
"""Values that stay decoded, the last used ones: the note that others answer."""

WRITING: Final = 16
"""Clients of whom the value that they wrote last stays decoded: the comment that somebody edits."""

_NONE: Final[tuple[int, Json]] = (-1, None)


class Document:
    """The columns of all clients. A unit that has a value is always an item of its own."""

    __slots__ = ("_columns", "_recent", "_written")

    def __init__(self) -> None:
        self._columns: dict[int, Column] = {}
        self._recent: dict[Id, Json] = {}
        self._written: dict[int, tuple[int, Json]] = {}

    def append(self, client: int, run: Sequence[Struct]) -> None:
        """Add a client's next structs. Raises UpdateBroken."""
        column = self._columns.get(client)
        if column is None:
            column = self._columns[client] = Column()
        column.append(client, run)
        last = run[-1]
        if type(last) is Item and last.values is not None:
            # What somebody has written just now is what she goes on with, and not with the one before.
            self._written.pop(client, None)
            self._written[client] = last.clock, last.values[0]
            if len(self._written) > WRITING:
                del self._written[next(iter(self._written))]

    def drop(self, units: Sequence[Id]) -> None:
        """Take the values of these units out. Raises UpdateBroken if one has none."""
        if len(units) <= DROPPED_SINGLY:
            for unit in units:
                client, clock = unit
                self._columns[client].drop(client, clock)
                self._recent.pop(unit, None)
                if self._written.get(client, _NONE)[0] == clock:
                    del self._written[client]
            return
        self._recent.clear()
        self._written.clear()
        clocks: dict[int, list[int]] = {}
        for client, clock in units:
            clocks.setdefault(client, []).append(clock)
        for client, dropped in clocks.items():
            self._columns[client].drop_many(client, dropped)

    def read(self, unit: Id) -> Json:
        """The value of a unit. Raises UpdateBroken if it has none."""
        client, clock = unit
        return self._columns[client].value(clock)

    def recall(self, unit: Id) -> Json:
        """`read`, where it is read again and again; the value is not to be changed."""
        client, clock = unit
        written = self._written.get(client, _NONE)
        if written[0] == clock:
            return written[1]
        recent = self._recent
        if unit in recent:
            value = recent[unit] = recent.pop(unit)
            return value
        value = recent[unit] = self.read(unit)
        if len(recent) > RECALLED:
            del recent[next(iter(recent))]
        return value

    def since(self, known: Mapping[int, int]) -> bytes:
        """What a peer with this state vector lacks, as one update; all that is deleted is said anew."""
        parts: list[bytes | bytearray] = [b""]
        deletions: list[bytes] = []
        count = 0
        for client in sorted(self._columns, reverse=True):
            column = self._columns[client]
            clock = known.get(client, 0)
            if clock < column.end:
                number, pieces = column.since(client, clock)
                parts += map(encoded_uint, (number, client, clock))
                parts += pieces
                count += 1
            deleted = column.deletions(client)
            if deleted:
                deletions.append(deleted)
        parts[0] = encoded_uint(count)
        return b"".join((*parts, encoded_uint(len(deletions)), *deletions))
