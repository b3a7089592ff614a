"""Pages for async programs: the same verbs, cancelled programs, and the pauses between attempts."""

import anyio
import pytest
from plain_yjs_server import PAGE, PlainServer
from waiting import until

from crdt_chat.client import link
from crdt_chat.client.aio import AsyncPage, aconnect
from crdt_chat.client.model import Event

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_async_page_has_the_same_verbs(server: PlainServer) -> None:
    async with aconnect(server.url, PAGE, "ada") as ada, aconnect(server.url, PAGE, "bob") as bob:
        heard: list[Event] = []

        async def hear(event: Event) -> None:
            heard.append(event)

        ada.on("new-text-chat", hear)
        events = ada.events()
        async with bob.batch():
            thread = await bob.annotate("quote", "why?")
            reply = await bob.reply(thread, "because")
        await bob.edit(reply, "therefore")
        await bob.react(reply, "👍")
        await bob.resolve(thread)
        await bob.flush()
        await ada.flush()
        assert ada.annotations == bob.annotations
        assert (await anext(events)).type == "new-text-chat"
        async for event in events:
            if event.annotation is not None and event.annotation.resolved:
                break
        await bob.delete(thread)
        await bob.flush()
        await ada.flush()
        assert ada.annotations == []
        assert [event.annotation_id for event in heard] == [thread.id]
        async with ada.offline():
            await ada.annotate("quote", "again")
        assert ada.status == "synced"
    assert ada.status == "closed"
    with pytest.raises(StopAsyncIteration):
        await anext(ada.events())


@pytest.mark.anyio
async def test_a_cancelled_program_leaves_its_page(server: PlainServer) -> None:
    page = aconnect(server.url, PAGE, "ada")
    opened = anyio.Event()

    async def use() -> None:
        async with page:
            opened.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        with anyio.fail_after(60):
            await opened.wait()
        tasks.cancel_scope.cancel()
    assert page.status == "closed"
    until(lambda: server.goodbyes == [1000])


def test_another_event_loop_is_refused_with_a_sentence() -> None:
    async def open_it() -> None:
        async with aconnect("ws://127.0.0.1:1", PAGE, "ada"):
            pass

    with pytest.raises(RuntimeError, match="asyncio only"):
        anyio.run(open_it, backend="trio")


@pytest.mark.anyio
async def test_pauses_between_attempts_grow_and_are_jittered() -> None:
    page = AsyncPage(aconnect("ws://127.0.0.1:1", PAGE, "ada").address, jitter=lambda: 0.5)
    pauses = [page._link._pause() for _ in range(30)]
    assert pauses[:2] == pytest.approx([0.075, 0.15])
    assert pauses[3:] == pytest.approx([link.LONGEST_PAUSE_S * 0.75] * 27)
