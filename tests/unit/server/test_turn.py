"""Turns on a page: what waits, what does not, and what becomes of a turn that fails or is cancelled."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from holding import BIG, NOW, OTHER, visiting

from crdt_chat.config import Config, Limits
from crdt_chat.errors import PageBroken
from crdt_chat.page.update import Item, encode
from crdt_chat.protocol import wire
from crdt_chat.server.app import App, build
from crdt_chat.server.turn import SHORT, Beside, Lane, Slices, Turn, thaw
from store.memory import MemoryStore

pytestmark = pytest.mark.anyio
SLICES = Slices.of(50)


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """What jobs set aside is hidden from whoever asks the garbage collector, so put it back."""
    yield
    thaw()


class Held:
    """Does its jobs when it is told to."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go = anyio.Event()
        self._condition: Callable[[], bool] | None = None

    async def until_held(self, condition: Callable[[], bool]) -> None:
        """Go on with all jobs but the first that begins when this is so; return when it has."""
        self._condition = condition
        self.begun = anyio.Event()
        self.go.set()
        await self.begun.wait()

    async def __call__(self, job, **_line):
        if self._condition is not None:
            if not self._condition():
                return job()
            self._condition, self.go = None, anyio.Event()
        self.begun.set()
        with anyio.CancelScope(shield=True):
            await self.go.wait()
        return job()


async def test_what_is_small_is_done_without_awaiting_anything() -> None:
    turn = Turn(Held(), SLICES)
    coroutine = turn.run(lambda: 7, big=False)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value == 7


async def test_the_small_waits_for_the_big_and_finds_its_work_done() -> None:
    aside, done = Held(), []
    turn = Turn(aside, SLICES)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(turn.run, lambda: done.append("big"), big=True))
        await aside.begun.wait()
        assert turn.busy
        tasks.start_soon(partial(turn.run, lambda: done.append("small"), big=False))
        await anyio.lowlevel.checkpoint()
        assert not done
        aside.go.set()
    assert done == ["big", "small"]
    assert not turn.busy


async def test_a_job_that_fails_gives_the_turn_back() -> None:
    turn = Turn(Beside(), SLICES)

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await turn.run(fail, big=True)
    assert await turn.run(lambda: 1, big=True) == 1
    assert gc.isenabled()


async def test_big_jobs_are_done_beside_the_loop_one_at_a_time() -> None:
    aside, threads, at_work = Beside(), set(), []

    def job() -> None:
        threads.add(threading.get_ident())
        at_work.append(1)
        assert len(at_work) == 1
        at_work.pop()

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(aside, job)
    assert threading.get_ident() not in threads


class Gate:
    """A job that begins, and goes on when it is told to; a thread's."""

    def __init__(self) -> None:
        self.begun, self.go, self.over = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.go.wait(20)
        self.over.set()


async def until(event: threading.Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, 20)


async def test_what_reads_little_does_not_wait_for_what_takes_long() -> None:
    aside, long, done = Beside(), Gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(aside, long, tenant="a"))
        await until(long.begun)
        tasks.start_soon(partial(aside, partial(done.append, "judged"), tenant="a"))
        much = partial(done.append, "read much")
        tasks.start_soon(partial(aside, much, tenant="a", reads=SHORT + 1))
        with anyio.fail_after(10):
            await aside(partial(done.append, "read"), tenant="a", reads=SHORT)
        assert done == ["read"]
        long.go.set()
    assert set(done) == {"read", "judged", "read much"}


async def test_one_tenants_long_jobs_do_not_hold_anothers() -> None:
    aside, first, done = Beside(), Gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(aside, first, tenant="a"))
        await until(first.begun)
        for number, tenant in enumerate(["a", "a", "a", "b", "b", "c"]):
            job = partial(done.append, f"{tenant}{number}")
            tasks.start_soon(partial(aside, job, tenant=tenant))
            await anyio.wait_all_tasks_blocked()
        first.go.set()
    assert done == ["a0", "b3", "c5", "a1", "b4", "a2"]


