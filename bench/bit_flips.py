"""Flip one bit in the file of a filled server, start a server on it, ask it everything; count who noticed.

python bench/bit_flips.py --rounds 300 --seed 1      each round has the next seed
python bench/bit_flips.py --rounds 1 --seed 42 --file bit-flip-42.db     that flip once more

The file is filled by the seed --fill: six pages with and without snapshots, tenants, roles,
revocations, notes and counters. It is not the same bit for bit (yrs orders the keys of a value as it
likes), so the file before a flip that nobody noticed is kept as bit-flip-SEED.db, here.

Wrong is whatever differs from the truth without an error in its place; of lists and search, what differs
without `integrity` telling so.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import anyio

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from flips import examine, fill, played, rows_of  # noqa: E402


def main() -> int:
    """Flip; 1 if anything was wrong and nobody noticed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--seed", type=int, default=1, help="of the first flip")
    options.add_argument("--fill", type=int, default=1, help="seed of the file's content")
    options.add_argument("--file", type=Path, help="flip this one instead of a fresh one")
    args = options.parse_args()
    logging.disable(logging.CRITICAL)
    counts: Counter[str] = Counter()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        whole, copy = Path(folder) / "whole.db", Path(folder) / "flipped.db"
        if args.file is None:
            anyio.run(fill, whole, args.fill)
        else:
            shutil.copy(args.file, whole)
        content = whole.read_bytes()
        rows = rows_of(whole)
        truth, problems = anyio.run(examine, whole)
        assert truth is not None
        assert not problems, problems
        for seed in range(args.seed, args.seed + args.rounds):
            try:
                counts[played(content, truth, rows, copy, seed)] += 1
            except AssertionError as error:
                counts["NOT NOTICED"] += 1
                Path(f"bit-flip-{seed}.db").write_bytes(content)
                print(f"\n{error}")
            print(f"\rseed {seed}", end="", flush=True)
    seconds = (time.perf_counter() - began) / args.rounds
    last = args.seed + args.rounds - 1
    print(
        f"\rseeds {args.seed}..{last}, fill {args.fill}, {len(content):,} bytes, {seconds:.2f} s each"
    )
    for name, count in counts.most_common():
        print(f"{count:8d}  {name}")
    return 1 if counts["NOT NOTICED"] else 0


if __name__ == "__main__":
    sys.exit(main())
