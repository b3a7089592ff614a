"""A Yjs update (v1) as plain values: strict decoding, canonical encoding (design 4, "Decode").

An update is, per client id, a run of structs from one clock on, and a delete set. A struct is an Item
(one or more values of a map entry, or the mark that they were deleted), a Gc (clocks whose content is
forgotten) or a Skip (clocks that the sender itself lacks). Everything else is nothing that a client
sends which uses maps only: Malformed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Final, TypeAlias

from crdt_chat.errors import Malformed
from crdt_chat.page.lib0 import (
    CUT_SHORT,
    MAX_INTEGER,
    read_any,
    read_client,
    read_string,
    read_uint,
    write_any,
    write_string,
    write_uint,
)
from crdt_chat.page.verdict import Json

MAX_CLOCK: Final = 2**31 - 1
"""The end of any run of clocks: yrs counts in 32 bits."""

Id: TypeAlias = tuple[int, int]
"""(client id, clock): one unit of one struct."""


@dataclass(slots=True)
class Item:
    """`length` consecutive units of a map entry, each but the first hanging on the one before.

    Either `origin`, the unit it was written over, decides whose entry this is, or there is none and
    `root` and `name` say it. `values` has one value per unit, or is None: they are deleted. `raw` is
    how all of it is written, if that is known.
    """

    client: int
    clock: int
    length: int
    origin: Id | None
    root: str
    name: str
    values: Sequence[Json] | None
    raw: bytes | None = None

    def deleted(self, more: int = 0) -> "Item":
        """The same units, and so many more that hang on them, as deleted ones."""
        length = self.length + more
        return Item(self.client, self.clock, length, self.origin, self.root, self.name, None)


@dataclass(slots=True)
class Gc:
    """Clocks without content."""

    client: int
    clock: int
    length: int


@dataclass(slots=True)
class Skip:
    """Clocks that the sender lacks."""

    client: int
    clock: int
    length: int


Struct: TypeAlias = Item | Gc | Skip
Reader: TypeAlias = Callable[[bytes, int], tuple[Json, int, bool]]
"""What `read_any` is."""
Ranges: TypeAlias = dict[int, list[tuple[int, int]]]
"""Per client the (first, end) of ranges of clocks, ascending and disjoint."""


@dataclass(slots=True)
class Update:
    """`structs` per client in the order of their clocks, without holes; `deleted` the delete set.

    raw: its bytes, if they are exactly those that `encode` gives.
    """

    structs: dict[int, list[Struct]]
    deleted: Ranges
    raw: bytes | None = None


_StructReader: TypeAlias = Callable[[bytes, int, int, int, int, Reader], tuple[Struct, int, bool]]
"""Given data, position, first byte, client, clock and reader of values: a struct, where it ends, and
whether it is written as we write it."""
GC, DELETED, ANY, _SKIP = 0, 1, 8, 10
ORIGIN, _PARENT_SUB = 0x80, 0x20


def decode(data: bytes, read: Reader = read_any) -> Update:
    """The update that these bytes are. read: what reads a value, and tells where it ends.

    Raises Malformed for anything that no Yjs client using root maps with JSON values sends: unknown
    content, lists, nested types, right origins, bytes left over or missing, empty sections and lengths
    of zero, a client twice, clocks beyond 2^31, an origin that lies later.
    """
    try:
        structs, at, exact = _read_structs(data, read)
        deleted, at, tidy = _read_deleted(data, at)
    except CUT_SHORT as error:
        raise Malformed("the update is cut short or no UTF-8") from error
    if at != len(data):
        raise Malformed("bytes are left over")
    return Update(structs, deleted, data if exact and tidy else None)


def _read_structs(data: bytes, read_value: Reader) -> tuple[dict[int, list[Struct]], int, bool]:
    """The structs, where they end, and whether they are written as we write them."""
    sections, at = data[0], 1
    if sections > 127:
        sections, at = read_uint(data, 0)
    found: dict[int, list[Struct]] = {}
    exact, above = True, MAX_INTEGER + 1
    for _ in range(sections):
        count = data[at]
        at += 1
        if count > 127:
            count, at = read_uint(data, at - 1)
        client, clock, at = read_client(data, at)
        if not count or client in found:
            raise Malformed("a section is empty or comes twice")
        exact, above = exact and client < above, client
        run: list[Struct] = []
        for _ in range(count):
            info = data[at]
            struct, at, known = _KINDS[info](data, at + 1, info, client, clock, read_value)
            exact = exact and known
            run.append(struct)
            length = struct.length
            clock += length
            if clock > MAX_CLOCK or not length:
                raise Malformed("a clock is too high or a struct is empty")
        found[client] = run
    return found, at, exact


def _read_gc(
    data: bytes, at: int, _info: int, client: int, clock: int, _read: Reader
) -> tuple[Struct, int, bool]:
    length, at = read_uint(data, at)
    return Gc(client, clock, length), at, True


def _read_skip(
    data: bytes, at: int, _info: int, client: int, clock: int, _read: Reader
) -> tuple[Struct, int, bool]:
    length, at = read_uint(data, at)
    return Skip(client, clock, length), at, True


def _forbidden(
    _data: bytes, _at: int, info: int, _client: int, _clock: int, _read: Reader
) -> tuple[Struct, int, bool]:
    if info & 31 in (DELETED, ANY):
        raise Malformed("a right origin: no entry of a map")
    raise Malformed("a struct of unknown or forbidden content")


def _read_item(
    data: bytes, at: int, info: int, client: int, clock: int, read: Reader
) -> tuple[Struct, int, bool]:
    start, origin = at - 1, None
    root = name = ""
    exact = info & _PARENT_SUB > 0
    if info & ORIGIN:
        # Whether or not the parentSub bit is set: the entry is the origin's, and nothing else follows.
        source, before, at = read_client(data, at)
        if before >= (clock if source == client else MAX_CLOCK):
            raise Malformed("an origin lies later")
        origin = (source, before)
    else:
        if data[at] != 1 or not exact:
            raise Malformed("an entry of no root map")
        root, at = read_string(data, at + 1)
        # There are few, every entry keeps its own, and a dict finds the very same text sooner.
        root = intern(root)
        name, at = read_string(data, at)
    values: Sequence[Json] | None = None
    known = True
    if info & 31 == DELETED:
        length, at = read_uint(data, at)
    elif data[at] == 1:
        value, at, known = read(data, at + 1)
        length, values = 1, (value,)
    else:
        length, at = read_uint(data, at)
        values, at, known = _read_values(data, at, length, read)
    raw = data[start:at] if known else None
    if raw is not None and not exact:
        raw = bytes((info | _PARENT_SUB,)) + raw[1:]
    return Item(client, clock, length, origin, root, name, values, raw), at, exact and known


def _read_values(
    data: bytes, at: int, count: int, read: Reader
) -> tuple[Sequence[Json], int, bool]:
    values = []
    known = True
    for _ in range(count):
        value, at, same = read(data, at)
        values.append(value)
        known = known and same
    return values, at, known


_KINDS: Final[list[_StructReader]] = [_forbidden] * 256
"""How a struct is read, by its first byte."""
_KINDS[GC], _KINDS[_SKIP] = _read_gc, _read_skip
for _flags in (0, _PARENT_SUB, ORIGIN, ORIGIN | _PARENT_SUB):
    _KINDS[_flags | DELETED] = _KINDS[_flags | ANY] = _read_item


def read_struct(cell: bytes, client: int, clock: int, read: Reader) -> Struct:
    """A struct that is written alone, and begins with this clock of this client."""
    return _KINDS[cell[0]](cell, 1, cell[0], client, clock, read)[0]


def _read_deleted(data: bytes, at: int) -> tuple[Ranges, int, bool]:
    """The delete set, where it ends, and whether it is written as we write it."""
    sections = data[at]
    at += 1
    if sections > 127:
        sections, at = read_uint(data, at - 1)
    found: Ranges = {}
    tidy, above = True, MAX_INTEGER + 1
    for _ in range(sections):
        client, count, at = read_client(data, at)
        if not count or client in found:
            raise Malformed("a section of the delete set is empty or comes twice")
        tidy, above = tidy and client < above, client
        ranges = []
        for _ in range(count):
            first, at = read_uint(data, at)
            length = data[at]
            at += 1
            if length > 127:
                length, at = read_uint(data, at - 1)
            end = first + length
            if not length or end > MAX_CLOCK:
                raise Malformed("a range of the delete set is empty or too high")
            ranges.append((first, end))
        found[client] = ranges
        if count > 1:
            found[client] = joined(ranges)
            tidy = tidy and found[client] == ranges
    return found, at, tidy


def joined(ranges: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same clocks as ascending, disjoint ranges."""
    if len(ranges) == 1:
        return [*ranges]
    found: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1]:
            if end > found[-1][1]:
                found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found


