"""Damage: every flipped bit that matters is noticed, one page's damage is that page's alone."""

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from kept import T0, annotation, comment, commit, entry, event, head

from store import open_reader, open_store
from store.errors import Quarantined, StoreError
from store.protocol import Reader
from store.records import Appended, Failed, Projected, Rewrite

pytestmark = pytest.mark.anyio
PAGES = [f"page-{n}" for n in range(4)]


async def fill(path: Path) -> None:
    opened = open_store(path)
    for number, page in enumerate(PAGES):
        keys = [annotation("a", f"quote {number}"), comment("a/c", f"words {number}")]
        title = Projected("page", "title", '"Title"')
        for turn in range(6):
            part = commit(
                turn * 3,
                *(f"{page} {turn} {n} " + "x" * 60 for n in range(3)),
                page=page,
                events=[event()],
                owners=[(1000 + turn, f"user{turn}")],
                entities=[(f"a/{turn}", "ada", T0 + turn)],
                refused=[(turn, turn, 1, "reset")],
                held=[(f"held{turn}", '{"body":"hidden"}')],
                projected=[] if turn else [*keys, title],
            )
            head((await opened.commit([part]))[0])
        if number % 2:
            await opened.snapshot("t", page, 9, b"state" * 50, keep=3)
    await opened.close()


async def told(opened: Reader) -> dict[Any, Any]:
    """What every reading verb says of every page, errors of the store included."""
    answers: dict[Any, Any] = {}
    for page in PAGES:
        for verb, *rest in (("load",), ("read", 0), ("events", 0), ("event_floor",)):
            try:
                answers[page, verb] = await getattr(opened, verb)("t", page, *rest)
            except StoreError as error:
                answers[page, verb] = error
    for verb, question in (("pages", opened.pages("t")), ("search", opened.search("t", "words"))):
        try:
            answers[verb] = await question
        except StoreError as error:
            answers[verb] = error
    return answers


def silently_wrong(answers: dict[Any, Any], truth: dict[Any, Any]) -> list[Any]:
    wrong = [key for key in truth if not isinstance(answers[key], StoreError)]
    return [key for key in wrong if answers[key] != truth[key]]


@pytest.mark.no_cover
async def test_a_hundred_flipped_bits_are_all_noticed(path):
    """Flips are drawn from the whole file until a hundred of them did some damage."""
    await fill(path)
    opened = open_store(path)
    truth = await told(opened)
    assert not silently_wrong(truth, truth)
    assert not (await opened.integrity()).problems
    await opened.close()
    content, chance = path.read_bytes(), random.Random(7)
    damaging = flips = 0
    while damaging < 100:
        flips += 1
        assert flips < 3_000
        copy = path.with_name("flipped.db")
        flipped = bytearray(content)
        at = chance.randrange(len(flipped))
        flipped[at] ^= 1 << chance.randrange(8)
        copy.write_bytes(flipped)
        try:
            opened = open_reader(copy)
        except StoreError:
            damaging += 1
            continue
        answers = await told(opened)
        wrong = silently_wrong(answers, truth)
        assert not [key for key in wrong if isinstance(key, tuple)], f"byte {at}"
        refused = any(isinstance(said, StoreError) for said in answers.values())
        if refused or wrong:
            assert (await opened.integrity()).problems, f"byte {at}: {wrong}"
        damaging += bool(refused or wrong)
        await opened.close()


