"""The journal of every store: durable, dense, in order, each page's part whole or not at all."""

import random

import anyio
import pytest
from kept import T0, annotation, commit, entry, event, head

from store.errors import Closed
from store.protocol import Reader, Store
from store.records import Appended, Conflict, Failed, LogEntry, PageCommit, Projected

pytestmark = pytest.mark.anyio


async def test_a_page_never_written_is_not_there(kept):
    assert isinstance(kept, Store)
    assert isinstance(kept, Reader)
    assert await kept.load("t", "p") is None
    assert await kept.read("t", "p", 0) == []
    assert await kept.events("t", "p", 0) == []
    assert await kept.event_floor("t", "p") == 0
    assert await kept.heads([("t", "p")]) == {}


async def test_what_was_appended_is_loaded_again(kind):
    store = kind.open()
    first = commit(
        0,
        "one",
        "two",
        owners=[(7, "ada"), (2**53 - 1, "grace")],
        entities=[("a", "ada", T0), ("a/c", "grace", T0 + 1)],
        refused=[(7, 3, 2, "rollback")],
        held=[("a/hidden", '{"body":"rude"}'), ("b", "{}")],
    )
    assert await store.commit([first]) == [Appended(2)]
    assert await store.commit([commit(2, "three", released=["b"])]) == [Appended(3)]
    store = await kind.again(store)
    page = await store.load("t", "p")
    assert (page.seq, page.epoch, page.snapshot, page.snapshot_seq) == (3, 1, None, 0)
    assert [(row.seq, row.update) for row in page.rows] == [(1, b"one"), (2, b"two"), (3, b"three")]
    assert [(row.at, row.actor, row.connection) for row in page.rows] == [
        (T0, "ada", "connection-1")
    ] * 3
    assert sorted(page.owners) == [(7, "ada"), (2**53 - 1, "grace")]
    assert sorted(page.entities) == [("a", "ada", T0), ("a/c", "grace", T0 + 1)]
    assert page.refused == [(7, 3, 2, "rollback")]
    assert page.held == [("a/hidden", '{"body":"rude"}')]
    assert page.retired == []
    await store.close()


async def test_rows_of_the_same_key_replace_each_other(kind):
    store = kind.open()
    await store.commit([commit(0, "one", owners=[(7, "ada")], held=[("a", "1")])])
    await store.commit([commit(1, "two", owners=[(7, "ada")], held=[("a", "2")])])
    store = await kind.again(store)
    page = await store.load("t", "p")
    assert page.owners == [(7, "ada")]
    assert page.held == [("a", "2")]
    await store.close()


async def test_tenants_and_pages_are_never_joined_into_one_name(kept):
    names = [("a", "b:c"), ("a:b", "c"), ("a", "b"), ("A", "b"), ("a", "b "), ("a", "%"), ("a", "")]
    for number, (tenant, page) in enumerate(names):
        (result,) = await kept.commit([commit(0, f"{number}", tenant=tenant, page=page)])
        assert head(result) == 1
    for number, name in enumerate(names):
        rows = (await kept.load(*name)).rows
        assert [row.update for row in rows] == [f"{number}".encode()]
    assert await kept.heads([*names, ("a", "c")]) == dict.fromkeys(names, 1)


async def test_reading_since_a_seq(kept):
    await kept.commit([commit(0, "1", "2", "3", "4")])
    assert [row.seq for row in await kept.read("t", "p", 0)] == [1, 2, 3, 4]
    assert [row.seq for row in await kept.read("t", "p", 2)] == [3, 4]
    assert [row.seq for row in await kept.read("t", "p", 1, 2)] == [2, 3]
    assert await kept.read("t", "p", 1, 0) == []
    assert await kept.read("t", "p", 4) == []


async def test_another_head_is_a_conflict_with_the_rows_in_between(kept):
    await kept.commit([commit(0, "one", "two")])
    (result,) = await kept.commit([commit(1, "late", owners=[(1, "x")], usage=[("u", 1)])])
    assert isinstance(result, Conflict)
    assert [(row.seq, row.update) for row in result.rows] == [(2, b"two")]
    (ahead,) = await kept.commit([commit(9, "early")])
    assert ahead == Conflict(())
    (nowhere,) = await kept.commit([commit(1, "x", page="nowhere")])
    assert nowhere == Conflict(())
    page = await kept.load("t", "p")
    assert (page.seq, page.owners) == (2, [])
    assert await kept.load("t", "nowhere") is None
    assert await kept.usage("t", 0, 10**6) == []


async def test_parts_of_one_commit_build_on_each_other(kept):
    parts = [commit(0, "1"), commit(1, "2"), commit(1, "too late"), commit(2, "3")]
    one, two, late, three = await kept.commit(parts)
    assert (head(one), head(two), head(three)) == (1, 2, 3)
    assert isinstance(late, Conflict)
    assert [row.update for row in late.rows] == [b"2"]
    assert [row.update for row in await kept.read("t", "p", 0)] == [b"1", b"2", b"3"]


async def test_an_entry_is_appended_once(kind):
    store = kind.open()
    again = commit(0, "one", "two", events=[event()], usage=[("updates", 2)])
    assert head((await store.commit([again]))[0]) == 2
    assert await store.commit([again]) == [Appended(2)]
    assert head((await store.commit([commit(2, "three")]))[0]) == 3
    store = await kind.again(store)
    assert await store.commit([again]) == [Appended(3)]
    mixed = PageCommit("t", "p", 3, [again.entries[1], entry("four"), again.entries[0]])
    assert head((await store.commit([mixed]))[0]) == 4
    twice = entry("five")
    assert head((await store.commit([PageCommit("t", "p", 4, [twice, twice])]))[0]) == 5
    rows = await store.read("t", "p", 0)
    assert [row.update for row in rows] == [b"one", b"two", b"three", b"four", b"five"]
    assert len(await store.events("t", "p", 0)) == 1
    assert [row.amount for row in await store.usage("t", 0, 10**6)] == [2]
    assert head((await store.commit([PageCommit("t", "q", 0, again.entries)]))[0]) == 2
    await store.close()


