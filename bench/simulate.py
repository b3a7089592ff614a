"""Simulated histories of the production server, from seeds; prints what happened and what failed.

python bench/simulate.py --seeds 10000 --from 0      the long run; failing seeds are named
python bench/simulate.py --seed 4711                 one seed again, with its log
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from simnet.history import STEPS, Failure, History, simulate  # noqa: E402


def outcome(job: tuple[int, int]) -> tuple[int, Counter[str], str]:
    """One seed: what happened, and what went wrong if anything did."""
    seed, steps = job
    try:
        return seed, simulate(seed, steps), ""
    except Failure as failure:
        return seed, Counter(), str(failure).splitlines()[0]


def outcomes(
    first: int, seeds: int, steps: int, processes: int
) -> Iterator[tuple[int, Counter[str], str]]:
    """All of them, in the order of their seeds."""
    jobs = [(seed, steps) for seed in range(first, first + seeds)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(outcome, jobs, chunksize=10)


def replay(seed: int, steps: int) -> int:
    """One seed, with its log."""
    played: list[History] = []
    try:
        counts = simulate(seed, steps, played)
    except Failure as failure:
        print("\n".join(played[0].log))
        print(str(failure).splitlines()[0])
        return 1
    print("\n".join(played[0].log))
    for name, count in sorted(counts.items()):
        print(f"{count:8d}  {name}")
    return 0


def main() -> int:
    """Run the seeds; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="replay this one and print its log")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at the same time")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, options.steps)
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    for seed, happened, fault in outcomes(
        options.first, options.seeds, options.steps, options.processes
    ):
        counts += happened
        if fault:
            failed.append(seed)
            print(fault[:300], flush=True)
    seconds = time.perf_counter() - began
    last = options.first + options.seeds - 1
    print(f"seeds {options.first}..{last}, {options.steps} steps each, {seconds:.1f} s")
    for name, count in sorted(counts.items()):
        print(f"{count:10d}  {name}")
    print(f"{len(failed)} of {options.seeds} failed", failed[:100] if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
