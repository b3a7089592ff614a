"""Snapshots, history and epochs of every store: what is replaced goes only when its heir is there."""

import anyio
import pytest
from kept import T0, annotation, comment, commit, entry, event, head

from store.records import Appended, Conflict, PageCommit, Rewrite

pytestmark = pytest.mark.anyio


async def test_a_snapshot_stands_for_its_rows(kind):
    store = kind.open()
    await store.commit([commit(0, "1", "2", "3")])
    assert await store.snapshot("t", "p", 2, b"state at 2")
    store = await kind.again(store)
    page = await store.load("t", "p")
    assert (page.seq, page.snapshot, page.snapshot_seq) == (3, b"state at 2", 2)
    assert [row.seq for row in page.rows] == [3]
    assert [row.seq for row in await store.read("t", "p", 0)] == [1, 2, 3]
    assert head((await store.commit([commit(3, "4")]))[0]) == 4
    await store.close()


@pytest.mark.parametrize(("keep", "left"), [(0, [4, 5]), (2, [2, 3, 4, 5]), (9, [1, 2, 3, 4, 5])])
async def test_a_snapshot_keeps_as_much_history_as_it_is_told(kind, keep, left):
    store = kind.open()
    await store.commit([commit(0, "1", "2", "3", "4", "5")])
    assert await store.snapshot("t", "p", 3, b"3", keep=keep)
    store = await kind.again(store)
    assert [row.seq for row in await store.read("t", "p", 0)] == left
    assert [row.seq for row in (await store.load("t", "p")).rows] == [4, 5]
    assert not (await store.integrity()).problems
    await store.close()


async def test_a_snapshot_that_is_no_progress_is_refused(kept):
    assert not await kept.snapshot("t", "p", 1, b"")
    await kept.commit([commit(0, "1", "2", "3")])
    assert not await kept.snapshot("t", "p", 4, b"ahead")
    assert not await kept.snapshot("t", "p", 0, b"nothing")
    assert await kept.snapshot("t", "p", 2, b"2", keep=0)
    assert not await kept.snapshot("t", "p", 2, b"again")
    assert not await kept.snapshot("t", "p", 1, b"older")
    assert (await kept.load("t", "p")).snapshot == b"2"
    assert await kept.snapshot("t", "p", 3, b"3", keep=0)
    page = await kept.load("t", "p")
    assert (page.seq, page.snapshot, page.rows) == (3, b"3", [])
    assert head((await kept.commit([commit(3, "4")]))[0]) == 4


async def test_compaction_beside_appends_loses_no_row(kind):
    """Whatever a reader sees meanwhile: its snapshot and its rows are the whole page."""
    store, rounds, done = kind.open(), 300, anyio.Event()

    def texts(page) -> list[str]:
        start = [] if page.snapshot is None else page.snapshot.decode().split()
        return start + [row.update.decode() for row in page.rows]

    async def append() -> None:
        for number in range(rounds):
            assert head((await store.commit([commit(number, f"{number}")]))[0]) == number + 1
        done.set()

    async def compact() -> None:
        while not done.is_set():
            page = await store.load("t", "p")
            if page is not None and page.rows:
                await store.snapshot("t", "p", page.seq, " ".join(texts(page)).encode(), keep=0)
            await anyio.lowlevel.checkpoint()

    async def read() -> None:
        while not done.is_set():
            page = await store.load("t", "p")
            if page is not None:
                assert texts(page) == [f"{n}" for n in range(page.seq)]
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for task in (compact, read, append):
            tasks.start_soon(task)
    store = await kind.again(store)
    assert texts(await store.load("t", "p")) == [f"{n}" for n in range(rounds)]
    await store.close()


async def test_pruned_history_is_a_prefix_below_the_snapshot(kind):
    store = kind.open()
    ages = [T0, T0 + 1000, T0 + 9000, T0 + 2000, T0 + 3000]
    await store.commit([PageCommit("t", "p", 0, [entry(at=at) for at in ages])])
    await store.snapshot("t", "p", 4, b"4")
    await store.commit([commit(0, "unsnapshotted", page="q")])
    removed = await store.prune(T0 + 10_000, events_ms=None, history_ms=5_000)
    assert (removed.events, removed.rows) == (0, 2)
    store = await kind.again(store)
    assert [row.seq for row in await store.read("t", "p", 0)] == [3, 4, 5]
    assert (await store.prune(T0 + 10**9, events_ms=None, history_ms=0)).rows == 2
    assert [row.seq for row in await store.read("t", "p", 0)] == [5]
    assert (await store.load("t", "p")).seq == 5
    assert not (await store.integrity()).problems
    await store.close()


