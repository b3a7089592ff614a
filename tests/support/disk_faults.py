"""Rounds in which the disk of the real server fails under real clients, and what must still hold.

While it fails, readers stay connected and nothing is shown or acknowledged that is not durable; once it
works again the writers are asked for what is missing; and a kill -9 afterwards loses nothing.
"""

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol

import anyio
from contents import Content
from crowd import Outcome, gathered
from failing_disk import FailingDisk
from loop_disk import LoopDisk
from server import RealServer
from waiting import PATIENCE_S
from yjs_peer import YjsPeers

from crdt_chat.page.layout import ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.server.rooms.loading import page_of
from store import open_reader


class Trouble(Protocol):
    """What is wrong with the disk between `begin` and `end`."""

    def begin(self) -> None:
        """From now on."""

    def met(self) -> bool:
        """Whether the server has come across it."""
        ...

    def end(self) -> None:
        """The disk works again."""


class WriteFails:
    """The n-th write from the beginning fails, or (`times` ALWAYS) every one from the n-th on."""

    def __init__(self, disk: FailingDisk, nth: int, times: int, error: int) -> None:
        self._disk, self._nth, self._times, self._error = disk, nth, times, error

    def begin(self) -> None:
        """Arm the disk."""
        self._disk.fail(self._nth, self._times, self._error)

    def met(self) -> bool:
        """Whether a write has failed."""
        return self._disk.failed > 0

    def end(self) -> None:
        """Let every write be done."""
        self._disk.heal()


class Full:
    """There is no room left on the file system."""

    def __init__(self, disk: LoopDisk, server: RealServer) -> None:
        self._disk = disk
        self._failures = _Failures(server)

    def begin(self) -> None:
        """Take all the room."""
        self._failures.mark()
        self._ballast = self._disk.fill()

    def met(self) -> bool:
        """Whether a commit has failed."""
        return self._failures.more()

    def end(self) -> None:
        """Give it back."""
        self._ballast.unlink()


class Locked:
    """Another process writes the file, for longer than SQLite waits."""

    def __init__(self, server: RealServer) -> None:
        self._file = server.db
        self._failures = _Failures(server)

    def begin(self) -> None:
        """Take the lock of SQLite, as a tool of an administrator may."""
        self._failures.mark()
        self._other = sqlite3.connect(self._file, isolation_level=None, timeout=10)
        self._other.execute("BEGIN IMMEDIATE")

    def met(self) -> bool:
        """Whether a commit has failed."""
        return self._failures.more()

    def end(self) -> None:
        """Let go of it."""
        self._other.execute("ROLLBACK")
        self._other.close()


class _Failures:
    """Failed commits, as the server counts them."""

    def __init__(self, server: RealServer) -> None:
        self._server = server
        self._before = 0.0

    def mark(self) -> None:
        self._before = self._count()

    def more(self) -> bool:
        return self._count() > self._before

    def _count(self) -> float:
        text = self._server.get("/metrics")[1].decode()
        found = re.search(r"^crdt_chat_commit_failures_total (\S+)", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises AssertionError."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def durable(file: Path, page: str) -> Content:
    """What the file says of a page of the tenant `demo`, read by another process than the server."""

    async def read() -> Content:
        reader = open_reader(file)
        stored = await reader.load("demo", page)
        await reader.close()
        if stored is None:
            return {}
        loaded = page_of(stored, PageLimits(), 1)
        return {root: dict(loaded.items(root)) for root in ROOTS}

    return anyio.run(read)


def troubled(
    peers: YjsPeers, server: RealServer, seed: int, page: str, trouble: Trouble
) -> Outcome:
    """One round on a page of its own: write, into the trouble and out of it, agree, kill -9, look.

    Raises AssertionError where a reader was cut off or the service did not resume.
    """
    chance = Random(seed)
    with gathered(peers, server, page, chance) as crowd:
        crowd.begin()
        time.sleep(chance.uniform(0.05, 0.3))
        trouble.begin()
        try:
            until(trouble.met, "the server never met the trouble")
            time.sleep(chance.uniform(0.0, 0.5))
            promised = crowd.promised()
            meanwhile = crowd.look(promised, durable(server.db, page), logged=False)
        finally:
            trouble.end()
        time.sleep(chance.uniform(0.0, 0.3))
        crowd.rest()
        written = crowd.agree(PATIENCE_S)
        assert crowd.watcher.status().dials == 1, "a reader was cut off"
        assert crowd.listener.is_alive(), "a legacy reader was cut off"
        server.kill()
        crowd.watcher.wait(connected=False)
        promised = crowd.promised()
        crowd.part()
        server.start()
        outcome = crowd.look(promised, crowd.newcomer())
    outcome.written = written
    outcome.lost += [f"while the disk failed: {what}" for what in meanwhile.lost]
    return outcome


def refused_start(server: RealServer) -> str:
    """Start it on a disk that fails: it must serve, or end with code 2 and one sentence.

    Returns that sentence, "" where it serves. Raises AssertionError where it did neither.
    """
    said, complaint = len(server.log()), ""
    try:
        server.start()
    except AssertionError as ended:
        complaint = str(ended)
    if not complaint:
        return ""
    assert "the server ended with 2" in complaint, complaint
    sentence = server.log()[said:].strip()
    assert len(sentence.splitlines()) == 1, sentence
    return sentence
