"""A process that writes to a store and says what was acknowledged, until somebody kills it.

`python kept_writer.py FILE ROUND [NORMAL]`: twelve writers on twelve pages, each with rows of several tables,
beside snapshots, retention, rewrites and a backup. One line per acknowledgement: `page seq text`.
NORMAL is what the store must never be: a control for tests that cut the power.
"""

import os
import sys
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))

from kept import T0, annotation, entry, event

from store import open_store, schema
from store.protocol import Store
from store.records import Appended, PageCommit, Rewrite, Rewritten

PAGES = 12


def say(line: str) -> None:
    """At once and whole: a line is shorter than what a pipe takes in one piece."""
    os.write(1, f"{line}\n".encode())


async def write(kept: Store, page: str, turn: int) -> None:
    stored = await kept.load("t", page)
    seq = 0 if stored is None else stored.seq
    number = 0
    while True:
        number += 1
        text = f"{turn}.{number}." + "x" * (number % 7 * 100)
        one = entry(text, at=T0 + number, origin=os.urandom(16))
        part = PageCommit("t", page, seq, [one], [event()], [annotation(f"a{number}", text)])
        part.entities = [(f"{turn}.{number}", "ada", T0)]
        part.usage = [("updates", 1)]
        (result,) = await kept.commit([part])
        assert isinstance(result, Appended), result
        seq = result.seq
        say(f"{page} {seq} {text}")
        if number % 25 == 0:
            await compact(kept, page, seq)


async def compact(kept: Store, page: str, seq: int) -> None:
    """The snapshot is the texts it stands for: what a reader must find again."""
    stored = await kept.load("t", page)
    texts = [] if stored.snapshot is None else stored.snapshot.decode().split()
    texts += [row.update.decode() for row in stored.rows if row.seq <= seq]
    await kept.snapshot("t", page, seq, " ".join(texts).encode(), keep=5)


async def disturb(kept: Store, file: Path, turn: int) -> None:
    """What else writes: retention, epochs, backups."""
    epoch = 0
    while True:
        await kept.prune(T0 + 10_000, events_ms=9_990, history_ms=0)
        texts = f"rewritten.{turn}.{epoch}"
        result = await kept.rewrite("t", "rewritten", None, Rewrite(entry(texts)))
        assert isinstance(result, Rewritten)
        epoch = result.epoch
        say(f"rewritten {result.seq} {texts}")
        copy = file.with_name("backup.db")
        copy.unlink(missing_ok=True)
        await kept.backup(copy)


async def main(file: Path, turn: int) -> None:
    kept = open_store(file)
    say("open")
    async with anyio.create_task_group() as tasks:
        for number in range(PAGES):
            tasks.start_soon(write, kept, f"page-{number}", turn)
        tasks.start_soon(disturb, kept, file, turn)


if __name__ == "__main__":
    if sys.argv[3:] == ["NORMAL"]:
        schema._WRITING = (*schema._WRITING, "synchronous = NORMAL")
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
