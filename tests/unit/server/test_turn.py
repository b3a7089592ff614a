"""Turns and lanes: what waits, what does not, and what becomes of a turn that fails or is cancelled."""

import asyncio
import gc
import threading
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from held import Held

from crdt_chat.server.rooms.turn import SHORT, Beside, Lane, Slices, Turn

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("thawed")]
SLICES = Slices.of(50)


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
        assert self.go.wait(60)
        self.over.set()


async def until(event: threading.Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, 60)


async def test_what_reads_little_does_not_wait_for_what_takes_long() -> None:
    aside, long, done = Beside(), Gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(aside, long, tenant="a"))
        await until(long.begun)
        tasks.start_soon(partial(aside, partial(done.append, "judged"), tenant="a"))
        much = partial(done.append, "read much")
        tasks.start_soon(partial(aside, much, tenant="a", reads=SHORT + 1))
        with anyio.fail_after(60):
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
    with anyio.fail_after(60):
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
        await asyncio.wait_for(lane.enter("last"), 60)

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
        await asyncio.wait_for(waiting, 60)
        assert not turn.busy

    asyncio.run(play())


def test_a_slice_of_any_length_does_something() -> None:
    assert Slices.of(0.0) == Slices(1, 1, 1, 1)
    assert Slices.of(50.0).judged == 50_000
