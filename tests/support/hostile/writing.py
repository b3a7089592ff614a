"""Bytes of Yjs updates as nobody's library writes them: every field may be anything."""

import struct
from collections.abc import Sequence
from typing import Any

DEPTHS = (15, 16, 17, 18, 400)


def varuint(out: bytearray, value: int) -> None:
    """A lib0 varuint of any size."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def overlong(out: bytearray, value: int) -> None:
    """The same number with a byte too many."""
    varuint(out, value)
    out[-1] |= 128
    out.append(0)


def text(out: bytearray, words: str) -> None:
    """A lib0 var-string."""
    raw = words.encode("utf-8", "surrogatepass")
    varuint(out, len(raw))
    out += raw


class Raw(bytes):
    """An `Any` that is written already."""


def any_value(out: bytearray, value: Any) -> None:
    """A lib0 `Any`: JSON, or Raw bytes as they are."""
    if isinstance(value, Raw):
        out += value
    elif isinstance(value, str):
        out.append(119)
        text(out, value)
    elif isinstance(value, bool):
        out.append(120 if value else 121)
    elif isinstance(value, int):
        _number(out, value)
    elif isinstance(value, float):
        out.append(123)
        out += struct.pack(">d", value)
    elif isinstance(value, dict):
        out.append(118)
        varuint(out, len(value))
        for name, each in value.items():
            text(out, name)
            any_value(out, each)
    elif isinstance(value, list):
        out.append(117)
        varuint(out, len(value))
        for each in value:
            any_value(out, each)
    else:
        out.append(126)


def _number(out: bytearray, value: int) -> None:
    if abs(value) >= 2**31:
        out.append(123)
        out += struct.pack(">d", float(value))
        return
    out.append(125)
    sign = 64 if value < 0 else 0
    value = abs(value)
    out.append(value & 63 | sign | (128 if value > 63 else 0))
    value >>= 6
    while value:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7


def nested(depth: int, kind: int = 117) -> Raw:
    """Lists (117) or objects (118) inside one another."""
    step = b"\x75\x01" if kind == 117 else b"\x76\x01\x01x"
    return Raw(step * depth + b"\x7e")


ODD_VALUES: Sequence[Raw] = (
    Raw(b"\x7f"),
    Raw(b"\x7b\x7f\xf8" + bytes(6)),
    Raw(b"\x7b\x7f\xf0" + bytes(6)),
    Raw(b"\x7c\x7f\xc0\x00\x00"),
    Raw(b"\x7a" + b"\xff" * 8),
    Raw(b"\x7a\x80" + bytes(7)),
    Raw(b"\x74\x03abc"),
    Raw(b"\x74\xff\xff\xff\xff\x0f"),
    Raw(b"\x75\xff\xff\xff\xff\x0f"),
    Raw(b"\x76\xff\xff\xff\xff\x0f"),
    Raw(b"\x77\xff\xff\xff\xff\x0f"),
    Raw(b"\x77\x02\xed\xa0"),
    Raw(b"\x77\x03\xed\xa0\x80"),
    Raw(b"\x7d\x40"),
    Raw(b"\x7d\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    Raw(b"\x76\x02\x01x\x7e\x01x\x7e"),
    Raw(b"\x76\x01\x09__proto__\x76\x00"),
    Raw(b"\x00"),
    Raw(b"\x73"),
    *(nested(depth, kind) for depth in DEPTHS for kind in (117, 118)),
)
"""Values that JSON lacks, that lie about their size, or that are nested too deeply."""