async def old_page(store) -> None:
    await store.commit(
        [
            PageCommit(
                "t",
                "p",
                0,
                [entry("secret of ada"), entry("of grace", actor="grace")],
                [event()],
                [annotation("a"), comment("a/c", "secret words")],
                owners=[(7, "ada"), (8, "grace")],
                entities=[("a", "ada", T0)],
                refused=[(7, 1, 1, "reset")],
                held=[("a/x", "{}")],
            )
        ]
    )
    await store.snapshot("t", "p", 1, b"old state")


@pytest.mark.parametrize("history", ["delete", "redact", "keep"])
async def test_a_new_epoch_replaces_the_page(kind, history):
    store = kind.open()
    await old_page(store)
    rewrite = Rewrite(
        entry("new state", at=T0 + 50, actor="admin"),
        events=[event("updated-text-chat")],
        projected=[annotation("a", "kept")],
        owners=[(8, "grace"), (9, "admin")],
        entities=[("a", "gone", T0)],
        retire=[55],
        history=history,
    )
    result = await store.rewrite("t", "p", 2, rewrite)
    assert (result.epoch, result.seq) == (2, 3)
    store = await kind.again(store)
    page = await store.load("t", "p")
    assert (page.epoch, page.seq, page.snapshot_seq, page.rows) == (2, 3, 3, [])
    assert page.snapshot == b"new state"
    assert sorted(page.owners) == [(8, "grace"), (9, "admin")]
    assert (page.entities, page.refused, page.held) == ([("a", "gone", T0)], [], [])
    assert sorted(page.retired) == [7, 55]
    rows = await store.read("t", "p", 0)
    old = {
        "delete": [],
        "redact": [(1, "", b""), (2, "", b"")],
        "keep": [(1, "ada", b"secret of ada"), (2, "grace", b"of grace")],
    }
    found = [(row.seq, row.actor, row.update) for row in rows]
    assert found == [*old[history], (3, "admin", b"new state")]
    assert await store.search("t", "secret") == []
    assert len(await store.search("t", "kept")) == 1
    (newest,) = await store.events("t", "p", 0)
    assert newest.timestamp == result.timestamps[0] == T0 + 50
    assert await store.event_floor("t", "p") == T0
    assert not (await store.integrity()).problems
    assert head((await store.commit([commit(3, "next", owners=[(10, "x")])]))[0]) == 4
    second = await store.rewrite("t", "p", None, Rewrite(entry("third"), keep_events=True))
    assert (second.epoch, second.seq) == (3, 5)
    assert sorted((await store.load("t", "p")).retired) == [7, 8, 9, 10, 55]
    assert len(await store.events("t", "p", 0)) == 1
    await store.close()


async def test_one_persons_rows_are_redacted(kind):
    store = kind.open()
    await old_page(store)
    rewrite = Rewrite(entry("new"), history="redact", actors=frozenset({"ada", "nobody"}))
    await store.rewrite("t", "p", 2, rewrite)
    store = await kind.again(store)
    rows = await store.read("t", "p", 0)
    assert [(row.actor, row.update) for row in rows[:2]] == [("", b""), ("grace", b"of grace")]
    assert not (await store.integrity()).problems
    await store.close()


async def test_a_rewrite_judged_on_another_head_changes_nothing(kept):
    await old_page(kept)
    before = await kept.load("t", "p")
    result = await kept.rewrite("t", "p", 1, Rewrite(entry("new"), projected=[annotation("z")]))
    assert isinstance(result, Conflict)
    assert [row.seq for row in result.rows] == [2]
    assert await kept.load("t", "p") == before
    assert await kept.pages_with("t", "annotations", "z") == []
    assert await kept.rewrite("t", "new", 5, Rewrite(entry("x"))) == Conflict(())
    assert await kept.load("t", "new") is None
    created = await kept.rewrite("t", "new", 0, Rewrite(entry("first")))
    assert created.seq == 1
    assert (await kept.load("t", "new")).snapshot == b"first"
    assert isinstance((await kept.commit([commit(1, "more", page="new")]))[0], Appended)
