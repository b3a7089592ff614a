"""Promise 1, nothing acknowledged is lost: kill -9 at any moment, a full disk, an I/O error."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import anyio
import kept_writer
import pytest
from kept import annotation, commit, entry, event, head

from store import open_reader, open_store, schema
from store.errors import Unavailable
from store.records import Appended, Failed, PageCommit, StoredPage

pytestmark = pytest.mark.anyio
SCRIPT = Path(kept_writer.__file__)
ROUNDS = 10


def texts(page: StoredPage) -> list[str]:
    """All that was ever appended to the page: its snapshot lists it."""
    start = [] if page.snapshot is None else page.snapshot.decode().split()
    return start + [row.update.decode() for row in page.rows]


def killed_after(path: Path, turn: int, chance: random.Random) -> list[tuple[str, int, str]]:
    """Start the writer, kill it after a random number of lines; what it had acknowledged."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), str(turn)], stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randint(1, 900))]
        process.kill()
        lines += process.stdout.readlines()
        process.wait()
    assert process.returncode == -9
    whole = [line.decode().split() for line in lines if line.endswith(b"\n")]
    return [(page, int(seq), text) for page, seq, text in (line for line in whole if line[1:])]


async def test_killed_at_any_moment_nothing_acknowledged_is_lost(path):
    chance, acknowledged = random.Random(11), {}
    rewritten = (0, "")
    for turn in range(ROUNDS):
        for page, seq, text in killed_after(path, turn, chance):
            if page == "rewritten":
                rewritten = (seq, text)
            else:
                acknowledged[page, seq] = text
        opened = open_store(path)
        assert not (await opened.integrity()).problems
        for page in {page for page, _ in acknowledged}:
            stored = await opened.load("t", page)
            found = texts(stored)
            assert len(found) == stored.seq
            for (of, seq), text in acknowledged.items():
                if of == page:
                    assert found[seq - 1] == text
            keys = {name for name, _, _ in stored.entities}
            assert {".".join(text.split(".")[:2]) for text in found} == keys
        stored = await opened.load("t", "rewritten")
        assert (0 if stored is None else stored.seq) >= rewritten[0]
        await opened.close()
    assert len(acknowledged) > 100


LIMITED = """
import resource, sys
import anyio
sys.path[:0] = [{root!r}, {support!r}]
from kept import commit, entry, event
from store import open_store
from store.errors import Unavailable
from store.records import Appended, Failed

async def main():
    kept = open_store(sys.argv[1])
    seq, failures = 0, 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, hard))
    while failures < 5:
        (result,) = await kept.commit([commit(seq, "x" * 5000, events=[event()])])
        if isinstance(result, Appended):
            seq = result.seq
        else:
            assert isinstance(result.error, Unavailable), result
            failures += 1
            assert (await kept.load("t", "p")).seq == seq
            try:
                await kept.snapshot("t", "p", seq, b"y" * 9000)
            except Unavailable:
                pass
    assert seq > 3
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    before = (await kept.load("t", "p")).seq
    assert before == seq
    (result,) = await kept.commit([commit(seq, "there is space again")])
    assert isinstance(result, Appended), result
    assert not (await kept.integrity()).problems
    await kept.close()
    print(result.seq)

anyio.run(main)
"""


@pytest.mark.parametrize("limit", [600_000, 750_001, 1_000_000])
async def test_a_write_that_fails_acknowledges_nothing_and_passes(path, limit):
    """The kernel refuses writes beyond a file size: an I/O error in the middle of a transaction."""
    root, support = SCRIPT.parents[2], SCRIPT.parent
    script = LIMITED.format(root=str(root), support=str(support), limit=limit)
    done = await anyio.run_process([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == 0, done.stderr.decode()
    opened = open_store(path)
    assert (await opened.load("t", "p")).seq == int(done.stdout)
    assert not (await opened.integrity()).problems
    await opened.close()


async def test_a_full_disk_fails_all_and_keeps_the_readers(path, monkeypatch):
    first = open_store(path)
    head((await first.commit([commit(0, "before")]))[0])
    await first.close()
    db = sqlite3.connect(path)
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.close()
    with monkeypatch.context() as limited:
        full = (*schema._WRITING, f"max_page_count = {pages + 2}")
        limited.setattr(schema, "_WRITING", full)
        opened = open_store(path)
        parts = [commit(1, "x" * 20_000), commit(0, "y", page="q", projected=[annotation("a")])]
        results = await opened.commit(parts)
        assert [type(result) for result in results] == [Failed, Failed]
        assert all(isinstance(result.error, Unavailable) for result in results)
        assert (await opened.load("t", "p")).seq == 1
        assert await opened.load("t", "q") is None
        reader = open_reader(path)
        assert (await reader.load("t", "p")).seq == 1
        await reader.close()
        small = PageCommit("t", "p", 1, [entry("it fits")], [event()])
        assert isinstance((await opened.commit([small]))[0], Appended)
        await opened.close()
    opened = open_store(path)
    assert (await opened.load("t", "p")).seq == 2
    assert isinstance((await opened.commit([commit(2, "x" * 20_000)]))[0], Appended)
    assert not (await opened.integrity()).problems
    await opened.close()
