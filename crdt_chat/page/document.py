"""The document: every struct of the page as it is written in an update, per client, and nothing decoded.

Yjs keeps each value as a tree of hash maps, four times its bytes, and encodes all of them for whoever
joins. Who wins an entry the index knows; what is left to do is to keep bytes in order and to take out
the values that are gone (docs/decisions/0013-our-own-document.md).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from crdt_chat.page.column import Column
from crdt_chat.page.update import Id, Struct, encoded_uint
from crdt_chat.page.verdict import Json

DROPPED_SINGLY: Final = 1_000
"""So many values are taken out one by one at most; of more, all of a client's together."""


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
        return self._columns[client].value(clock)

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
