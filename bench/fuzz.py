"""Hostile bytes behind the gate, for every role, and through real sockets; prints seed and counts.

    python bench/fuzz.py --seed 1 --inputs 2000000 --sockets 20000
    python bench/fuzz.py --seed 1 --batch 4711          one batch again

A batch is 250 inputs of one role onto one page, empty or filled. It fails on a panic or any other failure
of the page, on an input that takes 50 ms of CPU time or more, on a change that its sender may not make,
on a refused value in what goes out, on a page that is another after a reload or in another library, whether
that is told each update or only the state, and on honest content that is not as it was. Memory must not
grow from the first tenth to the end.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from hostile.batch import INPUTS, STEP_MS, Fault, Tally, play  # noqa: E402

CHUNK = 20
GROWTH = 24 * 2**20
"""Bytes of resident memory that a process may have more at the end than after a tenth of the way."""

Outcome = tuple[Tally, int, int, str]
"""What came of a chunk, the worker's process id, its resident memory in bytes, and the fault if any."""


def outcome(job: tuple[int, int, int]) -> Outcome:
    """Some batches of a seed, in a process of the pool."""
    seed, first, end = job
    process = psutil.Process()
    try:
        tally, fault = play(seed, range(first, end)), ""
    except Fault as error:
        tally, fault = Tally(), str(error)
    return tally, process.pid, process.memory_info().rss, fault


def outcomes(seed: int, batches: int, processes: int) -> Iterator[Outcome]:
    """All batches, a chunk at a time."""
    jobs = [(seed, first, min(first + CHUNK, batches)) for first in range(0, batches, CHUNK)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(outcome, jobs)


def behind_the_gate(seed: int, inputs: int, processes: int) -> bool:
    """Play and print; whether all held."""
    batches = -(-inputs // INPUTS)
    whole, faults = Tally(), []
    memory: dict[int, list[int]] = {}
    began = shown = time.perf_counter()
    for tally, process, resident, fault in outcomes(seed, batches, processes):
        whole.add(tally)
        memory.setdefault(process, []).append(resident)
        if fault:
            faults.append(fault)
            print(fault[:2000], flush=True)
        if time.perf_counter() - shown > 30:
            shown = time.perf_counter()
            print(f"... {whole.counts['batches'] * INPUTS:,} inputs", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - began
    played = whole.counts["batches"] * INPUTS
    print(f"seed {seed}, batches 0..{batches - 1}: {played:,} inputs, {played / seconds:,.0f}/s")
    for name, count in sorted(whole.counts.items()):
        print(f"{count:10,}  {name}")
    print("slowest inputs, CPU ms:", *(f"{ms:.1f} (batch {n}, {k})" for ms, n, k in whole.slowest))
    grown = max(sizes[-1] - sizes[len(sizes) // 10] for sizes in memory.values())
    print(f"resident memory grew by at most {grown / 2**20:.1f} MiB")
    print(f"{len(faults)} faults")
    slow = bool(whole.slowest) and whole.slowest[0][0] >= STEP_MS
    return not faults and not slow and grown < GROWTH


def through_sockets(seed: int, inputs: int) -> bool:
    """The same kinds of inputs to a real server; whether all held."""
    from hostile.sockets import Seen, besiege
    from server import running_server
    from trusted import SETTINGS

    seen = Seen()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.toml"
        settings.write_text(SETTINGS, "utf-8")
        # Pages that everybody has left would count as growth for a minute otherwise.
        idle = ["--set", "limits.page_idle_s=2"]
        arguments = ["--config", str(settings), "--limits", "off", *idle]
        with running_server(Path(folder), tenants=(), arguments=arguments) as server:
            memory = []
            for part in (1, 4, 7, 10):
                besiege(server, seed + part, inputs * part // 10, seen)
                memory.append(server.memory())
    seconds = time.perf_counter() - began
    print(
        f"through sockets, seeds {seed + 1} to {seed + 10}: {seen.counts['inputs'] / seconds:,.0f}/s"
    )
    for name, count in sorted(seen.counts.items()):
        print(f"{count:10,}  {name}")
    print(f"an honest person's writes were durable after at most {max(seen.waits) * 1000:.0f} ms")
    sizes = ", ".join(f"{size / 2**20:.1f}" for size in memory)
    print(f"the server's resident memory after 10, 40, 70 and 100 %: {sizes} MiB")
    return memory[-1] - memory[0] < GROWTH


def main() -> int:
    """Play what was asked for; 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=50_000, help="behind the gate")
    parser.add_argument("--sockets", type=int, default=0, help="inputs through real sockets")
    parser.add_argument("--processes", type=int, default=2, help="at the same time")
    parser.add_argument("--batch", type=int, help="play this batch only")
    options = parser.parse_args()
    if options.batch is not None:
        tally = play(options.seed, [options.batch])
        print(dict(tally.counts), tally.slowest)
        return 0
    held = not options.inputs or behind_the_gate(options.seed, options.inputs, options.processes)
    if options.sockets:
        held = through_sockets(options.seed, options.sockets) and held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