def encode(
    structs: Mapping[int, Sequence[Struct]], deleted: Mapping[int, Collection[tuple[int, int]]]
) -> bytes:
    """The canonical bytes: higher client ids first, as yjs writes them, ranges joined.

    `structs` per client in the order of their clocks, without holes; `deleted` in any order.
    """
    parts = [encoded_uint(len(structs))]
    for client in sorted(structs, reverse=True):
        run = structs[client]
        parts += (encoded_uint(len(run)), encoded_uint(client), encoded_uint(run[0].clock))
        parts += map(written, run)
    parts.append(encoded_uint(len(deleted)))
    for client in sorted(deleted, reverse=True):
        ranges = joined(deleted[client])
        parts += (encoded_uint(client), encoded_uint(len(ranges)))
        for first, end in ranges:
            parts += (encoded_uint(first), encoded_uint(end - first))
    return b"".join(parts)


@lru_cache(maxsize=1024)
def encoded_uint(number: int) -> bytes:
    """A number as it is written: a client id stands three times in an edit, a small one many times."""
    out = bytearray()
    write_uint(out, number)
    return bytes(out)


def written(struct: Struct) -> bytes:
    """One struct as it stands in an update."""
    if type(struct) is not Item:
        return (b"\x00" if type(struct) is Gc else b"\x0a") + encoded_uint(struct.length)
    if struct.raw is not None:
        return struct.raw
    origin, values = struct.origin, struct.values
    out = bytearray()
    content = DELETED if values is None else ANY
    if origin is not None:
        out.append(ORIGIN | _PARENT_SUB | content)
        out += encoded_uint(origin[0])
        write_uint(out, origin[1])
    else:
        out.append(_PARENT_SUB | content)
        out.append(1)
        write_string(out, struct.root)
        write_string(out, struct.name)
    out += encoded_uint(struct.length)
    for value in values or ():
        write_any(out, value)
    return bytes(out)
