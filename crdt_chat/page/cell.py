"""One struct as it is written in an update, looked at without making values of it."""

from typing import Final

from crdt_chat.page.lib0 import read_uint
from crdt_chat.page.order import cut
from crdt_chat.page.skipping import skip_any
from crdt_chat.page.update import (
    DELETED,
    GC,
    ORIGIN,
    encoded_uint,
    read_struct,
    written,
)

KIND: Final = 31
"""The bits of a struct's first byte that tell what it holds: ANY for a value, else it has none."""


def joins(cell: bytes, last: bytes, client: int, clock: int) -> bool:
    """Whether this struct without a value, the units from (client, clock) on, is one with the last one.

    So are two Gcs, and two tombstones of which one hangs on the other's last unit.
    """
    if last[0] & KIND == DELETED:
        above = encoded_uint(client) + encoded_uint(clock - 1)
        return bool(cell[0] & ORIGIN) and cell.startswith(above, 1)
    return last[0] == cell[0] == GC


def without_value(first: int) -> int:
    """The first byte of the same item without its value: all of it up to its length stays as it is."""
    return first & ~KIND | DELETED


def extended(cell: bytes, length: int, more: int) -> bytes:
    """A struct of so many units without values, with more of them."""
    return cell[: -len(encoded_uint(length))] + encoded_uint(length + more)


def rest_of(cell: bytes, client: int, first: int, clock: int) -> bytes:
    """What of the struct that begins with clock `first` is not before `clock`."""
    return written(cut(read_struct(cell, client, first, skip_any), clock))


def content_at(cell: bytes | bytearray, start: int) -> int:
    """Where the content of the item that begins at `start` begins: its length."""
    at = start + 1
    if cell[start] & ORIGIN:
        for _part in ("client", "clock"):
            while cell[at] > 127:
                at += 1
            at += 1
        return at
    at += 1
    for _name in ("root", "name"):
        size = cell[at]
        at += 1
        if size > 127:
            size, at = read_uint(cell, at - 1)
        at += size
    return at
