"""A large message keeps its place in the intake until the app has handled it, and no longer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from served import ACCEPT, HEAD, Served, turn
from websockets.frames import Frame, Opcode

from crdt_chat.server.sockets.channel import Event, Receive, Send
from crdt_chat.server.sockets.intake import Intake

LARGE, SMALL = b"x" * 8_000, b"x" * 100
ENCODED = Frame(Opcode.BINARY, LARGE).serialize(mask=True)


class Judge:
    """An app that takes messages and is as long about each as the test likes."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.done = asyncio.Event()
        self.ends = False

    async def __call__(self, _scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(dict(ACCEPT))
        while (event := await receive())["type"] == "websocket.receive":
            self.taken.append(len(event["bytes"]))
            await self.done.wait()
            if self.ends:
                return


def place() -> Intake:
    """For one large message at a time."""
    return Intake(10_000, 10_000, patience_s=60)


async def met(app: Judge, intake: Intake) -> Served:
    """A socket of that app that is open, and may send large messages."""
    served = Served(app, intake)
    served.socket.data_received(HEAD)
    await turn()
    served.socket.expect(10_000, (str(id(served)), "ada"))
    return served


def begin(served: Served) -> None:
    """Send so much of a large message that it needs a place."""
    served.socket.data_received(ENCODED[:6_000])


def end(served: Served) -> None:
    """Send the rest."""
    served.socket.data_received(ENCODED[6_000:])


def gone(served: Served) -> None:
    served.wire.closing = True
    served.socket.connection_lost(None)


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


def free(intake: Intake) -> int:
    return intake._free


def test_a_second_large_message_is_not_read_while_the_first_is_judged() -> None:
    async def main() -> None:
        intake, slow, others = place(), Judge(), Judge()
        others.done.set()
        first, second, small = [await met(app, intake) for app in (slow, others, others)]
        begin(first)
        begin(second)
        assert (first.wire.reading, second.wire.reading) == (True, False)
        end(first)
        await turn()
        assert slow.taken == [len(LARGE)]
        assert not second.wire.reading, "it was read while another kept the only place"
        small.say(Opcode.BINARY, SMALL)
        await turn()
        assert others.taken == [len(SMALL)], "small messages need no place"
        # The next one of its own is not read either.
        assert not first.wire.reading
        slow.done.set()
        await turn()
        assert first.wire.reading
        assert second.wire.reading
        end(second)
        await turn()
        assert others.taken == [len(SMALL), len(LARGE)]
        assert free(intake) == 1
        for served in (first, second, small):
            gone(served)
            await served.done()
        assert free(intake) == 1

    run(main)


def test_a_place_is_kept_for_one_that_went_until_it_is_judged() -> None:
    async def main(ends: bool) -> None:
        intake, slow, others = place(), Judge(), Judge()
        first, second = await met(slow, intake), await met(others, intake)
        slow.ends = ends
        begin(first)
        begin(second)
        end(first)
        await turn()
        gone(first)
        await turn()
        assert not second.wire.reading
        slow.done.set()
        await first.done() if ends else await turn()
        assert second.wire.reading
        gone(second)
        await turn()
        assert free(intake) == 1

    asyncio.run(main(ends=True))
    asyncio.run(main(ends=False))


def test_a_message_that_nobody_takes_any_more_gives_its_place_back() -> None:
    async def main() -> None:
        intake, slow = place(), Judge()
        served = await met(slow, intake)
        slow.ends = True
        served.say(Opcode.BINARY, SMALL)
        await turn()
        begin(served)
        end(served)
        await turn()
        assert free(intake) == 0
        slow.done.set()
        await served.done()
        assert free(intake) == 1
        # What comes in the last moment is not kept.
        begin(served)
        end(served)
        gone(served)
        assert free(intake) == 1

    run(main)


def test_who_is_gone_or_closed_in_the_middle_of_a_message_keeps_no_place() -> None:
    async def main() -> None:
        intake, app = place(), Judge()
        first, second = await met(app, intake), await met(app, intake)
        begin(first)
        begin(second)
        gone(second)
        gone(first)
        assert free(intake) == 1

    run(main)


def test_who_is_refused_and_takes_nothing_keeps_no_place() -> None:
    async def main() -> None:
        intake = place()

        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send(dict(ACCEPT))
            await receive()
            await send({"type": "websocket.close", "code": 4400})

        served = Served(app, intake)
        served.socket.data_received(HEAD)
        served.socket.expect(10_000, (str(id(served)), "ada"))
        await turn()
        served.socket.pause_writing()
        begin(served)
        end(served)
        await asyncio.wait_for(served.done(), 60)
        assert free(intake) == 1
        served.socket.look(served.socket.due)
        assert served.wire.aborted

    run(main)


def test_who_is_refused_gives_the_place_back_before_she_has_taken_what_is_queued() -> None:
    async def main() -> None:
        intake, others, over = place(), Judge(), asyncio.Event()

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send(dict(ACCEPT))
            await receive()
            scope["extensions"]["crdt_chat.transport"].let_go()
            await over.wait()

        first, second = Served(app, intake), await met(others, intake)
        first.socket.data_received(HEAD)
        first.socket.expect(10_000, ("first", "eve"))
        await turn()
        begin(first)
        begin(second)
        end(first)
        await turn()
        assert (first.wire.reading, second.wire.reading) == (False, True)
        # And takes no other: nothing that she sends is looked at.
        gone(second)
        assert free(intake) == 1
        begin(first)
        await turn()
        assert free(intake) == 1
        over.set()
        await first.done()
        gone(first)
        assert free(intake) == 1

    run(main)


def test_who_is_told_to_go_in_the_middle_of_a_message_keeps_no_place_while_it_is_dropped() -> None:
    async def main() -> None:
        intake, closing = place(), asyncio.Event()

        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send(dict(ACCEPT))
            await closing.wait()
            await send({"type": "websocket.close", "code": 4401})

        served = Served(app, intake)
        served.socket.data_received(HEAD)
        await turn()
        served.socket.expect(10**6, ("acme", "eve"))
        whole = Frame(Opcode.BINARY, bytes(200_000)).serialize(mask=True)
        served.socket.data_received(whole[:6_000])
        assert free(intake) == 0
        closing.set()
        await turn()
        # She goes on sending: once it is more than a stranger may, nothing of it is kept.
        for at in range(6_000, 86_000, 8_000):
            served.socket.data_received(whole[at : at + 8_000])
        assert served.wire.ended
        assert not served.wire.closing
        assert free(intake) == 1

    run(main)


def test_patience_is_for_what_is_outstanding_not_for_the_judge() -> None:
    async def main() -> None:
        intake, slow = Intake(20_000, 10_000, patience_s=0.05), Judge()
        judged, lame = await met(slow, intake), await met(slow, intake)
        begin(judged)
        end(judged)
        begin(lame)
        async with asyncio.timeout(60):
            while not lame.wire.aborted:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        assert not judged.wire.aborted

    run(main)


def test_what_was_read_waits_too_while_the_app_is_busy() -> None:
    async def main() -> None:
        intake, slow = place(), Judge()
        served = await met(slow, intake)
        sent = Frame(Opcode.BINARY, b"x" * 4_000).serialize(mask=True)
        served.socket.data_received(sent * 20)
        await turn()
        assert slow.taken == [4_000]
        assert len(served.socket._unread or b"") > 16 * 4_000, "taken apart before its time"
        slow.done.set()
        async with asyncio.timeout(60):
            while len(slow.taken) < 20:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0)
        await turn()
        assert served.wire.reading

    run(main)


