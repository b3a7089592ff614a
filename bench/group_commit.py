"""Durable updates/s of the store's commit() beside a raw SQLite group commit, in the same run.

`python bench/group_commit.py [--writers 50] [--seconds 3] [--seed 1] [--dir DIR]` prints the rates,
their ratio and the seed. Raw is the least that is durable and can be read back: one writer thread,
one table with an index on (page, number), executemany, synchronous=FULL; bare has not even the index.
Log is commit() of an update, full is commit() of a new annotation with comment, event, read model.
"""

import argparse
import queue
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from store import open_store
from store.records import Appended, EventEntry, LogEntry, PageCommit, Projected


def updates(seed: int, count: int) -> list[bytes]:
    """Random bytes of the sizes of annotation updates."""
    rng = random.Random(seed)
    return [rng.randbytes(rng.randint(80, 500)) for _ in range(count)]


async def raw(
    path: Path, payloads: list[bytes], writers: int, seconds: float, indexed: bool
) -> tuple[float, float]:
    """The closed loop of `ours` on a bare writer thread: updates/s and CPU us per update.

    `indexed` adds the index without which no page's rows can be found again.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE log (seq INTEGER PRIMARY KEY, page INTEGER, at INTEGER, actor TEXT, "
        "connection TEXT, origin BLOB, data BLOB, number INTEGER)"
    )
    if indexed:
        db.execute("CREATE UNIQUE INDEX by_page ON log (page, number)")
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    from anyio.lowlevel import current_token

    loop = current_token().native_token

    def run() -> None:
        job = jobs.get()
        while job is not None:
            batch = [job]
            while not jobs.empty() and len(batch) < 512:
                batch.append(jobs.get())
            ends = None in batch
            batch = [part for part in batch if part is not None]
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT INTO log (page, at, actor, connection, origin, data, number) "
                "VALUES (?,?,?,?,?,?,?)",
                [row for row, _ in batch],
            )
            db.execute("COMMIT")
            loop.call_soon_threadsafe(lambda done=batch: [event.set() for _, event in done])
            job = None if ends else jobs.get()

    thread = threading.Thread(target=run)
    thread.start()
    done = 0
    until = time.perf_counter() + seconds
    cpu = time.process_time()

    async def writer(n: int) -> None:
        nonlocal done
        seq = 0
        while time.perf_counter() < until:
            seq += 1
            event = anyio.Event()
            origin = n.to_bytes(8, "big") + seq.to_bytes(8, "big")
            jobs.put(((n, seq, "ada", "c", origin, payloads[seq % 97], seq), event))
            await event.wait()
            done += 1

    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for n in range(writers):
            tasks.start_soon(writer, n)
    elapsed = time.perf_counter() - started
    cpu = time.process_time() - cpu
    jobs.put(None)
    thread.join()
    db.close()
    return done / elapsed, cpu / done * 1e6


async def ours(
    path: Path, payloads: list[bytes], writers: int, seconds: float, full: bool
) -> tuple[float, float, float]:
    """Updates/s, CPU us per update and median ack in ms of commit(), one page per writer.

    `full` adds what a new annotation with its comment brings: entities, event, read model, usage.
    """
    store = open_store(path)
    done, waits = 0, []
    until = time.perf_counter() + seconds
    cpu = time.process_time()

    async def writer(n: int) -> None:
        nonlocal done
        seq = 0
        while (start := time.perf_counter()) < until:
            origin = n.to_bytes(8, "big") + seq.to_bytes(8, "big")
            entry = LogEntry(origin, "ada", "c", 1_700_000_000_000 + seq, payloads[seq % 97])
            commit = PageCommit("bench", f"page-{n}", seq, [entry])
            if full:
                decorate(commit, seq)
            (result,) = await store.commit([commit])
            assert isinstance(result, Appended), result
            waits.append(time.perf_counter() - start)
            seq = result.seq
            done += 1

    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for n in range(writers):
            tasks.start_soon(writer, n)
    elapsed = time.perf_counter() - started
    cpu = time.process_time() - cpu
    await store.close()
    return done / elapsed, cpu / done * 1e6, statistics.median(waits) * 1000


def decorate(commit: PageCommit, seq: int) -> None:
    """All that a new annotation with its first comment writes beside its log row."""
    name = f"0197{seq:08x}-annotation"
    quote = '{"type":"TextQuoteSelector","exact":"the quick brown fox jumps over a dog"}'
    said = "Who is that fox, and why does it jump over dogs all day long? " * 3
    commit.entities = [(name, "ada", seq), (f"{name}/c{seq}", "ada", seq)]
    commit.events = [EventEntry("new-text-chat", f"b{seq}", "ada", name, '{"chat":{"x":1}}' * 20)]
    commit.projected = [
        Projected("annotations", name, f'{{"creator":"ada","target":{{"selector":[{quote}]}}}}'),
        Projected("comments", f"{name}/c{seq}", f'{{"creator":"ada","body":"{said}"}}'),
    ]
    commit.usage = [("updates", 1)]


async def main() -> None:
    """Interleave the variants, so that a noisy machine harms all alike; print medians."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--writers", type=int, default=50)
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--dir", help="where the files go: a real disk, or fsync costs nothing")
    args = options.parse_args()
    payloads = updates(args.seed, 97)
    rates: dict[str, list[tuple[float, ...]]] = {"bare": [], "raw": [], "log": [], "full": []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(dir=args.dir) as folder:
            where = Path(folder)
            load = (payloads, args.writers, args.seconds)
            rates["bare"].append(await raw(where / "bare.db", *load, indexed=False))
            rates["raw"].append(await raw(where / "raw.db", *load, indexed=True))
            rates["log"].append(await ours(where / "log.db", *load, full=False))
            rates["full"].append(await ours(where / "full.db", *load, full=True))
    base = statistics.median(r[0] for r in rates["raw"])
    print(f"seed {args.seed}, {args.writers} writers, {args.rounds} rounds of {args.seconds:g} s")
    for name, runs in rates.items():
        rate, cpu = (statistics.median(run[i] for run in runs) for i in (0, 1))
        ack = statistics.median(run[2] for run in runs) if len(runs[0]) > 2 else float("nan")
        print(
            f"{name:5} {rate:8.0f}/s  {cpu:6.1f} us CPU  ack {ack:5.2f} ms  {rate / base:.2f} x raw"
        )


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
