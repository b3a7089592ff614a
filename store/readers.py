"""Reading: a few read-only connections, each read in one transaction in a worker thread."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from store import faults, schema
from store.errors import Closed

_CONNECTIONS = 4
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
            with faults.of_file(self._path):
                if db is None:
                    db = schema.connect(self._path, readonly=True)
                db.execute("BEGIN")
                try:
                    return work(db)
                finally:
                    db.execute("ROLLBACK")
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
