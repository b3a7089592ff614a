"""Turns on a page: what waits, what does not, and what becomes of a turn that fails or is cancelled."""

import gc
import threading
from collections.abc import Callable, Iterator
from functools import partial

import anyio
import anyio.lowlevel
import pytest
from holding import BIG, NOW, visiting

from crdt_chat.config import Config, Limits
from crdt_chat.errors import PageBroken
from crdt_chat.page.update import Item, encode
from crdt_chat.protocol import wire
from crdt_chat.server.app import App, build
from crdt_chat.server.turn import Beside, Slices, Turn, thaw
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

    async def __call__(self, job):
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
