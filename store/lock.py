"""One process writes a file: an exclusive lock on `FILE.lock`, which names the owner's pid."""

import contextlib
import fcntl
import os
from pathlib import Path

from store.errors import Locked, NotAStore


class FileLock:
    """Held from construction to `release`; the kernel lets go when the process dies.

    The lock file is left behind: removing it would let two processes lock two files of one name.
    Raises Locked if another process, or another store of this process, holds it, NotAStore if there
    can be no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotAStore(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self._owner()
            os.close(self._fd)
            raise Locked(str(path), owner) from None
        os.truncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _owner(self) -> int | None:
        with contextlib.suppress(ValueError):
            return int(os.pread(self._fd, 32, 0))
        return None

    def release(self) -> None:
        """Let the next process have the file; twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
