"""The event log of every store: timestamps rise per page whatever the clock does."""

import itertools

import pytest
from kept import T0, commit, entry, event

from store.records import PageCommit

pytestmark = pytest.mark.anyio
HOUR = 3_600_000


async def test_timestamps_rise_by_two_with_the_clock_set_back_an_hour(kind):
    store, seq, stamps = kind.open(), 0, []
    for now in (T0, T0, T0 + 1, T0 - HOUR, T0 - HOUR + 5, T0 + HOUR, T0):
        part = PageCommit("t", "p", seq, [entry(at=now)], [event(), event()])
        (result,) = await store.commit([part])
        assert len(result.timestamps) == 2
        seq, stamps = result.seq, stamps + list(result.timestamps)
        store = await kind.again(store)
    assert stamps[:4] == [T0, T0 + 2, T0 + 4, T0 + 6]
    assert T0 + HOUR in stamps
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(stamps))
    assert [row.timestamp for row in await store.events("t", "p", 0)] == stamps
    await store.close()


async def test_an_event_is_found_again_with_all_its_fields(kept):
    new = event("updated-text-chat", "grace")
    (result,) = await kept.commit([PageCommit("t", "p", 0, [entry()], [new])])
    (row,) = await kept.events("t", "p", 0)
    fields = (row.timestamp, row.type, row.broadcast_id, row.user, row.entity, row.body)
    assert fields == (*result.timestamps, new.type, new.broadcast_id, "grace", "a", new.body)


async def test_reading_after_a_timestamp_is_exact(kept):
    await kept.commit([commit(0, "1", events=[event() for _ in range(5)])])
    every = [row.timestamp for row in await kept.events("t", "p", 0)]
    assert [row.timestamp for row in await kept.events("t", "p", every[1])] == every[2:]
    assert [row.timestamp for row in await kept.events("t", "p", every[1] - 1, 2)] == every[1:3]
    assert await kept.events("t", "p", every[-1]) == []
    assert await kept.events("t", "other", 0) == []


async def test_events_without_an_update_follow_the_last(kept):
    await kept.commit([commit(0, "1", events=[event()])])
    (result,) = await kept.commit([PageCommit("t", "p", 1, events=[event()])])
    assert (result.seq, result.timestamps) == (1, (T0 + 2,))


async def test_pruned_events_move_the_floor(kind):
    store = kind.open()
    for number in range(6):
        part = PageCommit("t", "p", number, [entry(at=T0 + number * 1000)], [event()])
        await store.commit([part])
    other = PageCommit("u", "p", 0, [entry(at=T0)], [event()])
    await store.commit([other])
    removed = await store.prune(T0 + 10_000, events_ms=7_500, history_ms=None, tenant="t")
    assert (removed.events, removed.rows) == (3, 0)
    store = await kind.again(store)
    assert await store.event_floor("t", "p") == T0 + 2000
    assert [row.timestamp - T0 for row in await store.events("t", "p", 0)] == [3000, 4000, 5000]
    assert len(await store.events("u", "p", 0)) == 1
    assert (await store.prune(T0 + 10_000, events_ms=7_500, history_ms=None)).events == 1
    assert (await store.prune(T0 + 10_000, events_ms=0, history_ms=None)).events == 3
    assert await store.events("t", "p", 0) == []
    (result,) = await store.commit([PageCommit("t", "p", 6, [entry(at=T0)], [event()])])
    assert result.timestamps == (T0 + 5002,)
    assert not (await store.integrity()).problems
    await store.close()


async def test_the_latest_awareness_clock_is_remembered(kind, kept):
    assert await kept.reserve_clock(0) == 0
    assert await kept.reserve_clock(5_000) == 0
    assert await kept.reserve_clock(4_000) == 5_000
    kept = await kind.again(kept)
    assert await kept.reserve_clock(0) == 5_000
    await kept.close()