async def test_who_gives_up_waiting_holds_nobody() -> None:
    lane, served = Lane(), []

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await lane.enter(name)
            served.append(name)
            lane.leave()

    scopes = [anyio.CancelScope() for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        await lane.enter("first")
        for name, scope in zip("aabc", scopes, strict=True):
            tasks.start_soon(wait, name, scope)
            await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        scopes[2].cancel()
        await anyio.wait_all_tasks_blocked()
        lane.leave()
    assert served == ["a", "c"]
    with anyio.fail_after(5):
        await lane.enter("last")


def test_who_is_cancelled_as_the_lane_is_given_to_her_passes_it_on() -> None:
    async def play() -> None:
        lane = Lane()
        await lane.enter("first")
        task = asyncio.create_task(lane.enter("second"))
        await asyncio.sleep(0)
        lane.leave()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(lane.enter("last"), 10)

    asyncio.run(play())


async def test_no_garbage_is_collected_until_the_last_of_two_jobs_is_done() -> None:
    aside, long, enabled = Beside(), Gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(aside, long)
        await until(long.begun)
        await aside(list, reads=1)
        enabled.append(gc.isenabled())
        long.go.set()
    assert enabled == [False]
    assert gc.isenabled()


def test_a_task_that_asyncio_cancels_has_the_turn_until_its_thread_is_done() -> None:
    async def play() -> None:
        job, next_job = Gate(), Gate()
        turn = Turn(Beside(), SLICES)
        task = asyncio.create_task(turn.run(job, big=True))
        await until(job.begun)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.01)
        assert turn.busy
        waiting = asyncio.create_task(turn.run(next_job, big=True))
        await asyncio.sleep(0.01)
        assert not next_job.begun.is_set()
        job.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.over.is_set()
        next_job.go.set()
        await asyncio.wait_for(waiting, 10)
        assert not turn.busy

    asyncio.run(play())


def test_a_slice_of_any_length_does_something() -> None:
    assert Slices.of(0.0) == Slices(1, 1, 1, 1)
    assert Slices.of(50.0).judged == 50_000


def batch(count: int, client: int = 7) -> bytes:
    """A step 2 of so many annotations."""
    value = {"creator": "ada", "created": NOW, "target": {"selector": []}, "title": "t" * 400}
    items = [Item(client, n, 1, None, "annotations", f"a{n}", (value,)) for n in range(count)]
    return wire.step2(encode({client: items}, {}))


async def _later(event: anyio.Event) -> None:
    await anyio.sleep(0.01)
    event.set()


async def names_on(app: App) -> int:
    async with visiting(app, BIG, "dan") as dan:
        await dan.send(wire.step1(b"\x00"))
        await dan.until(wire.SyncStep2)
        room = app.rooms.find(BIG)
        assert room is not None
        return room.page.counts().annotations


async def test_who_leaves_in_the_midst_of_a_big_batch_has_all_of_it_stored() -> None:
    aside = Held()
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            await ada.send(batch(400))
            await aside.begun.wait()
            room = app.rooms.find(BIG)
            assert room is not None
            assert room.turn.busy
            app.services.tasks.start_soon(_later, aside.go)
        with anyio.fail_after(10):
            assert await names_on(app) == 400
            await room.finish()
            assert room.committed == 1


async def test_what_was_judged_on_a_page_that_broke_down_meanwhile_is_asked_for_again() -> None:
    aside = Held()
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            await ada.send(batch(400))
            await aside.begun.wait()
            room = app.rooms.find(BIG)
            assert room is not None
            room.break_down(PageBroken("tried"))
            aside.go.set()
            with anyio.fail_after(10):
                await ada.until(wire.SyncStep1)
                assert room.page.counts().annotations == 0
                await ada.send(batch(400))
                await ada.saved()
        assert room.page.counts().annotations == 400


async def test_who_comes_while_a_big_batch_is_judged_is_served_after_it() -> None:
    aside = Held()
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada, visiting(app, BIG, "bob") as bob:
            await ada.until(wire.SyncStep1)
            await bob.until(wire.SyncStep1)
            await ada.send(batch(400))
            await aside.begun.wait()
            await bob.send(wire.step1(b"\x00"))
            async with visiting(app, BIG, "cleo") as cleo:
                await anyio.sleep(0.01)
                aside.go.set()
                with anyio.fail_after(10):
                    # Asked in the turn after the batch, with all that is known by then.
                    await cleo.until(wire.SyncStep1)
                    answer = await bob.until(wire.SyncStep2)
                    assert isinstance(answer, wire.SyncStep2)
                    assert len(answer.update) > 100_000
                    await ada.saved()


