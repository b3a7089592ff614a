"""One WebSocket from its handshake to its end, on a transport that keeps what is written."""

import asyncio
import time

import pytest
from served import ACCEPT, HEAD, Served, opened, turn, watched
from websockets.frames import Frame, Opcode

from crdt_chat.server.sockets.channel import Event, Receive, Send
from crdt_chat.server.sockets.reading import FAREWELL_BYTES
from crdt_chat.server.sockets.websocket import Gone


def test_from_the_handshake_to_a_polite_end() -> None:
    async def main() -> None:
        scopes: list[Event] = []

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            scopes.append(scope)
            assert (await receive())["type"] == "websocket.connect"
            await send(dict(ACCEPT))
            while (event := await receive())["type"] == "websocket.receive":
                await send(
                    {"type": "websocket.send", **{k: event[k] for k in event if k != "type"}}
                )
            assert (event["code"], event["reason"]) == (1000, "bye")
            with pytest.raises(Gone):
                await send({"type": "websocket.send", "bytes": b"late"})

        served = Served(app)
        served.socket.data_received(HEAD)
        await turn()
        (scope,) = scopes
        assert scope["client"] == ("192.0.2.1", 1234)
        assert (scope["path"], scope["query_string"]) == ("/ws/t/p", b"user=ada")
        assert scope["subprotocols"] == ["a", "b"]
        assert (b"cookie", b"c=d") in [(name.lower(), value) for name, value in scope["headers"]]
        head = served.taken().lower()
        assert head.startswith(b"http/1.1 101 ")
        assert b"set-cookie: e=f\r\n" in head
        assert b"sec-websocket-protocol: b\r\n" in head
        assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in head
        served.say(Opcode.BINARY, b"\x00\x01")
        await turn()
        assert served.taken() == b"\x82\x02\x00\x01"
        served.say(Opcode.TEXT, "é".encode())
        await turn()
        assert served.taken() == b"\x81\x02" + "é".encode()
        served.say(Opcode.PING, b"?")
        assert served.taken() == b"\x8a\x01?"
        pings = [Frame(Opcode.PING, bytes([number])).serialize(mask=True) for number in range(9)]
        served.socket.data_received(b"".join(pings))
        assert served.taken() == b"\x8a\x01\x08", "one pong answers all that came together"
        served.say(Opcode.CLOSE, b"\x03\xe8bye")
        assert served.taken() == b"\x88\x05\x03\xe8bye"
        assert served.wire.closing
        served.socket.connection_lost(None)
        await served.done()
        assert not served.state.connections

    asyncio.run(main())


def test_what_comes_while_the_app_is_busy_stops_the_reading() -> None:
    async def main() -> None:
        events: list[Event] = []
        go_on = asyncio.Event()

        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send(dict(ACCEPT))
            await go_on.wait()
            events.extend([await receive() for _ in range(3)])

        served = Served(app)
        served.socket.data_received(HEAD)
        await turn()
        for number in range(3):
            served.say(Opcode.BINARY, bytes([number]))
            assert not served.wire.reading
        go_on.set()
        await turn()
        assert [event["bytes"] for event in events] == [b"\0", b"\1", b"\2"]
        assert served.wire.reading

    asyncio.run(main())


def test_the_app_closes_and_the_other_side_answers_or_is_cut() -> None:
    async def main(answers: bool) -> None:
        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send(dict(ACCEPT))
            await send({"type": "websocket.close", "code": 4404, "reason": "no"})

        served = Served(app)
        served.socket.data_received(HEAD)
        await served.done()
        assert served.taken().endswith(b"\x88\x04\x11\x34no")
        assert not served.wire.closing, "the answer was not waited for"
        served.say(Opcode.BINARY, b"still on its way")
        if answers:
            served.say(Opcode.CLOSE, b"\x11\x34")
        else:
            served.socket.look(served.socket.due)
        assert served.wire.closing
        assert served.wire.aborted is not answers

    asyncio.run(main(answers=True))
    asyncio.run(main(answers=False))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\xc2\x81\0\0\0\0a", 1002),
        (Frame(Opcode.TEXT, b"\xff").serialize(mask=True), 1007),
        (b"\x82\xff" + (2**30).to_bytes(8, "big"), 4413),
        (Frame(Opcode.CLOSE, b"\x00\x01").serialize(mask=True), 1002),
    ],
    # Named: masks are random, and every process of pytest-xdist must know the tests by the same names.
    ids=["reserved bits", "no UTF-8", "too large", "no close code"],
)
def test_bad_frames_close_with_their_code_and_what_came_before_is_told(
    bad: bytes, code: int
) -> None:
    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            served = await opened(app)
            good = Frame(Opcode.BINARY, b"good").serialize(mask=True)
            served.socket.data_received(good + bad)
            farewell = served.taken()
            assert (farewell[0], farewell[2:4]) == (0x88, code.to_bytes(2, "big"))
            await served.done()
            # Unread bytes would reset the connection, and the close frame would be lost with them.
            served.socket.data_received(b"still on its way")
            assert served.wire.reading
            assert served.wire.ended
            assert not served.wire.closing
            assert served.taken() == b""
            served.socket.look(served.socket.due)
            assert served.wire.aborted, "whoever does not end has had her time"
        assert [event["type"] for event in events[1:]] == [
            "websocket.receive",
            "websocket.disconnect",
        ]
        assert events[-1]["code"] == code

    asyncio.run(main())


