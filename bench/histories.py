"""Random histories with real yjs and pycrdt clients against the gate; prints seed and counts.

    python bench/histories.py --seed 1 --count 2000

It fails on the first forbidden text in any frame, journal, row or state, on a forbidden operation that
was let through, on an honest one refused for no race that design 4 names, and on replicas that end
unequal. An offender counts as equal after the reset or close that it was told.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

LEAKED = "FORBIDDEN TEXTS FOUND"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from simulation.history import History  # noqa: E402
from yjs_peer import YjsPeers  # noqa: E402


def main() -> int:
    """Run the histories; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="seed of the first history")
    parser.add_argument("--count", type=int, default=300, help="how many histories")
    parser.add_argument("--steps", type=int, default=60, help="steps of each")
    parser.add_argument("--go-on", action="store_true", help="count failures, show the first line")
    parser.add_argument("--verbose", action="store_true", help="print the whole log")
    options = parser.parse_args()
    counts: Counter[str] = Counter({LEAKED: 0})
    began = time.perf_counter()
    with YjsPeers() as peers:
        for seed in range(options.seed, options.seed + options.count):
            history = History(peers, seed, options.steps)
            try:
                history.run()
            except AssertionError as error:
                counts["FAILED"] += 1
                counts[LEAKED] += "forbidden text" in repr(error)
                text = str(error)
                print(f"seed {seed}: {text if not options.go_on else text.splitlines()[-1][:300]}")
                if not options.go_on:
                    return 1
            if options.verbose:
                print("\n".join(history.log))
            counts.update(history.counts)
            if (seed - options.seed) % 100 == 99:
                print(f"... {seed - options.seed + 1} histories", file=sys.stderr, flush=True)
        complaints = peers.complaints()
    seconds = time.perf_counter() - began
    last = options.seed + options.count - 1
    print(f"seeds {options.seed}..{last}, {options.steps} steps each, {seconds:.1f} s")
    for name, count in sorted(counts.items()):
        print(f"{count:8d}  {name}")
    for complaint in complaints[:5]:
        print("yjs complains:", complaint)
    return 1 if complaints or counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