async def test_a_bad_row_fails_only_its_page(kind):
    store = kind.open()
    await store.commit([commit(0, "before", page="bad")])
    bad = [
        PageCommit("t", "bad", 1, [entry("x"), entry("y", actor="\ud800")], [event()]),
        commit(0, "x", page="new", projected=[Projected("reactions", "no/slashes", "{}")]),
        commit(0, "x", page="json", projected=[Projected("annotations", "a", "{")]),
        commit(0, "x", page="event", events=[event(user="\udfff")]),
    ]
    good = [commit(0, "good", page=f"good-{n}", projected=[annotation("a")]) for n in range(3)]
    mixed = [good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[3]]
    results = await store.commit(mixed)
    kinds = [type(result) for result in results]
    assert kinds == [Appended, Failed, Appended, Failed, Failed, Appended, Failed]
    store = await kind.again(store)
    assert (await store.load("t", "bad")).seq == 1
    assert await store.events("t", "bad", 0) == []
    for name in ("new", "json", "event"):
        assert await store.load("t", name) is None
    for name in ("good-0", "good-1", "good-2"):
        assert (await store.load("t", name)).seq == 1
        assert await store.pages_with("t", "annotations", "a") == ["good-0", "good-1", "good-2"]
    assert head((await store.commit([commit(1, "after", page="bad")]))[0]) == 2
    await store.close()


async def test_seqs_are_dense_under_eight_appenders(kind):
    """Each takes the head it finds, and on a conflict learns exactly what it had missed."""
    store, each, at_once = kind.open(), 1_000, 20
    acknowledged: dict[int, bytes] = {}

    async def appender(number: int) -> None:
        expected = 0
        for turn in range(0, each, at_once):
            part = commit(expected, *(f"{number}:{turn + n}" for n in range(at_once)))
            while isinstance((result := (await store.commit([part]))[0]), Conflict):
                assert [row.seq for row in result.rows][:1] == [part.expected_seq + 1]
                part.expected_seq = result.rows[-1].seq
            expected = head(result)
            for before, one in enumerate(reversed(part.entries)):
                assert acknowledged.setdefault(expected - before, one.update) == one.update

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(appender, number)
    store = await kind.again(store)
    rows = (await store.load("t", "p")).rows
    assert [row.seq for row in rows] == list(range(1, 8 * each + 1))
    assert {row.seq: row.update for row in rows} == acknowledged
    await store.close()


async def test_many_pages_at_once_in_random_order(kind):
    store, chance = kind.open(), random.Random(5)
    written: dict[str, list[bytes]] = {f"page-{n}": [] for n in range(20)}

    async def writer(name: str) -> None:
        for turn in range(30):
            texts = [f"{name}:{turn}:{n}" for n in range(chance.randint(1, 3))]
            (result,) = await store.commit([commit(len(written[name]), *texts, page=name)])
            written[name] += [text.encode() for text in texts]
            assert head(result) == len(written[name])

    async with anyio.create_task_group() as tasks:
        for name in written:
            tasks.start_soon(writer, name)
    store = await kind.again(store)
    for name, texts in written.items():
        assert [row.update for row in await store.read("t", name, 0)] == texts
    assert not (await store.integrity()).problems
    await store.close()


async def test_a_cancelled_commit_leaves_nothing_under_way(kept):
    with anyio.move_on_after(0):
        await kept.commit([commit(0, "one")])
    page = await kept.load("t", "p")
    assert head((await kept.commit([commit(page.seq if page else 0, "two")]))[0]) >= 1


async def test_a_big_update_and_an_empty_one(kind):
    store = kind.open()
    big = random.Random(1).randbytes(3 * 1024 * 1024)
    entries = [LogEntry(b"1" * 16, "ada", "", T0, big), LogEntry(b"2" * 16, "", "", 0, b"")]
    assert head((await store.commit([PageCommit("t", "p", 0, entries)]))[0]) == 2
    store = await kind.again(store)
    assert [row.update for row in await store.read("t", "p", 0)] == [big, b""]
    await store.close()


async def test_a_closed_store_refuses_every_verb(kind):
    store = kind.open()
    await store.commit([commit(0, "one")])
    await store.close()
    for verb in (
        lambda: store.commit([commit(1, "two")]),
        lambda: store.load("t", "p"),
        lambda: store.snapshot("t", "p", 1, b""),
        lambda: store.events("t", "p", 0),
        lambda: store.pages("t"),
    ):
        with pytest.raises(Closed):
            await verb()
    await store.close()


async def test_more_pages_than_are_remembered_in_one_commit(kind):
    """A page that is named twice with two thousand others in between is still one page."""
    store = kind.open()
    others = [commit(0, "x", page=f"page-{n}") for n in range(2_000)]
    first = commit(0, "one", events=[event()], held=[("a", "1")])
    second = PageCommit("t", "p", 1, (), [event()], held=[("b", "2")])
    results = await store.commit([first, *others, second])
    assert all(isinstance(result, Appended) for result in results)
    store = await kind.again(store)
    assert (await store.load("t", "p")).held == [("a", "1"), ("b", "2")]
    assert len(await store.events("t", "p", 0)) == 2
    assert not (await store.integrity()).problems
    await store.close()
