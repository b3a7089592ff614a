"""The scope of a connection's reader: it ends her block and nothing else."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from crdt_chat.server.process.scopes import Scope, TaskScope, scope

pytestmark = pytest.mark.anyio


async def test_a_block_that_waits_is_ended_and_what_follows_it_goes_on() -> None:
    reading: Scope = scope()
    steps: list[str] = []

    async def reader() -> None:
        with reading:
            steps.append("waits")
            await anyio.sleep_forever()
        steps.append("left")
        await anyio.lowlevel.checkpoint()
        steps.append("goes on")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        reading.cancel()
        reading.cancel()
    assert steps == ["waits", "left", "goes on"]


async def test_after_its_block_it_ends_nothing() -> None:
    reading = scope()
    with reading:
        pass
    reading.cancel()
    await anyio.lowlevel.checkpoint()


async def test_a_group_that_is_cancelled_as_well_still_ends_the_task() -> None:
    reading = scope()
    async with anyio.create_task_group() as tasks:

        async def reader() -> None:
            with reading:
                await anyio.sleep_forever()
            await anyio.sleep_forever()

        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        reading.cancel()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_ends_the_whole_task_does_not_stop_at_the_block() -> None:
    reading = scope()
    assert isinstance(reading, TaskScope)

    async def reader() -> None:
        with reading:
            await asyncio.sleep(3600)
        raise AssertionError("the task was to end")

    task = asyncio.create_task(reader())
    await anyio.wait_all_tasks_blocked()
    reading.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fault_in_the_block_is_not_taken_for_its_end() -> None:
    reading = scope()

    async def reader() -> None:
        with reading:
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("of the block")

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            reading.cancel()
    assert caught.group_contains(ValueError)