def test_whom_the_app_closes_is_cut_if_she_takes_nothing() -> None:
    async def main() -> None:
        full = asyncio.Event()

        async def app(_scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send(dict(ACCEPT))
            await full.wait()
            await send({"type": "websocket.close", "code": 1013, "reason": "later"})

        served = Served(app, ping_s=20, pong_s=5)
        served.socket.data_received(HEAD)
        await turn()
        served.socket.pause_writing()
        full.set()
        # What she said before is nobody's any more, and keeps her from no deadline.
        served.say(Opcode.BINARY, b"before")
        await turn()
        assert not served.wire.closing
        served.socket.look(served.socket.due)
        assert served.wire.aborted
        served.socket.connection_lost(None)
        await served.done()

    asyncio.run(main())


def test_who_was_told_to_go_may_not_send_for_ever() -> None:
    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            served = await opened(app)
            served.socket.data_received(b"\x82\xff" + (2**30).to_bytes(8, "big"))
            await served.done()
            for _ in range(FAREWELL_BYTES // 2**20):
                served.socket.data_received(bytes(2**20))
            assert not served.wire.closing
            served.socket.data_received(b"!")
            assert served.wire.aborted

    asyncio.run(main())


def test_a_silent_one_is_pinged_and_cut_and_one_that_speaks_stays() -> None:
    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            time = asyncio.get_running_loop().time
            before = time()
            served = await opened(app, ping_s=20, pong_s=5)
            socket = served.socket
            after = time()
            assert before + 19 < socket.due <= after + 20
            socket.look(socket.due)
            assert served.taken() == b"\x89\x00"
            assert before + 23.9 < socket.due <= after + 25
            served.say(Opcode.PONG)
            socket.look(socket.due)
            assert not served.wire.aborted
            socket.look(socket.due)
            assert served.taken() == b"\x89\x00"
            socket.look(socket.due)
            assert served.wire.aborted
            socket.connection_lost(None)
            await served.done()
        assert (events[-1]["code"], events[-1]["reason"]) == (1011, "no answer to a ping")

    asyncio.run(main())


def test_the_sweep_pings_by_itself() -> None:
    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            served = Served(app, ping_s=0.05, pong_s=0.05)
            served.socket.data_received(HEAD)
            async with asyncio.timeout(60):
                while not served.wire.aborted:  # noqa: ASYNC110 - nobody is told
                    await asyncio.sleep(0.01)
            served.socket.connection_lost(None)
            await served.done()

    asyncio.run(main())


def test_the_end_of_the_server_is_told() -> None:
    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            served = await opened(app)
            for connection in list(served.state.connections):
                connection.shutdown()
            assert served.taken() == b"\x88\x02\x03\xf4"
            assert served.wire.closing
            await served.done()
        assert events[-1]["code"] == 1012

    asyncio.run(main())


def test_a_refused_or_failed_app_is_no_101(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def refusing(_scope: Event, _receive: Receive, send: Send) -> None:
            await send({"type": "websocket.close", "code": 1000})

        async def failing(_scope: Event, _receive: Receive, _send: Send) -> None:
            raise ValueError("of the app")

        for app, status in ((refusing, b"403"), (failing, b"500")):
            served = Served(app)
            served.socket.data_received(HEAD)
            await served.done()
            assert served.taken().split()[1] == status
            assert served.wire.closing

    asyncio.run(main())
    assert "our own fault" in caplog.text


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({b"Version: 13": b"Version: 12"}, b"400"),
        ({b"Cookie: c=d": b"Content-Length: 5"}, b"400"),
        ({b"/ws/t/p": b"/ws/t/\xc3\xa9"}, b"400"),
        ({b"/ws/t/p": b"/ws/t/" + b"p" * 9_000}, b"414"),
        ({b"c=d": b"c" * 9_000}, b"431"),
        ({b"Cookie: c=d": b"\r\n".join([b"Cookie: c=d"] * 200)}, b"431"),
    ],
)
def test_what_is_no_websocket_is_told_so(changed: dict[bytes, bytes], status: bytes) -> None:
    async def main() -> None:
        with watched([]) as app:
            served = Served(app)
            head = HEAD
            for old, new in changed.items():
                head = head.replace(old, new)
            served.socket.data_received(head)
            assert served.taken().split()[1] == status
            assert served.wire.closing
            served.socket.connection_lost(None)
            assert not served.state.connections

    asyncio.run(main())


def test_who_took_more_than_its_share_with_its_last_words_rests_but_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crdt_chat.server.sockets.reading.PERIOD_S", 0.05)

    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            served = Served(app)
            served.socket.data_received(HEAD)
            await turn()
            began = time.thread_time()
            # As a collection of garbage, which strikes where it likes.
            monkeypatch.setattr(
                "crdt_chat.server.sockets.reading.time.thread_time",
                lambda: began + 10 * (served.socket._waiter is None),
            )
            reads_on = asyncio.Event()
            monkeypatch.setattr(served.wire, "resume_reading", reads_on.set)
            served.say(Opcode.BINARY, b"a")
            assert not served.wire.reading
            await asyncio.wait_for(reads_on.wait(), 60)
            served.say(Opcode.CLOSE)
            await served.done()
        assert events[1]["bytes"] == b"a"

    asyncio.run(main())


def test_a_full_transport_makes_senders_wait_and_write_says_so() -> None:
    async def main() -> None:
        with watched([]) as app:
            served = await opened(app)
            served.socket.pause_writing()
            assert not served.socket.write(b"\x82\x00")
            sending = asyncio.create_task(
                served.socket.send({"type": "websocket.send", "bytes": b"x"})
            )
            await turn()
            assert served.taken() == b""
            served.socket.resume_writing()
            await sending
            assert served.taken() == b"\x82\x01x"
            assert served.socket.write(b"\x82\x00")

    asyncio.run(main())
