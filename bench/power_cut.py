"""Cut the power under a writing store or server, again and again, and count what is lost.

sudo python bench/power_cut.py --rounds 50 --seed 1             twelve writers on the bare store
sudo python bench/power_cut.py --rounds 50 --seed 1 --server    real clients on the real server
sudo python bench/power_cut.py --rounds 5 --synchronous NORMAL  the control: it loses most of all

As root on Linux: the file lies on an ext4 in a loop device, whose FS_IOC_SHUTDOWN forgets what was not
synced. Each round has the next seed.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from crashes import crashed  # noqa: E402
from loop_disk import LoopDisk, loop_disk  # noqa: E402
from server import RealServer  # noqa: E402
from yjs_peer import YjsPeers  # noqa: E402

from store import open_store  # noqa: E402

WRITER = ROOT / "tests" / "support" / "kept_writer.py"
Acknowledged = dict[tuple[str, int], str]


def written_until_cut(disk: LoopDisk, seed: int, synchronous: str) -> Acknowledged:
    """Start a writer, cut the power after some lines; what it had acknowledged."""
    lines = random.Random(seed).randint(20, 600)
    command = [sys.executable, str(WRITER), str(disk.where / "kept.db"), str(seed), synchronous]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        disk.cut_under(process)
        said += process.stdout.readlines()
    words = [line.decode().split() for line in said if line.endswith(b"\n")]
    return {(line[0], int(line[1])): line[2] for line in words if len(line) == 3}


async def lost(file: Path, acknowledged: Acknowledged) -> list[str]:
    """Which of these are not there any more; the rest of the file must verify."""
    kept = open_store(file)
    problems = (await kept.integrity()).problems
    there: Acknowledged = {}
    for page in {page for page, _ in acknowledged}:
        stored = await kept.load("t", page)
        if stored is not None:
            texts = [] if stored.snapshot is None else stored.snapshot.decode().split()
            texts += [row.update.decode() for row in stored.rows]
            there |= {(page, seq): text for seq, text in enumerate(texts, 1)}
    await kept.close()
    # A rewritten page keeps its newest text only.
    return [str(problem) for problem in problems] + [
        f"{key[0]} {key[1]}"
        for key, text in acknowledged.items()
        if key[0] != "rewritten" and there.get(key) != text
    ]


def under_a_store(disk: LoopDisk, seed: int, synchronous: str) -> tuple[int, list[str]]:
    """One cut under the bare store: how much was acknowledged, and what of it is lost."""
    acknowledged = written_until_cut(disk, seed, synchronous)
    disk.unmount()
    disk.mount()
    return len(acknowledged), anyio.run(lost, disk.where / "kept.db", acknowledged)


def under_a_server(
    disk: LoopDisk, peers: YjsPeers, server: RealServer, seed: int
) -> tuple[int, list[str]]:
    """One cut under the real server and its clients."""

    def crash(server: RealServer) -> None:
        disk.cut_under(server.process)
        server.kill()
        disk.unmount()
        disk.mount()

    outcome = crashed(peers, server, seed, f"round-{seed}", crash)
    return outcome.seen + outcome.acknowledged + outcome.events, outcome.lost


def main() -> int:
    """Run the rounds; 1 if anything was lost."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=50)
    options.add_argument("--seed", type=int, default=1, help="of the first round")
    options.add_argument("--synchronous", default="FULL", choices=["FULL", "NORMAL"])
    options.add_argument("--server", action="store_true", help="real clients on the real server")
    args = options.parse_args()
    total = gone = 0
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        loop_disk(Path(folder)) as disk,
        YjsPeers() as peers,
    ):
        server = RealServer(disk.where)
        server.log_path = Path(folder) / "server.log"
        if args.server:
            server.start()
        try:
            for seed in range(args.seed, args.seed + args.rounds):
                if args.server:
                    promised, missing = under_a_server(disk, peers, server, seed)
                else:
                    promised, missing = under_a_store(disk, seed, args.synchronous)
                total, gone = total + promised, gone + len(missing)
                if missing:
                    print(f"\nseed {seed}: {len(missing)} lost, {missing[:3]}")
                print(f"\rseed {seed}: {gone} of {total} lost", end="", flush=True)
        finally:
            if not server.gone:
                server.kill()
    seconds = (time.perf_counter() - began) / args.rounds
    means = "server and clients" if args.server else f"store, synchronous={args.synchronous}"
    last = args.seed + args.rounds - 1
    print(
        f"\rseeds {args.seed}..{last}, {args.rounds} power cuts under {means}, {seconds:.1f} s each:"
    )
    print(f"{total:8d}  promised\n{gone:8d}  lost")
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
