"""Tasks in the background end with the group that they belong to, and the group waits for them."""

import anyio
import pytest

from crdt_chat.server.process.background import Background

pytestmark = pytest.mark.anyio


class Work:
    """A task that says what became of it."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.said: list[str] = []

    async def run(self) -> None:
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            self.said.append("ended")


async def test_the_group_ends_them_and_waits_until_they_have_ended():
    work = Work(), Work()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            background = Background(group)
            for each in work:
                background.start(each.run)
                await each.begun.wait()
            group.cancel_scope.cancel()
    assert [each.said for each in work] == [["ended"], ["ended"]]


async def test_one_that_is_over_keeps_nobody():
    done = anyio.Event()

    async def ring() -> None:
        done.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            background = Background(group)
            background.start(ring)
            await done.wait()
            group.cancel_scope.cancel()


async def test_nothing_starts_once_the_group_has_ended():
    work = Work()
    async with anyio.create_task_group() as group:
        background = Background(group)
        background.start(work.run)
        await work.begun.wait()
        group.cancel_scope.cancel()
    with pytest.raises(RuntimeError):
        background.start(work.run)
