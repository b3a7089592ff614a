"""The full text index follows the commits, and never says anything else than the tables do."""

import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from kept import annotation, comment, commit, head
from sqlite_utils import Database

from store import open_reader, open_store, schema, words, writer
from store.memory import MemoryStore
from store.records import PageCommit, Projected
from store.sqlite_store import SqliteStore

pytestmark = pytest.mark.anyio
PATIENCE_S = 20.0


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer never finds itself idle."""
    monkeypatch.setattr(writer, "IDLE_S", 3_600.0)


@pytest.fixture
async def kept(busy: None, path: Path) -> AsyncIterator[SqliteStore]:
    opened = open_store(path)
    yield opened
    await opened.close()


def read(path: Path, what: Callable[[sqlite3.Connection], int]) -> int:
    db = schema.connect(path, readonly=True)
    try:
        return what(db)
    finally:
        db.close()


def indexed(path: Path, word: str) -> int:
    """How many comments the index itself has under this word."""
    query = "SELECT count(*) FROM comment_fts WHERE comment_fts MATCH ?"
    return read(path, lambda db: db.execute(query, (word,)).fetchone()[0])


async def fill(store: SqliteStore, seq: int, count: int) -> None:
    keys = [comment(f"a/{seq}-{n}", f"word{n} common") for n in range(count)]
    head((await store.commit([commit(seq, "one", projected=keys)]))[0])


async def test_a_commit_leaves_the_index_to_the_idle_writer(path, monkeypatch):
    monkeypatch.setattr(writer, "IDLE_S", 0.05)
    monkeypatch.setattr(words, "SLICE", 3)
    opened = open_store(path)
    await fill(opened, 0, 10)
    with anyio.fail_after(PATIENCE_S):
        while read(path, words.behind):  # noqa: ASYNC110 - another thread's work
            await anyio.sleep(0.01)
    assert indexed(path, "common") == 10
    await opened.close()


async def test_a_search_finds_what_is_not_indexed_yet(path, kept):
    await fill(kept, 0, 5)
    assert read(path, words.behind) == 5
    reader = open_reader(path)
    assert len(await reader.search("t", "common")) == 5
    assert [hit.comment for hit in await reader.search("t", "WORD3")] == ["0-3"]
    assert read(path, words.behind) == 5
    assert len(await kept.search("t", "common")) == 5
    assert read(path, words.behind) == 0
    assert len(await reader.search("t", "common")) == 5
    await reader.close()


async def test_a_writer_that_is_never_idle_does_not_fall_behind_without_end(
    path, kept, monkeypatch
):
    monkeypatch.setattr(writer, "MOST_BEHIND", 20)
    for seq in range(12):
        await fill(kept, seq, 10)
    # The writer answers before it indexes, so a reader may see one commit and one slice more.
    assert read(path, words.behind) <= 20 + 2 * 10


async def test_a_closed_file_is_indexed(path, kept):
    await fill(kept, 0, 5)
    assert indexed(path, "common") == 0
    await kept.close()
    assert indexed(path, "common") == 5


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_the_index_says_what_the_tables_say(path, kept, seed):
    rng, twin, stores = random.Random(seed), MemoryStore(), [kept]
    for seq in range(60):
        if rng.random() < 0.3:
            await stores[-1].search("t", "any")
        if rng.random() < 0.1:
            await stores[-1].close()
            stores.append(open_store(path))
        keys = [change(rng) for _ in range(rng.randrange(5))]
        for store in (stores[-1], twin):
            head((await store.commit([commit(seq, "one", projected=keys)]))[0])
        word = f"w{rng.randrange(4)}"
        found = [
            {(hit.annotation, hit.comment, hit.text) for hit in await store.search("t", word)}
            for store in (stores[-1], twin)
        ]
        assert found[0] == found[1]
    assert not (await stores[-1].integrity()).problems
    await stores[-1].close()


def change(rng: random.Random) -> Projected:
    """A key of few, written or removed: so the last row of a table comes and goes."""
    said = f"w{rng.randrange(4)} w{rng.randrange(4)}"
    name = f"{rng.randrange(3)}"
    made = comment(f"a/{name}", said) if rng.random() < 0.5 else annotation(name, said)
    return Projected(made.root, made.name, made.value if rng.random() < 0.6 else None)


def copied(path: Path) -> Path:
    """The file and its log as they are now, as a power cut would leave them."""
    copy = path.with_name("killed.db")
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    return copy


async def test_a_writer_that_was_killed_indexes_the_rest_when_it_is_back(path, busy):
    opened = open_store(path)
    await fill(opened, 0, 5)
    copy = copied(path)
    await opened.close()
    again = open_store(copy)
    assert indexed(copy, "common") == 0
    assert len(await again.search("t", "common")) == 5
    assert not (await again.integrity()).problems
    await again.close()


async def test_a_damaged_index_stops_no_new_comment_and_is_mended(path, kept):
    await fill(kept, 0, 300)
    await kept.close()
    damage(path, "DELETE FROM comment_fts_data WHERE id > 10")
    broken = open_store(path)
    await fill(broken, 1, 5)
    problems = [problem.what for problem in (await broken.integrity()).problems]
    assert any("full text index comment_fts" in problem for problem in problems)
    # It says nothing that the tables do not: so it was made anew.
    assert not (await broken.integrity()).problems
    assert len(await broken.search("t", "common", limit=400)) == 305
    await broken.close()


@pytest.mark.parametrize("upto", ["0", "2", "9", "NULL"])
async def test_a_damaged_mark_is_noticed_and_mended(path, kept, upto):
    await fill(kept, 0, 5)
    await kept.close()
    change = "DELETE FROM fulltext" if upto == "NULL" else f"UPDATE fulltext SET upto = {upto}"
    damage(path, change)
    again = open_store(path)
    if upto == "9":
        # As if an id had been used again after it.
        await fill(again, 1, 5)
    assert (await again.integrity()).problems
    assert not (await again.integrity()).problems
    assert len(await again.search("t", "common")) == (10 if upto == "9" else 5)
    await again.close()


async def test_the_index_of_an_older_file_goes_on(path):
    db = sqlite3.connect(path, isolation_level=None)
    schema.migrations().apply(Database(db), stop_before="m005_index_apart")
    db.execute("INSERT INTO page VALUES (1, 't', 'p', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
    for name in ("1", "2"):
        db.execute(
            "INSERT INTO comment (page, name, value, crc, annotation, comment) "
            "VALUES (1, ?, '{\"body\": \"common\"}', 0, 'a', ?)",
            (f"a/{name}", name),
        )
    schema.migrations().apply(Database(db))
    assert words.behind(db) == 0
    assert not words.faults(db)
    db.execute("DELETE FROM comment WHERE name = 'a/2'")
    assert not words.faults(db)
    db.close()
    assert indexed(path, "common") == 1


def damage(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(statement)
    db.close()


async def test_one_page_of_a_commit_that_fails_leaves_the_index_whole(path, kept):
    bad = PageCommit("t", "bad", 0, [], projected=[Projected("comments", "a/1", "no json")])
    good = commit(0, "one", projected=[comment("a/1", "common")])
    await kept.commit([good, bad])
    assert len(await kept.search("t", "common")) == 1
    assert not [p for p in (await kept.integrity()).problems if "index" in p.what]


async def test_what_is_committed_stays_so_though_the_index_cannot_be_looked_at(path, kept):
    """A work that stands is never reported as failed because of the index."""
    await fill(kept, 0, 1)
    damage(path, "DROP TABLE fulltext")
    assert await kept.snapshot("t", "p", 1, b"state")
