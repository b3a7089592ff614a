"""What SQLite's errors mean: a fault of the moment, a damaged page, or a damaged file."""

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from store.errors import Damaged, Quarantined, Unavailable

_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PROTOCOL,
}
"""Primary result codes that say nothing about the content: https://www.sqlite.org/rescode.html"""

UNREADABLE = (TypeError, ValueError, AttributeError, OverflowError, struct.error)
"""What a value of a wrong type raises in our code: a flipped bit may turn a text into a blob."""


def passing(error: Exception) -> Unavailable | None:
    """The error to raise if this is a fault of the moment, None if it speaks of the content."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _PASSING:
        return None
    return Unavailable(f"the file cannot be read just now: {error}")


@contextlib.contextmanager
def quarantine(tenant: str, page: str) -> Iterator[None]:
    """Turn everything that damaged content raises inside into Quarantined for this page."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise passing(error) or Quarantined(tenant, page, str(error)) from error
    except UNREADABLE as error:
        raise Quarantined(tenant, page, f"unreadable: {error}") from error


@contextlib.contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Turn what an unreadable file raises inside into Damaged, or Unavailable if it may pass."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # SQLite's own message may quote bytes that are no UTF-8 any more.
        raise passing(error) or Damaged(f"{path} cannot be read: {error}") from error
