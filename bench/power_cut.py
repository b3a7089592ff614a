"""Cut the power under a writing store, again and again, and count what was acknowledged and is lost.

`sudo python bench/power_cut.py [--cuts 12] [--seed 1] [--synchronous FULL]`, on Linux, as root: the file
lies on an ext4 in a loop device, whose FS_IOC_SHUTDOWN forgets what was not synced. NORMAL shows
that the cut is one: it loses most of what was acknowledged.
"""

import argparse
import contextlib
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from store import open_store

ROOT = Path(__file__).parents[1]
FS_IOC_SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2
WRITER = ROOT / "tests" / "support" / "kept_writer.py"
Acknowledged = dict[tuple[str, int], str]


@contextlib.contextmanager
def mounted(image: Path, where: Path) -> Iterator[Path]:
    """The image's file system, and the store's file on it."""
    subprocess.run(["mount", "-o", "loop", image, where], check=True)
    try:
        yield where / "kept.db"
    finally:
        subprocess.run(["umount", where], check=True)


def written_until_cut(file: Path, turn: int, lines: int, synchronous: str) -> Acknowledged:
    """Start a writer, cut the power after some lines; what it had acknowledged."""
    command = [sys.executable, str(WRITER), str(file), str(turn), synchronous]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        disk = os.open(file.parent, os.O_RDONLY)
        fcntl.ioctl(disk, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        os.close(disk)
        process.kill()
        said += process.stdout.readlines()
    words = [line.decode().split() for line in said if line.endswith(b"\n")]
    return {(line[0], int(line[1])): line[2] for line in words if len(line) == 3}


async def lost(file: Path, acknowledged: Acknowledged) -> int:
    """How many of these are not there any more; the rest of the file must verify."""
    kept = open_store(file)
    problems = (await kept.integrity()).problems
    assert not problems, problems
    there: Acknowledged = {}
    for page in {page for page, _ in acknowledged}:
        stored = await kept.load("t", page)
        if stored is not None:
            texts = [] if stored.snapshot is None else stored.snapshot.decode().split()
            texts += [row.update.decode() for row in stored.rows]
            there |= {(page, seq): text for seq, text in enumerate(texts, 1)}
    await kept.close()
    # A rewritten page keeps its newest text only.
    return sum(
        there.get(key) != text for key, text in acknowledged.items() if key[0] != "rewritten"
    )


def main() -> None:
    """Cut, mount again, compare; print one line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cuts", type=int, default=12)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--synchronous", default="FULL", choices=["FULL", "NORMAL"])
    args = options.parse_args()
    chance = random.Random(args.seed)
    total = gone = 0
    with tempfile.TemporaryDirectory() as folder:
        image, where = Path(folder) / "image", Path(folder) / "mount"
        where.mkdir()
        image.touch()
        os.truncate(image, 200 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        for turn in range(args.cuts):
            with mounted(image, where) as file:
                lines = chance.randint(20, 600)
                acknowledged = written_until_cut(file, turn, lines, args.synchronous)
            with mounted(image, where) as file:
                gone += anyio.run(lost, file, acknowledged)
            total += len(acknowledged)
    print(f"seed {args.seed}, synchronous={args.synchronous}, {args.cuts} power cuts:", end=" ")
    print(f"{total} acknowledged, {gone} lost")


if __name__ == "__main__":
    main()
