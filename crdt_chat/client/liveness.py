"""Whether a connection still lives: soon known on a silent network, patient on a slow one.

The library's own keepalive gives a pong a fixed time, but a pong comes only after all that was sent
before its ping: a big batch on a thin line would be cut off and begun again for ever.
"""

import asyncio

from websockets.asyncio.client import ClientConnection

PING_S, PONG_S = 10.0, 5.0
"""Seconds between two looks, and for an answer on an idle line."""

SLOWEST = 16 * 1024
"""Bytes a second that a line is trusted to carry: what is on its way extends the patience."""


class CountingConnection(ClientConnection):
    """A WebSocket that counts the bytes of both ways, those of unfinished frames included."""

    received = 0
    sent = 0

    def data_received(self, data: bytes) -> None:
        """Bytes came in (asyncio.Protocol)."""
        self.received += len(data)
        super().data_received(data)
        if self.protocol.close_rcvd is not None and self.transport.get_write_buffer_size():
            # The server drops what is still sent, and the answer behind it: over TLS it would wait for that.
            self.transport.abort()

    def eof_received(self) -> None:
        """The server has ended (asyncio.Protocol): what it has not taken it does not want any more.

        Left to itself the transport would send that first, and then fail when the library aborts it.
        """
        super().eof_received()
        self.transport.abort()

    async def send_frame(self, frame: bytes) -> None:
        """Send one binary message. Raises ConnectionClosed."""
        self.sent += len(frame)
        await self.send(frame)


async def watch(socket: CountingConnection) -> None:
    """Return when the connection is dead: no answer to a ping in time, and nothing else came in.

    Raises ConnectionClosed where it has ended in another way meanwhile.
    """
    arrived = 0
    while True:
        sent = socket.sent
        pong = asyncio.ensure_future(await socket.ping())
        while not pong.done():
            received = socket.received
            await asyncio.wait([pong], timeout=PONG_S + (sent - arrived) / SLOWEST)
            if not pong.done() and socket.received == received:
                return
        await pong
        arrived = sent
        await asyncio.sleep(PING_S)
