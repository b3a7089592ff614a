"""What becomes of a new connection: a plain request to upgrade is a socket's, all else is HTTP's."""

import asyncio
from typing import Any

import pytest
from served import HEAD, Served, Wire, turn, watched
from websockets.frames import Frame, Opcode

from crdt_chat.server.sockets.channel import Event
from crdt_chat.server.sockets.http import Front, is_plain_upgrade

LONG_S = 60.0


class Line(Wire):
    """A wire that knows whose it is."""

    protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class Heard(asyncio.Protocol):
    """What would be HTTP's."""

    def __init__(self, deadline: asyncio.TimerHandle | None) -> None:
        self.deadline = deadline
        self.came = b""

    def data_received(self, data: bytes) -> None:
        self.came += data


def front_of(served: Served, line: Line, request_s: float = LONG_S) -> Front:
    front = Front(served.state.connections, Heard, lambda: served.socket, request_s)
    front.connection_made(line)
    assert front in served.state.connections, "the end of the server must reach it"
    return front


def test_a_plain_upgrade_is_a_socket_at_once_and_keeps_what_followed_its_head() -> None:
    async def main() -> None:
        events: list[Event] = []
        with watched(events) as app:
            served, line = Served(app), Line()
            eager = Frame(Opcode.BINARY, b"eager").serialize(mask=True)
            front = front_of(served, line)
            front.data_received(HEAD + eager)
            assert line.protocol is served.socket
            assert front not in served.state.connections
            await turn()
            assert line.written.startswith(b"HTTP/1.1 101 ")
            assert [event["type"] for event in events] == ["websocket.connect", "websocket.receive"]
            assert events[1]["bytes"] == b"eager"
            served.socket.connection_lost(None)
            await served.done()

    asyncio.run(main())


def test_half_a_head_is_http_s_and_its_time_goes_on() -> None:
    async def main() -> None:
        with watched([]) as app:
            served, line = Served(app), Line()
            front_of(served, line, request_s=0.01).data_received(HEAD[:-2])
            assert isinstance(line.protocol, Heard)
            assert line.protocol.came == HEAD[:-2]
            assert line.protocol.deadline is not None
            while not line.aborted:  # noqa: ASYNC110 - the wire has no event
                await asyncio.sleep(0.005)

    asyncio.run(main())


def test_who_goes_or_is_ended_without_a_word_leaves_nothing() -> None:
    async def main() -> None:
        with watched([]) as app:
            served, line = Served(app), Line()
            front = front_of(served, line, request_s=0.01)
            front.shutdown()
            assert line.closing
            front.connection_lost(None)
            assert front not in served.state.connections
            await asyncio.sleep(0.05)
            assert not line.aborted, "its deadline is forgotten"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Host: x", b"Host: x\r\nHost: y"),
        (b"Host: x\r\n", b""),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"Upgrade: websocket", b"Upgrade: websocket\r\nUpgrade: h2c"),
        (b"Upgrade: websocket\r\n", b""),
        (b"Connection: Upgrade", b"Connection: close"),
        (b"Connection: Upgrade\r\n", b""),
        (b"GET", b"POST"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"/ws/t/p", b"/ws/t/\x01"),
        (b"/ws/t/p", b"/ws/t/p q"),
        (b"Host: x", b"Host: x\nHost: y\r\nUpgrade: websocket"),
    ],
)
def test_what_is_not_plain_is_for_http_to_refuse(old: bytes, new: bytes) -> None:
    assert is_plain_upgrade(HEAD)
    assert is_plain_upgrade(
        HEAD.replace(b"Connection: Upgrade", b"connection: keep-alive, Upgrade")
    )
    assert old in HEAD
    assert not is_plain_upgrade(HEAD.replace(old, new))