@pytest.mark.parametrize("early", [Opcode.PING, Opcode.CLOSE])
def test_nothing_is_answered_ahead_of_the_handshake(early: Opcode) -> None:
    async def main() -> None:
        accepting = asyncio.Event()

        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await accepting.wait()
            await send(dict(ACCEPT))
            assert (await receive())["type"] == "websocket.disconnect"

        served = Served(app)
        served.socket.data_received(HEAD)
        await turn()
        served.say(early)
        assert served.taken() == b""
        assert not served.wire.reading, "more than one read of a stranger was kept"
        accepting.set()
        await turn()
        answer = served.taken()
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert answer.endswith(b"\r\n\r\n" + (b"\x8a\x00" if early is Opcode.PING else b"\x88\x00"))
        gone(served)
        await served.done()

    run(main)


def test_what_came_before_a_refusal_is_forgotten() -> None:
    async def main() -> None:
        refusing = asyncio.Event()

        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await refusing.wait()
            await send({"type": "websocket.close", "code": 1000})

        served = Served(app)
        served.socket.data_received(HEAD)
        await turn()
        served.say(Opcode.PING)
        refusing.set()
        await served.done()
        assert served.taken().split()[1] == b"403"
        served.socket.connection_lost(None)
        assert served.taken() == b""

    run(main)