DAMAGE = {
    "a log row's content": "UPDATE log SET data = x'00' WHERE page = 1 AND seq = 12",
    "a log row's actor": "UPDATE log SET actor = 'eve' WHERE page = 1 AND seq = 12",
    "a log row's time": "UPDATE log SET at = at + 1 WHERE page = 1 AND seq = 12",
    "a log row's origin": "UPDATE log SET origin = x'00' WHERE page = 1 AND seq = 12",
    "content hidden as redacted": "UPDATE log SET redacted = 1 WHERE page = 1 AND seq = 12",
    "a lost row in the middle": "DELETE FROM log WHERE page = 1 AND seq = 12",
    "a lost row at the end": "DELETE FROM log WHERE page = 1 AND seq = 18",
    "a row too many": "INSERT INTO log SELECT 9999, 1, 19, epoch, at, actor, connection, origin, "
    "redacted, digest, chain, data FROM log WHERE page = 1 AND seq = 18",
    "swapped rows": "UPDATE log SET seq = CASE seq WHEN 12 THEN 113 ELSE 112 END "
    "WHERE page = 1 AND seq IN (12, 13)",
    "all rows lost": "DELETE FROM log WHERE page = 1",
    "an older head": "UPDATE page SET seq = 17 WHERE id = 1",
    "another epoch": "UPDATE page SET epoch = 2 WHERE id = 1",
    "a lost snapshot": "DELETE FROM snapshot WHERE page = 1",
    "a damaged snapshot": "UPDATE snapshot SET data = x'00' WHERE page = 1",
    "another page's snapshot": "UPDATE snapshot SET data = (SELECT data FROM snapshot "
    "WHERE page = 4), digest = (SELECT digest FROM snapshot WHERE page = 4) WHERE page = 1",
    "a lost owner": "DELETE FROM client_owner WHERE page = 1 AND client = 1002",
    "another owner": "UPDATE client_owner SET user = 'eve' WHERE page = 1 AND client = 1002",
    "a lost refusal": "DELETE FROM refused WHERE page = 1 AND client = 3",
    "a lost creator": "UPDATE entity SET creator = 'eve' WHERE page = 1 AND name = 'a/2'",
    "lost held content": "DELETE FROM held WHERE page = 1 AND name = 'held2'",
    "a retired client too many": "INSERT INTO retired VALUES (1, 77, 1)",
}


@pytest.fixture
async def snapshotted(path):
    """Page 1 (`page-0`) has a snapshot of other bytes than page 3's."""
    await fill(path)
    opened = open_store(path)
    await opened.snapshot("t", "page-0", 9, b"another state", keep=3)
    await opened.close()
    return path


