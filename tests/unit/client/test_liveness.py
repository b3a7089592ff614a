"""A connection that the server ends while bytes are unsent: it is over at once, with the server's code."""

import asyncio

import pytest
from served import Wire
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from crdt_chat.client.liveness import CountingConnection
from crdt_chat.protocol import frames


class Line(Wire):
    """The client's end, with so many bytes that the network has not taken yet."""

    def __init__(self, unsent: int) -> None:
        super().__init__()
        self.unsent = unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nobody writes here."""

    def get_write_buffer_size(self) -> int:
        return self.unsent


def opened(line: Line) -> CountingConnection:
    """A connection whose handshake is over."""
    socket = CountingConnection(ClientProtocol(parse_uri("ws://x/"), state=State.OPEN))
    socket.response = Response(101, "", Headers())
    socket.connection_made(line)
    return socket


@pytest.mark.parametrize(("unsent", "aborted"), [(10_000, True), (0, False)])
def test_who_is_told_to_go_sends_nothing_more_and_keeps_the_code(
    unsent: int, aborted: bool
) -> None:
    async def main() -> None:
        line = Line(unsent)
        socket = opened(line)
        farewell = frames.encode_close(4413, "too much")
        socket.data_received(farewell)
        assert line.aborted is aborted
        assert socket.received == len(farewell)
        socket.connection_lost(None)
        assert (socket.close_code, socket.close_reason) == (4413, "too much")

    asyncio.run(main())


def test_the_end_of_the_server_is_the_end_of_it_all() -> None:
    async def main() -> None:
        line = Line(10_000)
        socket = opened(line)
        socket.eof_received()
        assert line.aborted
        socket.connection_lost(None)
        assert socket.close_code == 1006

    asyncio.run(main())
