"""Where a lib0 `Any` ends, found without making the value: for updates that are joined, not judged.

The bytes are ones that this gate wrote: what their strict reader (lib0.py) would refuse is not looked
for here, beyond what makes no value at all.
"""

from collections.abc import Callable
from typing import Final

from crdt_chat.errors import Malformed
from crdt_chat.page.lib0 import read_uint


def skip_any(data: bytes, at: int) -> tuple[None, int, bool]:
    """As `read_any`, without the value."""
    return None, _ENDS[data[at]](data, at + 1), True


def _sized(data: bytes, at: int) -> int:
    size = data[at]
    if size < 128:
        return at + 1 + size
    size, at = read_uint(data, at)
    return at + size


def _list(data: bytes, at: int) -> int:
    count, at = read_uint(data, at)
    for _ in range(count):
        at = _ENDS[data[at]](data, at + 1)
    return at


def _object(data: bytes, at: int) -> int:
    count, at = read_uint(data, at)
    for _ in range(count):
        size = data[at]
        at = at + 1 + size if size < 128 else _sized(data, at)
        at = _ENDS[data[at]](data, at + 1)
    return at


def _integer(data: bytes, at: int) -> int:
    while data[at] > 127:
        at += 1
    return at + 1


def _nothing(_data: bytes, at: int) -> int:
    return at


def _unknown(_data: bytes, _at: int) -> int:
    raise Malformed("a value of unknown type")


_ENDS: Final[list[Callable[[bytes, int], int]]] = [_unknown] * 256
_ENDS[116:128] = [
    _sized,
    _list,
    _object,
    _sized,
    _nothing,
    _nothing,
    lambda _data, at: at + 8,
    lambda _data, at: at + 8,
    lambda _data, at: at + 4,
    _integer,
    _nothing,
    _nothing,
]
