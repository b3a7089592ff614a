"""FILE.sock: the admin API for whoever may open the database's file, and nobody else (mode 0600).

The command line changes a served database through it; nothing of it is reachable over a network.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

LONGEST = 100
"""Bytes of a path that every system takes for a socket (Linux: 107, macOS: 103)."""

DESCRIPTORS = Path("/proc/self/fd")


def path_of(db: Path) -> Path:
    """Where the socket of this database is."""
    real = Path(os.path.realpath(db))
    return real.with_name(real.name + ".sock")


@contextlib.contextmanager
def listening(db: Path) -> Iterator[socket.socket]:
    """The socket, bound for the length of the block. The caller holds the database's lock.

    Raises OSError where the system has no such sockets or the path is too long for it.
    """
    path = path_of(db)
    # The lock is ours, so what is left there is of a server that was killed.
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody must be able to connect between bind and chmod.
        mask = os.umask(0o177)
        try:
            with _short(path) as name:
                bound.bind(name)
        finally:
            os.umask(mask)
        bound.listen(16)
        bound.setblocking(False)
        yield bound
    finally:
        bound.close()
        path.unlink(missing_ok=True)


def connected(db: Path, timeout: float) -> socket.socket | None:
    """A connection to the server of this database, None if there is none; timeout in seconds."""
    path = path_of(db)
    if not path.exists():
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with _short(path) as name:
            connection.connect(name)
    except (ConnectionRefusedError, FileNotFoundError):
        # left behind by a server that was killed
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for the socket that fits into an address, where the system has one."""
    name = os.fspath(path)
    if len(os.fsencode(name)) <= LONGEST or not DESCRIPTORS.is_dir():
        yield name
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"{DESCRIPTORS}/{folder}/{path.name}"
    finally:
        os.close(folder)
