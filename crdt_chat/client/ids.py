"""Where the client takes its clock and its ids from; its other modules get them as arguments."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from crdt_chat.page.ids import NOISE_BYTES, uuid7

Clock = Callable[[], int]
"""Milliseconds since the Unix epoch."""

Ids = Callable[[], str]
"""A fresh identifier at every call."""


def now_ms() -> int:
    """The time of day in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def fresh_id(milliseconds: int | None = None) -> str:
    """A fresh UUIDv7 of this time since the Unix epoch; None for now."""
    now = now_ms() if milliseconds is None else milliseconds
    return uuid7(now, secrets.token_bytes(NOISE_BYTES))


LAST_MS = 253_402_300_799_000
"""The end of the year 9999, beyond which Python has no dates; a note may say that it was made later."""


def moment(milliseconds: int) -> datetime:
    """The UTC time of so many milliseconds since the Unix epoch, 1970 to 9999 at the outside."""
    return datetime.fromtimestamp(min(max(milliseconds, 0), LAST_MS) / 1000, UTC)
