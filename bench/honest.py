"""Honest traffic of yjs and pycrdt against the gate: refused only for the races that design 4 names.

    python bench/honest.py --seed 1 --updates 1000000
    python bench/honest.py --seed 1 --page 4711          one page again

A page has four to eight tabs and programs of five people in four roles: they work offline, in second tabs,
with UndoManagers, with gc: false, under client ids of 53 bits, type ahead of the server's answers, lose
connections and load their pages anew. An update is one sync message with an update in it. It fails if one
is malformed or refused for any other reason than a race, if anybody is reset without having undone others'
items or lost a role while offline, and on replicas that end unequal. Prints each kind of oddity and race.
"""

import argparse
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from traffic.line import Outcome, crowds  # noqa: E402


class Progress:
    """Whether it is enough; shows how far it is."""

    def __init__(self, updates: int, seconds: float) -> None:
        self.updates = updates
        self.began = self.shown = time.perf_counter()
        self.end = self.began + seconds

    def __call__(self, outcome: Outcome) -> bool:
        now = time.perf_counter()
        if now - self.shown > 30:
            self.shown = now
            print(f"... {outcome.counts['updates']:,} updates", file=sys.stderr, flush=True)
        return outcome.counts["updates"] >= self.updates or now > self.end


def show(counts: Counter[str]) -> None:
    """All counts, races last."""
    for name, number in sorted(counts.items(), key=lambda one: (one[0].startswith("race"), one[0])):
        print(f"{number:10,}  {name}")


def main() -> int:
    """Play; 1 if anybody was wronged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--updates", type=int, default=20_000, help="at least so many")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no page after so long")
    parser.add_argument(
        "--from", dest="first", type=int, default=0, help="number of the first page"
    )
    parser.add_argument("--page", type=int, help="play this page only")
    options = parser.parse_args()
    numbers = count(options.first) if options.page is None else [options.page]
    progress = Progress(options.updates, options.seconds)
    cpu = time.process_time()
    outcome = crowds(options.seed, numbers, progress)
    counts = outcome.counts
    wall, cpu = time.perf_counter() - progress.began, time.process_time() - cpu
    print(f"seed {options.seed}, pages from {options.first}: {counts['updates']:,} updates")
    print(
        f"{counts['updates'] / wall:,.0f}/s, {counts['updates'] / cpu:,.0f}/s of Python's CPU time"
    )
    show(counts)
    refused = sum(number for name, number in counts.items() if name.startswith("race"))
    print(f"{refused:10,}  keys refused in races that the design names")
    print(f"{len(outcome.faults):10,}  pages on which somebody honest was wronged")
    for fault in outcome.faults[:20]:
        print(fault[:1000])
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
