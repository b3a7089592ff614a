"""One struct as it is written in an update, looked at without making values of it."""

from typing import Final

from crdt_chat.page.lib0 import read_any, read_client, read_uint
from crdt_chat.page.order import cut
from crdt_chat.page.skipping import skip_any
from crdt_chat.page.update import (
    ANY,
    DELETED,
    GC,
    ORIGIN,
    encoded_uint,
    read_struct,
    written,
)
from crdt_chat.page.verdict import Json

_KIND: Final = 31


def has_value(cell: bytes) -> bool:
    """Whether it is an item with a value; else it is one without, or a Gc."""
    return cell[0] & _KIND == ANY


def value_of(cell: bytes) -> Json:
    """The value of an item that has just one."""
    return read_any(cell, _head(cell) + 1)[0]


def joins(cell: bytes, last: bytes, client: int, clock: int) -> bool:
    """Whether this struct without a value, the units from (client, clock) on, is one with the last one.

    So are two Gcs, and two tombstones of which one hangs on the other's last unit.
    """
    if last[0] & _KIND == DELETED:
        above = encoded_uint(client) + encoded_uint(clock - 1)
        return bool(cell[0] & ORIGIN) and cell.startswith(above, 1)
    return last[0] == cell[0] == GC


def tombstone(cell: bytes) -> bytes:
    """The same item, of one unit, without its value."""
    return bytes((cell[0] & ~_KIND | DELETED,)) + cell[1 : _head(cell)] + b"\x01"


def extended(cell: bytes, length: int, more: int) -> bytes:
    """A struct of so many units without values, with more of them."""
    return cell[: -len(encoded_uint(length))] + encoded_uint(length + more)


def rest_of(cell: bytes, client: int, first: int, clock: int) -> bytes:
    """What of the struct that begins with clock `first` is not before `clock`."""
    return written(cut(read_struct(cell, client, first, skip_any), clock))


def _head(cell: bytes) -> int:
    """Where the content of an item begins: its length."""
    if cell[0] & ORIGIN:
        return read_client(cell, 1)[2]
    at = 2
    for _name in ("root", "name"):
        size = cell[at]
        at += 1
        if size > 127:
            size, at = read_uint(cell, at - 1)
        at += size
    return at
