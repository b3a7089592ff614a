"""Updates that no library would make, struct by struct, and bytes that are no update at all."""

from typing import Any

from crdt_chat.page.lib0 import write_any, write_string, write_uint
from crdt_chat.page.update import Gc, Id, Item, Skip, Struct, encode
from crdt_chat.protocol import wire


class Forged:
    """One update under any client ids; each call adds to it at the place where `at` left it."""

    def __init__(self, client: int, clock: int = 0) -> None:
        self.structs: dict[int, list[Struct]] = {}
        self.deleted: dict[int, list[tuple[int, int]]] = {}
        self.at(client, clock)

    def at(self, client: int, clock: int) -> "Forged":
        """Go on under this client id, at this clock."""
        self.client, self.clock = client, clock
        return self

    def _put(self, struct: Struct) -> Id:
        self.structs.setdefault(self.client, []).append(struct)
        self.clock += struct.length
        return self.client, self.clock - 1

    def set(self, root: str, name: str, value: Any, over: Id | None = None) -> Id:
        """A value, written over a unit if one is given, which it also deletes."""
        place = ("", "") if over else (root, name)
        if over is not None:
            self.drop(over)
        return self._put(Item(self.client, self.clock, 1, over, *place, (value,)))

    def tombstone(self, root: str, name: str, over: Id | None = None, length: int = 1) -> Id:
        """Units that are deleted from the beginning."""
        place = ("", "") if over else (root, name)
        self.drop((self.client, self.clock), length)
        return self._put(Item(self.client, self.clock, length, over, *place, None))

    def gc(self, length: int) -> Id:
        """Clocks without content."""
        return self._put(Gc(self.client, self.clock, length))

    def skip(self, length: int) -> Id:
        """Clocks that the sender says it lacks."""
        return self._put(Skip(self.client, self.clock, length))

    def drop(self, unit: Id, length: int = 1) -> "Forged":
        """Name units in the delete set."""
        self.deleted.setdefault(unit[0], []).append((unit[1], unit[1] + length))
        return self

    def data(self) -> bytes:
        """The update."""
        return encode(self.structs, self.deleted)

    def update(self) -> bytes:
        """The frame of an increment."""
        return wire.update(self.data())

    def step2(self) -> bytes:
        """The frame of an answer to a step 1."""
        return wire.step2(self.data())


def varuint(number: int) -> bytes:
    """A lib0 varuint, of any size."""
    out = bytearray()
    write_uint(out, number)
    return bytes(out)


def text(words: str) -> bytes:
    """A lib0 var-string."""
    out = bytearray()
    write_string(out, words)
    return bytes(out)


def value(content: Any) -> bytes:
    """A lib0 Any."""
    out = bytearray()
    write_any(out, content)
    return bytes(out)


def raw(client: int, clock: int, *structs: bytes, deleted: bytes = b"\x00") -> bytes:
    """An update of structs that are written out already."""
    return (
        b"\x01"
        + varuint(len(structs))
        + varuint(client)
        + varuint(clock)
        + b"".join(structs)
        + deleted
    )


def place(root: str, name: str) -> bytes:
    """Parent and key of an item without an origin."""
    return b"\x01" + text(root) + text(name)