async def test_who_leaves_while_another_is_answered_after_a_rebuild_does_not_end_the_server() -> (
    None
):
    aside = Held()
    async with build(
        Config(open_tenants=("open",), limits=Limits(slice_ms=0.01)), MemoryStore()
    ) as app:
        aside.go.set()
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            await ada.send(batch(40))
            await ada.saved()
            async with visiting(app, BIG, "bob") as bob:
                await bob.until(wire.SyncStep1)
                room = app.rooms.find(BIG)
                assert room is not None
                room.break_down(PageBroken("tried"))
                await ada.send(wire.step1(b"\x00"))
                with anyio.fail_after(10):
                    await aside.until_held(lambda: not room.suspended)
                # The page is there again, ada's answer is being made; bob's turn comes after hers.
                assert room.turn.busy
            aside.go.set()
            with anyio.fail_after(10):
                await ada.until(wire.SyncStep2)
            assert await names_on(app) == 40


async def test_nothing_stays_hidden_from_the_garbage_collector_when_a_server_ends() -> None:
    before = gc.get_freeze_count()
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        await app.services.aside(list)
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0


async def test_a_server_that_is_never_quiet_collects_its_garbage_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collects = anyio.Event()
    monkeypatch.setattr("crdt_chat.server.rooms.TICK_S", 0.01)
    monkeypatch.setattr("crdt_chat.server.rooms.thaw", collects.set)
    limits = Limits(presence_renewal_s=0.05)
    async with build(Config(open_tenants=("open",), limits=limits), MemoryStore()) as app:
        app.services.queue.updates = 1
        with anyio.fail_after(5):
            await collects.wait()


async def test_housekeeping_goes_on_while_a_snapshot_waits_for_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aside, renewed = Held(), anyio.Event()
    monkeypatch.setattr("crdt_chat.server.rooms.TICK_S", 0.01)
    monkeypatch.setattr("crdt_chat.server.snapshots.ROWS", 1)
    limits = Limits(presence_renewal_s=0.05, slice_ms=0.01)
    async with build(Config(open_tenants=("open",), limits=limits), MemoryStore()) as app:
        aside.go.set()
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada, visiting(app, OTHER, "bob"):
            await ada.until(wire.SyncStep1)
            room = app.rooms.find(BIG)
            assert room is not None
            await ada.send(batch(1))
            with anyio.fail_after(10):
                await aside.until_held(lambda: room.committed == 1 and not room.dirty)
            assert room.turn.busy
            other = app.rooms.find(OTHER)
            assert other is not None
            monkeypatch.setattr(other.people, "renew", renewed.set)
            with anyio.move_on_after(10):
                await renewed.wait()
            held = room.turn.busy
            aside.go.set()
            assert renewed.is_set()
            assert held


async def test_a_fault_in_the_background_ends_one_page_and_no_server() -> None:
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            room = app.rooms.find(BIG)
            assert room is not None

            async def fail(text: str) -> None:
                raise ValueError(text)

            app.services.start(fail, "of nobody's page")
            app.services.start(fail, "of this page", fail=room.break_down)
            with anyio.fail_after(10):
                await ada.until(wire.SyncStep1)
            assert not room.suspended
        assert await names_on(app) == 0


async def test_a_peer_that_cannot_be_asked_again_breaks_its_page_and_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            room = app.rooms.find(BIG)
            assert room is not None
            answer, failed = room.answer, []

            async def fail_once(*arguments: object) -> None:
                if not failed:
                    failed.append(1)
                    raise ValueError("no")
                await answer(*arguments)

            monkeypatch.setattr(room, "answer", fail_once)
            peer = next(iter(room.peers.values()))
            room.break_down(PageBroken("tried"))
            peer.owed = 1
            peer.vector = b"\x00"
            with anyio.fail_after(10):
                await ada.until(wire.SyncStep1)
                await ada.until(wire.SyncStep1)
            assert failed
        assert await names_on(app) == 0
