"""Let the disk of the real server fail under real clients in every way, and count what is lost.

python bench/disk_faults.py --seed 1                the whole of it
python bench/disk_faults.py --seed 1 --only eio-once --first 17 --rounds 1     one round once more

eio-once, eio-on: the n-th write fails with EIO, or that and all after it for a while, n = 1..60 (with
--error ENOSPC or EROFS another error). start: the n-th write of a start fails. full: a small ext4
without any room (root only). locked: another process holds the file for longer than SQLite waits.
"""

import argparse
import errno
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from crowd import Outcome  # noqa: E402
from disk_faults import Full, Locked, Trouble, WriteFails, refused_start, troubled  # noqa: E402
from failing_disk import ALWAYS, FailingDisk  # noqa: E402
from loop_disk import MIB, loop_disk, possible  # noqa: E402
from server import RealServer  # noqa: E402
from yjs_peer import YjsPeers  # noqa: E402

LOCKED_ROUNDS = 3
"""Each lasts longer than SQLite waits for a lock."""

Round = Callable[[int], Outcome]
Counts = Counter[str]


def series(name: str, first: int, rounds: int, play: Round, counts: Counts) -> list[str]:
    """Play the rounds of one kind; what failed, by kind and number."""
    failed = []
    began = time.perf_counter()
    for number in range(first, first + rounds):
        try:
            outcome = play(number)
        except AssertionError as error:
            outcome = Outcome(lost=[str(error)])
        counts["rounds"] += 1
        counts["keys seen by others"] += outcome.seen
        counts["keys acknowledged"] += outcome.acknowledged
        counts["events told to legacy clients"] += outcome.events
        counts["lost, or service not resumed"] += len(outcome.lost)
        if outcome.lost:
            failed.append(f"{name} {number}")
            print(f"\n{name} {number}: {outcome.lost[:3]}")
        print(f"\r{name} {number}", end="", flush=True)
    print(f"\r{name:9} {rounds:3d} rounds, {(time.perf_counter() - began) / rounds:.1f} s each")
    return failed


def on_failing_writes(
    args: argparse.Namespace, peers: YjsPeers, folder: Path, counts: Counts
) -> list[str]:
    """The sweeps over the n-th write, and the locks of others."""
    disk = FailingDisk(folder, folder / "crdt-chat.db")
    server = RealServer(folder, environment=disk.environment)
    error = getattr(errno, args.error)

    def trouble(name: str, number: int) -> Trouble:
        if name == "locked":
            return Locked(server)
        return WriteFails(disk, number, ALWAYS if name == "eio-on" else 1, error)

    def play(name: str, number: int) -> Outcome:
        if server.gone:
            server.start()
        page = f"{name}-{number}"
        return troubled(peers, server, args.seed + number, page, trouble(name, number))

    def start(number: int) -> Outcome:
        if not server.gone:
            server.kill()
        disk.fail(number, ALWAYS if number % 2 else 1, error)
        counts["starts refused in a sentence"] += bool(refused_start(server))
        disk.heal()
        if server.gone:
            server.start()
        return Outcome()

    plays: dict[str, tuple[int, Round]] = {
        "eio-once": (args.rounds, lambda number: play("eio-once", number)),
        "eio-on": (args.rounds, lambda number: play("eio-on", number)),
        "start": (args.rounds, start),
        "locked": (min(args.rounds, LOCKED_ROUNDS), lambda number: play("locked", number)),
    }
    failed: list[str] = []
    try:
        for name, (rounds, one) in plays.items():
            if args.only in ("", name):
                failed += series(name, args.first, rounds, one, counts)
    finally:
        if not server.gone:
            server.kill()
        disk.close()
    return failed


def on_a_full_disk(
    args: argparse.Namespace, peers: YjsPeers, folder: Path, counts: Counts
) -> list[str]:
    """Rounds on a file system of 24 MiB whose room is taken and given back."""
    if not possible():
        print("full        skipped: only root on Linux can mount a loop device")
        return []
    with loop_disk(folder, 24 * MIB) as disk:
        server = RealServer(disk.where)
        server.log_path = folder / "full.log"
        server.start()
        try:
            return series(
                "full",
                args.first,
                min(args.rounds, 20),
                lambda number: troubled(
                    peers, server, args.seed + number, f"full-{number}", Full(disk, server)
                ),
                counts,
            )
        finally:
            if not server.gone:
                server.kill()


def main() -> int:
    """Play everything, or one kind; 1 if anything was lost."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--first", type=int, default=1, help="the first n")
    options.add_argument("--rounds", type=int, default=60, help="how many n")
    options.add_argument("--error", default="EIO", choices=["EIO", "ENOSPC", "EROFS"])
    kinds = ("", "eio-once", "eio-on", "start", "locked", "full")
    options.add_argument("--only", default="", choices=kinds)
    args = options.parse_args()
    counts: Counts = Counter()
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder, YjsPeers() as peers:
        if args.only != "full":
            failed += on_failing_writes(args, peers, Path(folder), counts)
        if args.only in ("", "full"):
            failed += on_a_full_disk(args, peers, Path(folder), counts)
        complaints = peers.complaints()
    print(f"seed {args.seed}, n = {args.first}..{args.first + args.rounds - 1}, {args.error}")
    for name, count in counts.items():
        print(f"{count:8d}  {name}")
    for complaint in complaints[:5]:
        print("yjs complains:", complaint)
    print("failed:", failed) if failed else None
    return 1 if failed or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