def damage(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    assert db.execute(statement).rowcount >= 1
    db.close()


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_damaged_page_is_quarantined_and_the_others_are_served(snapshotted, what):
    damage(snapshotted, DAMAGE[what])
    opened = open_store(snapshotted)
    with pytest.raises(Quarantined) as caught:
        await opened.load("t", "page-0")
    assert (caught.value.tenant, caught.value.page) == ("t", "page-0")
    for page in PAGES[1:]:
        assert (await opened.load("t", page)).seq == 18
        (result,) = await opened.commit([commit(18, "more", page=page)])
        assert isinstance(result, Appended)
    problems = (await opened.integrity()).problems
    assert {problem.page for problem in problems if problem.page is not None} == {"page-0"}
    await opened.close()


@pytest.mark.parametrize("what", [what for what in DAMAGE if "UPDATE page" not in DAMAGE[what]])
async def test_a_new_epoch_makes_a_damaged_page_whole(snapshotted, what):
    damage(snapshotted, DAMAGE[what])
    opened = open_store(snapshotted)
    rewrite = Rewrite(entry("from a backup"), projected=[annotation("a")])
    await opened.rewrite("t", "page-0", None, rewrite)
    assert (await opened.load("t", "page-0")).snapshot == b"from a backup"
    assert not (await opened.integrity()).problems
    await opened.close()


@pytest.mark.parametrize("statement", [
    "DELETE FROM event WHERE page = 1 AND number = 3",
    "DELETE FROM event WHERE page = 1 AND number = 6",
    "DELETE FROM event WHERE page = 1 AND number = 1",
    "UPDATE event SET user = 'eve' WHERE page = 1 AND number = 3",
    "UPDATE event SET timestamp = timestamp - 1 WHERE page = 1 AND number = 3",
])  # fmt: skip
async def test_damaged_events_are_not_served(snapshotted, statement):
    damage(snapshotted, statement)
    opened = open_store(snapshotted)
    with pytest.raises(Quarantined):
        await opened.events("t", "page-0", 0)
    assert len(await opened.events("t", "page-1", 0)) == 6
    assert (await opened.integrity()).problems
    await opened.close()


async def test_history_that_was_lost_is_noticed_where_it_is_read(snapshotted):
    damage(snapshotted, "DELETE FROM log WHERE page = 1 AND seq = 7")
    opened = open_store(snapshotted)
    assert (await opened.load("t", "page-0")).snapshot_seq == 9
    for after, limit in ((0, -1), (6, 1), (3, 5)):
        with pytest.raises(Quarantined):
            await opened.read("t", "page-0", after, limit)
    assert [row.seq for row in await opened.read("t", "page-0", 7, 2)] == [8, 9]
    await opened.close()


@pytest.mark.parametrize("statement", [
    "UPDATE page SET name = 'renamed' WHERE id = 1",
    "UPDATE page SET tenant = 'u' WHERE id = 1",
    "a bit of the index",
])  # fmt: skip
async def test_a_page_that_cannot_be_found_does_not_start_empty(snapshotted, statement):
    if statement.startswith("UPDATE"):
        damage(snapshotted, statement)
    else:
        damage_index(snapshotted)
    opened = open_store(snapshotted)
    with pytest.raises(Quarantined):
        await opened.load("t", "page-0")
    (result,) = await opened.commit([commit(0, "anew", page="page-0")])
    assert isinstance(result, Failed)
    assert isinstance(result.error, Quarantined)
    assert (await opened.load("t", "page-1")).seq == 18
    assert (await opened.integrity()).problems
    await opened.close()


def damage_index(path: Path) -> None:
    """Flip a bit of the name in the index, not in the table; the order of names stays as it was."""
    content = bytearray(path.read_bytes())
    positions = [n for n in range(len(content)) if content.startswith(b"tpage-0", n)]
    for position in positions:
        changed = content[:]
        changed[position + 6] ^= 0x10
        path.write_bytes(changed)
        db = sqlite3.connect(path)
        rows = db.execute("SELECT name FROM page NOT INDEXED WHERE id = 1").fetchall()
        lost = db.execute("SELECT 1 FROM page WHERE tenant = 't' AND name = 'page-0'").fetchone()
        db.close()
        if rows == [("page-0",)] and lost is None:
            return
    raise AssertionError("no copy of the name is in the index")


async def test_a_damaged_read_model_is_told_by_integrity(snapshotted):
    for statement in (
        "UPDATE comment SET value = json_set(value, '$.body', 'eve') WHERE page = 1",
        "UPDATE annotation SET quote = 'eve' WHERE page = 2",
        "DELETE FROM comment WHERE page = 3",
        "DELETE FROM comment_fts_data WHERE id > 10",
    ):
        damage(snapshotted, statement)
    opened = open_store(snapshotted)
    problems = (
        await opened.integrity(lambda stored: [annotation("a"), comment("a/c", "x")])
    ).problems
    assert any("comments/a/c does not verify" in problem.what for problem in problems)
    assert any("annotations/a does not verify" in problem.what for problem in problems)
    assert any("comments/a/c is missing" in problem.what for problem in problems)
    assert any("full text index comment_fts" in problem.what for problem in problems)
    assert (await opened.load("t", "page-0")).seq == 18
    await opened.close()


async def test_rows_of_no_page_are_told_by_integrity(snapshotted):
    damage(snapshotted, "DELETE FROM page WHERE id = 2")
    opened = open_store(snapshotted)
    whats = [problem.what for problem in (await opened.integrity()).problems]
    assert "18 rows of log belong to no page" not in whats
    assert any("rows of log belong to no page" in what for what in whats)
    assert any("the directory of pages does not hold" in what for what in whats)
    await opened.close()
