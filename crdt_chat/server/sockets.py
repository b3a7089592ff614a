"""uvicorn's sans-IO WebSocket protocol with what a CRDT server needs of a socket.

Too large a message closes with 4413 (clients retry 1009 for ever), at the head of its frame: until
the app says what it takes (`expect`), that is next to nothing. What is over the ordinary size takes
a place in the Intake first. Frames cost time even if they say nothing: a socket whose frames take
more than its share of the loop rests. A ping that is not answered cuts the socket at once and says so, even
with unsent bytes in its buffer; a socket that we ourselves read slowly is not taken for dead; and
the app may cut a connection (ASGI extension `crdt_chat.transport`).
"""

import asyncio
import time
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from crdt_chat.errors import TooLarge
from crdt_chat.server.intake import Intake

SILENT = 1011
"""What the app is told of a socket whose ping was not answered."""

STRANGER_BYTES = 64 * 1024
"""The largest message of a socket whose owner is not known yet, or to whom we have said goodbye."""

SLICE_BYTES = 8 * 1024
"""Bytes that are taken apart in one go; of the smallest frames about 1,400, or 10 ms."""

SHARE_S, STRANGER_SHARE_S, PERIOD_S = 0.25, 0.05, 1.0
"""CPU seconds that the frames of one socket may take in each period; then it rests for another."""


class Socket(WebSocketsSansIOProtocol):
    """One WebSocket of the server.

    ordinary: bytes of a message for which it needs no place in the intake.
    """

    def __init__(self, *args: Any, intake: Intake, ordinary: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard = False
        self._intake = intake
        self._ordinary = ordinary
        self._waits = self._deaf = False
        self._place: asyncio.TimerHandle | None = None
        self._unread = bytearray()
        self._rest: asyncio.Handle | None = None
        self._share = STRANGER_SHARE_S
        self._period = self._spent = 0.0
        fail = self.conn.fail

        def fail_with_our_code(code: int, reason: str = "") -> None:
            if code == CloseCode.MESSAGE_TOO_BIG:
                code, reason = TooLarge.close_code, "a frame over the limit"
            fail(code, reason)

        self.conn.fail = fail_with_our_code  # type: ignore[method-assign]

    def handle_connect(self, event: Request) -> None:
        """As uvicorn does, and offer the app to cut the connection."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"]["crdt_chat.transport"] = {
                "abort": self.transport.abort,
                "write": self.write,
                "expect": self.expect,
                "drained": self.writable.wait,
                "backlog": self.transport.get_write_buffer_size,
            }

    def write(self, encoded: bytes) -> bool:
        """Send one whole, already encoded WebSocket frame now. False: the socket is not free.

        The same bytes serve every reader of a page: no task, no encoding per delivery.
        """
        if self.close_sent or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(encoded)
        return True

    def expect(self, size: int) -> None:
        """From the next message on, take up to `size` bytes."""
        self.conn.max_message_size = size
        self._share = SHARE_S

    # What is coming in

    def data_received(self, data: bytes) -> None:
        """Any byte is a sign of life; whether we read on depends on the time that it takes."""
        self.heard = True
        if self._rest is None and len(data) <= SLICE_BYTES:
            self._take_apart(data)
        else:
            self._unread += data
        if self._rest is None:
            self._go_on()

    def _go_on(self) -> None:
        """Take a slice of what has come in apart; the next in the loop's next turn, or after a rest."""
        waited, self._rest = self._rest is not None, None
        if self._unread and not self.transport.is_closing():
            part = bytes(self._unread[:SLICE_BYTES])
            del self._unread[:SLICE_BYTES]
            self._take_apart(part)
        if self.transport.is_closing():
            return
        if self._spent > self._share:
            self.transport.pause_reading()
            self._rest = self.loop.call_later(PERIOD_S, self._go_on)
        elif self._unread:
            self.transport.pause_reading()
            self._rest = self.loop.call_soon(self._go_on)
        elif waited:
            self._read_on()

    def _read_on(self) -> None:
        """Read again, unless there is another reason not to."""
        held_back = self.read_paused or self._waits or self._deaf or self._rest is not None
        if not held_back and not self.transport.is_closing():
            self.transport.resume_reading()

    def _take_apart(self, data: bytes) -> None:
        now = self.loop.time()
        if now - self._period > PERIOD_S:
            self._period, self._spent = now, 0.0
        began = time.thread_time()
        super().data_received(data)
        self._spent += time.thread_time() - began
        self._hold_back()

    def _hold_back(self) -> None:
        """Whether we read on depends on what is still incomplete."""
        incomplete = self._incomplete
        if self.close_sent:
            self._share = STRANGER_SHARE_S
            if incomplete > STRANGER_BYTES and not self.transport.is_closing():
                self._deaf = True
                self.transport.pause_reading()
        elif incomplete <= self._ordinary:
            if self._waits:
                self._leave()
        elif self._place is None and not self._waits:
            self._enter()

    @property
    def _incomplete(self) -> int:
        """Bytes in memory of a message that has not come in whole."""
        return len(self.conn.reader.buffer) + (self.conn.current_size or 0)

    def _enter(self) -> None:
        if self._intake.enter(self):
            self._hold()
        else:
            self._waits = True
            self.transport.pause_reading()

    def _hold(self) -> None:
        self._place = self.loop.call_later(self._intake.patience_s, self.transport.abort)

    def proceed(self) -> None:
        """The intake has a place: read on."""
        self._waits = False
        self._hold()
        self._read_on()

    def _leave(self) -> None:
        if self._waits:
            self._waits = False
            self._intake.forget(self)
        if self._place is not None:
            self._place.cancel()
            self._place = None
            self._intake.leave()

    async def receive(self) -> Any:
        """As uvicorn does; a large message gives up its place when the app has taken it."""
        message = await super().receive()
        if self._waits or self._rest is not None:
            self.transport.pause_reading()
        if self._place is not None and self._incomplete <= self._ordinary:
            self._leave()
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn does, without keeping its place."""
        if self._rest is not None:
            self._rest.cancel()
        if self._unread and self._spent <= self._share:
            # It said this before it went.
            super().data_received(bytes(self._unread))
        self._unread.clear()
        self._leave()
        super().connection_lost(exc)

    # One growing buffer for the parts of a message: a list of them would cost many times its bytes.

    def handle_text(self, event: Frame) -> None:
        """The first part of a text message."""
        super().handle_text(_growing(event))

    def handle_bytes(self, event: Frame) -> None:
        """The first part of a binary message."""
        super().handle_bytes(_growing(event))

    def handle_cont(self, event: Frame) -> None:
        """Another part."""
        self.frames[0] += event.data
        if event.fin:
            self.send_receive_event_to_app()

    # Signs of life

    def send_keepalive_ping(self) -> None:
        """Ping, and count what is heard from here on."""
        self.heard = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """No pong: dead, unless it speaks or we are the ones who do not read."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.heard or self.read_paused or self._waits or self._rest is not None:
            self.schedule_ping()
            return
        if not self.transport.is_closing():
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": SILENT, "reason": "no answer to a ping"}
            )
            self.transport.abort()

    def handle_pong(self, event: Frame) -> None:
        """A pong after its deadline was forgiven finds no ping in flight: nothing to do."""
        if self.pending_ping_payload is not None:
            super().handle_pong(event)


def _growing(event: Frame) -> Frame:
    if not event.fin:
        event.data = bytearray(event.data)
    return event
