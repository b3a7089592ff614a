"""FILE.erasures: what was erased, by salted digests alone, so that no backup brings it back.

It lies beside the database, which a restore replaces, and is written before anything is erased. One
JSON object a line; whoever keeps backups elsewhere keeps the newest copy of this file with them.
"""

import errno
import glob
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from store.schema import sync

SUFFIX = ".erasures"

USER, ENTITY, PAGE = "user", "entity", "page"
NAMES = "names"
"""An entry that tells which names of one page nobody may write again."""


@dataclass(frozen=True, slots=True)
class Erased:
    """One erasure `at` (ms). digest is of the user id or the entity's name, with this salt (hex).

    names are those of a NAMES entry, as digests (page.erasure.digest).
    """

    id: str
    at: int
    tenant: str
    kind: str
    page: str | None
    salt: str
    digest: str
    names: Sequence[str] = ()

    def means(self, subject: str) -> bool:
        """Whether this is the user or entity that was erased."""
        return digest(self.salt, subject) == self.digest


def digest(salt: str, subject: str) -> str:
    """What the log keeps of a user id or a name."""
    return hashlib.sha256(f"{salt}/{subject}".encode()).hexdigest()


def path_of(db: Path) -> Path:
    """Where the log of this database is."""
    real = Path(os.path.realpath(db))
    return real.with_name(real.name + SUFFIX)


class ErasureLog:
    """The log of one database. path None: of a store in memory, kept in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries: list[Erased] = []
        # Entries are added in threads.
        self._adding = threading.Lock()

    def append(self, entry: Erased) -> None:
        """Add an entry; durable when this returns. Blocks. Raises OSError: nothing may be erased then."""
        if self._path is None:
            self._entries.append(entry)
            return
        line = (json.dumps(asdict(entry)) + "\n").encode()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with self._adding:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                end = _whole_lines(descriptor)
                os.ftruncate(descriptor, end)
                # A disk that becomes full takes a part of it, and says so by the number alone.
                if os.write(descriptor, line) < len(line):
                    os.ftruncate(descriptor, end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(self._path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if not end:
                sync(self._path.parent)

    def copies(self) -> list[str]:
        """Older copies of the database beside it: they may still hold what was erased."""
        if self._path is None:
            return []
        name = self._path.name.removesuffix(SUFFIX)
        found = [*self._path.parent.glob(f"{glob.escape(name)}.schema-*")]
        found += self._path.parent.glob(f"{glob.escape(name)}.replaced")
        return sorted(os.fspath(path) for path in found)

    def __iter__(self) -> Iterator[Erased]:
        """All entries, oldest first. Raises OSError, ValueError for a line that is none."""
        if self._path is None:
            yield from self._entries
            return
        if not self._path.exists():
            return
        # What a crash has left of a last line was never erased: the log comes first.
        whole, _, _ = self._path.read_bytes().rpartition(b"\n")
        for line in whole.splitlines():
            if line.strip():
                yield Erased(**json.loads(line))


def _whole_lines(descriptor: int) -> int:
    """Bytes of the file up to the end of its last whole line."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1
