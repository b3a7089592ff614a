"""The longest time that the server's loop is held while a big page is written offline, joined and loaded.

    python bench/longest_hold.py [--seed 1] [--threads 9000] [--replies 0] [--body 200] [--json]

One author brings so many annotations with a comment each, and further replies, in one step 2; others join,
edit, the page is snapshotted and loaded by a new server. Per phase: the longest time between two beats of the
loop, in ms of the process's CPU (all that we did meanwhile, in whichever thread) and of wall time; and how
long somebody on another page waited until an update of hers was durable. `--threads 9900 --replies 40000
--body 100` is about 16 MiB.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import anyio

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from holding import Watch, offline_batch, play  # noqa: E402


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=9_000)
    parser.add_argument("--replies", type=int, default=0)
    parser.add_argument("--body", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seed = random.Random(options.seed)
    batch = offline_batch(seed, options.threads, options.replies, options.body)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(play, Path(folder) / "hold.db", seed, batch, watch)
    found = {
        name: {"CPU ms": cpu, "wall ms": wall, "other page ms": max(watch.served.get(name, [0.0]))}
        for name, (wall, cpu) in watch.phases.items()
    }
    if options.json:
        print(json.dumps({"seed": options.seed, "bytes": len(batch), "longest hold": found}))
        return
    print(f"seed {options.seed}; a batch of {len(batch):,} bytes")
    print("phase                longest hold: CPU ms  wall ms   other page's slowest update ms")
    for name, row in found.items():
        cpu, wall, other = row.values()
        print(f"{name:20} {cpu:21.1f} {wall:8.1f} {other:33.1f}")


if __name__ == "__main__":
    main()
