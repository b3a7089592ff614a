"""The bottom of every Yjs update: lib0's integers, texts and `Any` values, read strictly.

A reader takes `(data, at)` and returns `(value, next position)`: no cursor object, since this runs
for every byte that anybody sends. What no honest encoder writes is Malformed. Bytes that are cut short
show as CUT_SHORT, sooner or later: a position beyond the end is no valid index of the next read.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from crdt_chat.errors import Malformed
from crdt_chat.page.verdict import Json

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every Yjs implementation keeps exactly."""

CUT_SHORT: Final = (IndexError, UnicodeDecodeError, struct.error)
"""What readers raise for bytes that end too early or are no UTF-8."""

MAX_DEPTH: Final = 16
"""Lists and objects inside one another in a value; 53 KB of nesting overflow the stack of yrs."""

MAX_FIVES: Final = 1_024
"""How many client ids are kept as they are written."""

_FLOAT32: Final = struct.Struct(">f")
_FLOAT64: Final = struct.Struct(">d")
_INT64: Final = struct.Struct(">q")
_BITS31: Final = 2**31 - 1
_TEXT: Final = 119
_NUMBER: Final = 123
_SHORT_TEXT: Final = [bytes((_TEXT, size)) for size in range(128)]


class Undefined:
    """JavaScript's `undefined`: JSON has no such value; as a property it is left out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()


def read_uint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable length integer in its shortest form, at most 2^53 - 1."""
    first = data[at]
    if first < 128:
        return first, at + 1
    byte = data[at + 1]
    if 0 < byte < 128:
        return first - 128 | byte << 7, at + 2
    value = first - 128
    shift = 7
    at += 2
    while byte > 127:
        value |= byte - 128 << shift
        shift += 7
        byte = data[at]
        at += 1
        if shift > 49:
            raise Malformed("an integer is too long")
    value |= byte << shift
    if byte == 0 or value > MAX_INTEGER:
        raise Malformed("an integer is too large or padded")
    return value, at


def read_client(data: bytes, at: int) -> tuple[int, int, int]:
    """A client id and the number behind it: its clock, or how much of it follows.

    The id has five bytes mostly, and mostly five that were read before.
    """
    five = data[at : at + 5]
    known = _FIVES.get(five)
    if known is not None:
        client = known
        at += 5
    else:
        client, after = read_uint(data, at)
        if after == at + 5:
            _remember(five, client)
        at = after
    number = data[at]
    if number < 128:
        return client, number, at + 1
    more = data[at + 1]
    if 0 < more < 128:
        return client, number - 128 | more << 7, at + 2
    number, at = read_uint(data, at)
    return client, number, at


_FIVES: Final[dict[bytes, int]] = {}
"""Numbers of five bytes, by these: a dict, since `lru_cache` costs twice as much."""


def _remember(five: bytes, client: int) -> None:
    if len(_FIVES) >= MAX_FIVES:
        _FIVES.clear()
    _FIVES[five] = client


def read_string(data: bytes, at: int) -> tuple[str, int]:
    """A text of UTF-8 bytes behind their number; no surrogates, no overlong forms."""
    size = data[at]
    at += 1
    if size > 127:
        size, at = read_uint(data, at - 1)
    end = at + size
    return data[at:end].decode(), end


def _read_int(data: bytes, at: int, _depth: int, readers: "Readers") -> tuple[int, int]:
    """A signed integer: sign in bit 6 of the first byte."""
    first = data[at]
    at += 1
    value = first & 63
    if first < 64:
        return value, at
    shift = 6
    more = first > 127
    while more:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        more = byte > 127
        if shift > 62 or not byte:
            raise Malformed("an integer is too long or padded")
    if readers is _CANONICAL and (value > _BITS31 or (first & 64 and not value)):
        raise _OddError
    return (-value if first & 64 else value), at


def as_number(value: float) -> float:
    """This number, as an integer if it is integral: libraries write the same one as either."""
    return int(value) if value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER else value


def _read_float32(data: bytes, at: int, _depth: int, _readers: "Readers") -> tuple[float, int]:
    return as_number(_FLOAT32.unpack_from(data, at)[0]), at + 4


def _read_float64(data: bytes, at: int, _depth: int, readers: "Readers") -> tuple[float, int]:
    value: float = _FLOAT64.unpack_from(data, at)[0]
    if readers is _CANONICAL and (-_BITS31 <= value <= _BITS31 or value != value):
        raise _OddError
    return as_number(value), at + 8


def _read_bigint(data: bytes, at: int, _depth: int, _readers: "Readers") -> tuple[int, int]:
    return _INT64.unpack_from(data, at)[0], at + 8


def _read_text(data: bytes, at: int, _depth: int, _readers: "Readers") -> tuple[str, int]:
    return read_string(data, at)


def _read_bytes(data: bytes, at: int, _depth: int, _readers: "Readers") -> tuple[bytes, int]:
    size, at = read_uint(data, at)
    return data[at : at + size], at + size


def _read_list(data: bytes, at: int, depth: int, readers: "Readers") -> tuple[list[Json], int]:
    if depth >= MAX_DEPTH:
        raise Malformed("a value is nested too deeply")
    count, at = read_uint(data, at)
    depth += 1
    found: list[Json] = []
    for _ in range(count):
        value, at = readers[data[at]](data, at + 1, depth, readers)
        found.append(value)
    return found, at


