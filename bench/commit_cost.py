"""What one operation costs on its way to the disk, stage by stage, in batches of 1, 20 and 100.

    python bench/commit_cost.py [--seed 1] [--operations 2000] [--pages 1] [--repeat 3] [--pause 20]

Prints microseconds of CPU per operation, all threads, kernel time included (the best of the repeats):
gate (judge and apply), rows (events, read model, archive), merge (the one frame of a batch), store
(the durable commit, awaited) and index (the full text index, which follows when the writer is idle).
With them `thread`: how much of the store is its own thread's. --pause: ms of sleep before each batch, as on
a quiet page, where the caches are cold each time.
The operations are those of bench/compare.py, of five users a page; no sockets are in it.
"""

import argparse
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import anyio
from operations import NOW, Writer, writers

from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.archive import Archive
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.server.clock import system_clock, system_ids
from crdt_chat.server.rooms.batch import Batch
from store import open_store
from store.records import Appended, LogEntry
from store.sqlite_store import SqliteStore

USERS = 5


class Played:
    """One page that is written to, a batch at a time."""

    def __init__(self, name: str, authors: list[Writer]) -> None:
        self.key = PageKey("bench", name)
        self.page = Page(PageLimits(), 1)
        self.archive = Archive((), PageLimits().state)
        self.seq = 0
        self.ids = system_ids(system_clock())
        turns = zip(*(author.updates for author in authors), strict=True)
        self.updates = [
            (author, update) for turn in turns for author, update in zip(authors, turn, strict=True)
        ]

    def judge(self, count: int) -> list[tuple[LogEntry, object]]:
        """The next operations' entries and verdicts."""
        found = []
        for author, update in self.updates[:count]:
            grant = Grant("bench", author.user, author.user, Role.EDITOR)
            verdict = self.page.receive(update, "update", grant, NOW)
            entry = LogEntry(self.ids.origin(), author.user, "1", NOW, verdict.update)
            found.append((entry, verdict))
        del self.updates[:count]
        return found

    def rows(self, judged):
        """The batch of these and its rows for the store."""
        batch = Batch(self.seq)
        for entry, verdict in judged:
            batch.archive |= self.archive.note(verdict.changes, self.page.deleted)
            batch.add(entry, verdict, 1)
        commit = batch.commit(self.key, self.seq, self.page.value, self.ids.text)
        self.seq = batch.seq
        return batch, commit


async def play(
    store: SqliteStore, seed: int, operations: int, pages: int, size: int, pause_s: float
) -> Counter[str]:
    """Seconds of CPU per stage, for all operations."""
    writing = next(each for each in threading.enumerate() if each.name == "store-writer")
    clock = time.pthread_getcpuclockid(writing.ident)
    each = operations // pages // USERS
    made = writers(seed, pages * USERS, each)
    places = [Played(f"p{n}", made[n * USERS : (n + 1) * USERS]) for n in range(pages)]
    spent: Counter[str] = Counter()
    began = time.process_time()

    def took(stage: str) -> None:
        nonlocal began
        now = time.process_time()
        spent[stage] += now - began
        began = now

    for _ in range(0, each * USERS, size):
        if pause_s:
            await anyio.sleep(pause_s)
            began = time.process_time()
        judged = [place.judge(size) for place in places]
        took("gate")
        ready = [place.rows(some) for place, some in zip(places, judged, strict=True)]
        took("rows")
        for batch, _commit in ready:
            batch.frame()
        took("merge")
        before = time.clock_gettime(clock)
        results = await store.commit([commit for _batch, commit in ready])
        took("store")
        spent["thread"] += time.clock_gettime(clock) - before
        assert all(isinstance(result, Appended) for result in results)
    await store.search("bench", "nothing")
    took("index")
    return spent


async def once(seed: int, operations: int, pages: int, size: int, pause_s: float) -> Counter[str]:
    """One play on a new file."""
    folder = Path(tempfile.mkdtemp(prefix="commit-cost-"))
    store = open_store(folder / "cost.db")
    try:
        return await play(store, seed, operations, pages, size, pause_s)
    finally:
        await store.close()
        shutil.rmtree(folder)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=2_000)
    parser.add_argument("--pages", type=int, default=1, help="pages in each commit")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.0, help="ms of sleep before each batch")
    parser.add_argument("--sizes", default="1,20,100", help="operations per page and commit")
    chosen = parser.parse_args()
    print(
        f"seed {chosen.seed}, {chosen.operations} operations on {chosen.pages} pages, CPU us each"
    )
    for size in map(int, chosen.sizes.split(",")):
        plays = [
            anyio.run(once, chosen.seed, chosen.operations, chosen.pages, size, chosen.pause / 1e3)
            for _ in range(chosen.repeat)
        ]
        best = {stage: min(play[stage] for play in plays) for stage in plays[0]}
        best["all"] = sum(best.values()) - best["thread"]
        line = "  ".join(
            f"{stage} {seconds / chosen.operations * 1e6:6.1f}" for stage, seconds in best.items()
        )
        print(f"batches of {size:3d}: {line}", flush=True)


if __name__ == "__main__":
    main()
