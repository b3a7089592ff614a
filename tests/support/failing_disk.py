"""A disk that fails at the n-th write of a process: LD_PRELOAD, compiled once per run with cc.

Why this and not SQLite's own seams: a VFS sees no fsync of the process, the page limit of a database is
no error of the disk, and device mapper's `error` and `flakey` targets are missing in most containers.
The process is the real one, and it is its libc that says "Input/output error".
"""

import errno
import mmap
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
PASSING, FAILING, ERROR, FAILED, CALLS = range(5)
ALWAYS = -1


def compiled(folder: Path) -> Path:
    """The library, compiled into `folder`. Raises OSError, CalledProcessError where that can't be."""
    library = folder / "failing_disk.so"
    if not library.exists():
        command = [
            "cc",
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Werror",
            "-o",
            library,
            SOURCE,
            "-ldl",
        ]
        subprocess.run(command, check=True)
    return library


class FailingDisk:
    """The writes of a process to files whose path begins with `file`, and when they fail."""

    def __init__(self, folder: Path, file: Path) -> None:
        control = folder / "failing_disk.control"
        control.write_bytes(bytes(5 * 8))
        self.environment = {
            "LD_PRELOAD": str(compiled(folder)),
            "FAILING_DISK_FILE": str(file.resolve()),
            "FAILING_DISK_CONTROL": str(control),
        }
        self._file = control.open("r+b")
        self._numbers = mmap.mmap(self._file.fileno(), 5 * 8)

    def _get(self, position: int) -> int:
        number: int = struct.unpack_from("@q", self._numbers, position * 8)[0]
        return number

    def _set(self, position: int, number: int) -> None:
        struct.pack_into("@q", self._numbers, position * 8, number)

    def fail(self, nth: int, times: int = 1, error: int = errno.EIO) -> None:
        """Let the `nth` write from now (1 is the next) and those after it, `times` in all, fail.

        times may be ALWAYS: until `heal`. A sync or a cut of the file counts as a write, too.
        """
        self.heal()
        self._set(FAILED, 0)
        self._set(ERROR, error)
        self._set(PASSING, nth - 1)
        self._set(FAILING, times)

    def heal(self) -> None:
        """From now on every write is done."""
        self._set(FAILING, 0)

    @property
    def failed(self) -> int:
        """How many writes have failed since `fail`."""
        return self._get(FAILED)

    @property
    def calls(self) -> int:
        """How many writes there ever were."""
        return self._get(CALLS)

    def close(self) -> None:
        """Let go of the control file."""
        self._numbers.close()
        self._file.close()