def _read_object(
    data: bytes, at: int, depth: int, readers: "Readers"
) -> tuple[dict[str, Json], int]:
    if depth >= MAX_DEPTH:
        raise Malformed("a value is nested too deeply")
    count = data[at]
    at += 1
    if count > 127:
        count, at = read_uint(data, at - 1)
    depth += 1
    found: dict[str, Json] = {}
    for _ in range(count):
        size = data[at]
        if size < 128:
            start = at + 1
            at = start + size
            name = data[start:at].decode()
        else:
            name, at = read_string(data, at)
        kind = data[at]
        # Most properties are texts, and every value has a time in ms: read here, they cost half.
        if kind == _TEXT:
            size = data[at + 1]
            start = at + 2
            if size > 127:
                size, start = read_uint(data, at + 1)
            at = start + size
            found[name] = data[start:at].decode()
            continue
        if (
            kind == _NUMBER
            and _BITS31 < (number := _FLOAT64.unpack_from(data, at + 1)[0]) <= MAX_INTEGER
            and number.is_integer()
        ):
            found[name] = int(number)
            at += 9
            continue
        value, at = readers[kind](data, at + 1, depth, readers)
        if value is not UNDEFINED:
            found[name] = value
    if readers is _CANONICAL and len(found) < count:
        raise _OddError
    return found, at


def _unknown(_data: bytes, _at: int, _depth: int, _readers: "Readers") -> tuple[Json, int]:
    raise Malformed("a value of unknown type")


class _OddError(Exception):
    """The value is a good one, but not written as we write it."""


def _odd(_data: bytes, _at: int, _depth: int, _readers: "Readers") -> tuple[Json, int]:
    raise _OddError


Readers: TypeAlias = "list[Callable[[bytes, int, int, Readers], tuple[Json, int]]]"
_READERS: Final[Readers] = [_unknown] * 256
_READERS[116:128] = [
    _read_bytes,
    _read_list,
    _read_object,
    _read_text,
    lambda _data, at, _depth, _readers: (True, at),
    lambda _data, at, _depth, _readers: (False, at),
    _read_bigint,
    _read_float64,
    _read_float32,
    _read_int,
    lambda _data, at, _depth, _readers: (None, at),
    lambda _data, at, _depth, _readers: (UNDEFINED, at),
]
_CANONICAL: Final[Readers] = list(_READERS)
for _kind in (116, 122, 124, 127):
    _CANONICAL[_kind] = _odd


def read_any(data: bytes, at: int) -> tuple[Json, int, bool]:
    """A lib0 `Any`: JSON, or UNDEFINED, or bytes, which no rule accepts.

    The third of the result says whether its bytes are exactly those that `write_any` would give: to
    encode it again is to copy them.
    """
    try:
        value, end = _CANONICAL[data[at]](data, at + 1, 0, _CANONICAL)
    except _OddError:
        value, end = _READERS[data[at]](data, at + 1, 0, _READERS)
        return value, end, False
    return value, end, True


def write_uint(out: bytearray, value: int) -> None:
    """Append a non-negative integer in its shortest form."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def write_string(out: bytearray, text: str) -> None:
    """Append a text: its length in UTF-8 bytes, then these."""
    raw = text.encode()
    if len(raw) < 128:
        out.append(len(raw))
    else:
        write_uint(out, len(raw))
    out += raw


def _write_int(out: bytearray, value: int) -> None:
    """As JavaScript writes numbers: 31 bits as an integer, beyond that as a float of 64 bits."""
    if not -_BITS31 <= value <= _BITS31:
        out.append(123)
        out += _FLOAT64.pack(value)
        return
    out.append(125)
    sign = 64 if value < 0 else 0
    value = abs(value)
    out.append(value & 63 | sign | (128 if value > 63 else 0))
    value >>= 6
    while value:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7


def write_any(out: bytearray, value: Json) -> None:
    """Append a JSON value, properties in their order. Raises TypeError for what JSON has not."""
    kind = type(value)
    if kind is str:
        out.append(_TEXT)
        write_string(out, value)
    elif kind is dict:
        _write_object(out, value)
    elif kind is int:
        _write_int(out, value)
    elif kind is list:
        out.append(117)
        write_uint(out, len(value))
        for each in value:
            write_any(out, each)
    elif value is None or kind is bool:
        out.append(126 if value is None else 120 if value else 121)
    elif kind is float:
        out.append(123)
        out += _FLOAT64.pack(value)
    else:
        raise TypeError(f"no JSON value: {kind.__name__}")


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    """A property's name as it is written; there are few, and they come all the time."""
    out = bytearray()
    write_string(out, name)
    return bytes(out)


def _write_object(out: bytearray, value: dict[str, Json]) -> None:
    out.append(118)
    write_uint(out, len(value))
    for name, each in value.items():
        out += _name(name)
        if type(each) is not str:
            write_any(out, each)
            continue
        raw = each.encode()
        if len(raw) < 128:
            out += _SHORT_TEXT[len(raw)]
        else:
            out.append(_TEXT)
            write_uint(out, len(raw))
        out += raw
