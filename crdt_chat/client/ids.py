"""Where the client takes its clock and its ids from; its other modules get them as arguments."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Milliseconds since the Unix epoch."""

Ids = Callable[[], str]
"""A fresh identifier at every call."""


def now_ms() -> int:
    """The time of day in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def uuid7(milliseconds: int | None = None) -> str:
    """A UUIDv7 (RFC 9562, 5.7): ids of one author sort by the time they were made.

    `milliseconds` since the Unix epoch; None for now.
    """
    moment = now_ms() if milliseconds is None else milliseconds
    value = (moment & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


LAST_MS = 253_402_300_799_000
"""The end of the year 9999, beyond which Python has no dates; a note may say that it was made later."""


def moment(milliseconds: int) -> datetime:
    """The UTC time of so many milliseconds since the Unix epoch, 1970 to 9999 at the outside."""
    return datetime.fromtimestamp(min(max(milliseconds, 0), LAST_MS) / 1000, UTC)
