"""Reading: a few read-only connections, each read in one transaction in a worker thread."""

import contextlib
import queue
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from store import schema
from store.errors import Closed, Damaged, Quarantined, Unavailable

_CONNECTIONS = 4
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

T = TypeVar("T")


class Readers:
    """At most four connections, opened as they are needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection | None] = queue.LifoQueue()
        self._closed = False
        self._closing = threading.Lock()
        for _ in range(_CONNECTIONS):
            self._idle.put(None)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one consistent state of the file.

        Raises Closed, Unavailable for a passing fault of the disk, Damaged for a lasting one.
        """
        return await anyio.to_thread.run_sync(self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._idle.get()
        try:
            if self._closed:
                raise Closed("the store is closed")
            if db is None:
                db = schema.connect(self._path, readonly=True)
            db.execute("BEGIN")
            try:
                return work(db)
            finally:
                db.execute("ROLLBACK")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise passing(error) or Damaged(f"{self._path} cannot be read: {error}") from error
        finally:
            self._idle.put(db)

    def close(self) -> None:
        """Close the connections once the reads under way have ended. Blocks; twice is harmless."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            for _ in range(_CONNECTIONS):
                db = self._idle.get()
                if db is not None:
                    db.close()
            # Late readers find a place at once and are told that the store is closed.
            self._idle.put(None)


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
