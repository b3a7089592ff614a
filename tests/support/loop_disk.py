"""A small ext4 of its own in a loop device: its power can be cut, and it can be full or read-only.

Only root on Linux can mount it. The cut is the kernel's FS_IOC_SHUTDOWN without a flush: what was not
synced is forgotten, as if the machine had lost its power, whatever process wrote it.
"""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

FS_IOC_SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2
MIB = 1024 * 1024
TRIES = 30


class LoopDisk:
    """An ext4 of `size` bytes, mounted at `where` from the beginning."""

    def __init__(self, folder: Path, size: int) -> None:
        self.where = folder / "mount"
        self._image = folder / "image"
        self.where.mkdir()
        self._image.touch()
        os.truncate(self._image, size)
        _run("mkfs.ext4", "-q", "-F", self._image)
        self._mounted = False
        self.mount()

    def mount(self) -> None:
        """Mount it, as after the power has come back. Raises OSError if it stays dead."""
        for attempt in range(TRIES):
            _run("mount", "-o", "loop", self._image, self.where)
            self._mounted = True
            try:
                (self.where / "alive").write_bytes(b"")
            except OSError:
                # The file system that was shut down is still there for a moment, and was given again.
                if attempt == TRIES - 1:
                    raise
                self.unmount()
                time.sleep(0.1)
            else:
                return

    def unmount(self) -> None:
        """Unmount it; nobody may have a file open there."""
        if self._mounted:
            _run("umount", self.where)
            self._mounted = False

    def remount(self, *, writable: bool) -> None:
        """Let it be read-only, or writable again; nobody may write there at the moment."""
        _run("mount", "-o", f"remount,{'rw' if writable else 'ro'}", self.where)

    def cut_under(self, process: subprocess.Popen[bytes]) -> None:
        """Cut the power of the disk and of a process that writes to it, and end the process.

        It is stopped first: a sync that is under way when ext4 is shut down may return without an
        error, and only a process that runs on without power could tell anybody of that.
        """
        disk = os.open(self.where, os.O_RDONLY)
        try:
            process.send_signal(signal.SIGSTOP)
            fcntl.ioctl(disk, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(disk)
        process.kill()

    def fill(self) -> Path:
        """Take all the space that is left; remove the file to give it back."""
        ballast = self.where / "ballast"
        with ballast.open("ab", buffering=0) as file:
            for piece in (MIB, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * piece)
        return ballast


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def possible() -> bool:
    """Whether this process may mount a loop device, and knows how."""
    return sys.platform == "linux" and os.geteuid() == 0 and os.path.exists("/dev/loop-control")


@contextlib.contextmanager
def loop_disk(folder: Path, size: int = 200 * MIB) -> Iterator[LoopDisk]:
    """A mounted disk, unmounted at the end. Raises CalledProcessError where none can be mounted."""
    disk = LoopDisk(folder, size)
    try:
        yield disk
    finally:
        disk.unmount()
