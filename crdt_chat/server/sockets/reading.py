"""How one WebSocket is read: in slices, at most its share of the time, large messages in turn.

What a message may weigh is looked at in the head of its frame: until the app says what it takes (`expect`),
that is next to nothing. What is over the ordinary size takes a place in the Intake first, and keeps it until
the app has handled the message: it is in memory as long. Frames cost time even if they say nothing: a socket
whose frames take more than its share of the loop rests.
"""

import asyncio
import time
from abc import ABC, abstractmethod

from crdt_chat.errors import RemoteFault
from crdt_chat.protocol.frames import Incoming
from crdt_chat.server.sockets.intake import Whose
from crdt_chat.server.sockets.pulse import Shared

STRANGER_BYTES = 64 * 1024
"""The largest message of a socket whose owner is not known yet, or to whom we have said goodbye."""

NOBODY: Whose = ("", "")

SLICE_BYTES = 8 * 1024
"""Bytes that are taken apart in one go; of the smallest frames about 1,400, or 10 ms."""

SHARE_S, STRANGER_SHARE_S, PERIOD_S = 0.25, 0.05, 1.0
"""CPU seconds that the frames of one socket may take in each period; then it rests for another."""

FAREWELL_BYTES = 64 * 1024 * 1024
"""What a socket may still send once it was told to go, read and dropped; over it the connection is cut."""


class Reading(asyncio.Protocol, ABC):
    """The reading half of a socket: calls `_take` with each message and `_fail` where that is no use.

    closed: a close frame, or a refusal, was sent.
    """

    __slots__ = (
        "_farewell",
        "_heard",
        "_incoming",
        "_large",
        "_over",
        "_paused",
        "_period",
        "_place",
        "_rest",
        "_share",
        "_shared",
        "_spent",
        "_transport",
        "_unread",
        "_waits",
        "closed",
        "whose",
    )

    _transport: asyncio.Transport

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._incoming = Incoming(STRANGER_BYTES)
        # Paused: the app has not taken what came. Waits: for the intake.
        # Over: nothing that comes counts any more. Heard: something has come since the last ping.
        # Large: a message over the ordinary size has come, and the app has not handled it yet.
        self._paused = self._waits = self._over = self._heard = self.closed = False
        self._farewell = FAREWELL_BYTES
        self._large = False
        self._place: asyncio.TimerHandle | None = None
        self._unread: bytearray | None = None
        self._rest: asyncio.Handle | None = None
        self._share = STRANGER_SHARE_S
        self._period = self._spent = 0.0
        self.whose: Whose = NOBODY

    @abstractmethod
    def _take(self, opcode: int, payload: bytes) -> None:
        """One message or control frame has come. May raise RemoteFault."""

    @abstractmethod
    def _fail(self, fault: RemoteFault) -> None:
        """What has come is not to be read on."""

    @property
    def held_back(self) -> bool:
        """Whether we are the ones who do not read."""
        return self._paused or self._waits or self._rest is not None

    def expect(self, size: int, whose: Whose) -> None:
        """From the next message on, take up to `size` bytes of this tenant's user."""
        self._incoming.limit = size
        self._share = SHARE_S
        self.whose = whose

    def let_go(self) -> None:
        """What the app was given is in memory no more, and it takes nothing else: read no further."""
        if self._large:
            self._large = False
            self._leave()

    def _read(self, data: bytes) -> None:
        """Any byte is a sign of life; whether we read on depends on the time that it takes."""
        self._heard = True
        if self._over:
            self._farewell -= len(data)
            if self._farewell < 0:
                self._transport.abort()
            return
        resting = self._rest is not None or self._unread or self._paused or self._waits
        if not resting and len(data) <= SLICE_BYTES:
            self._take_apart(data)
        else:
            self._unread = self._unread or bytearray()
            self._unread += data
        if self._rest is None:
            self._go_on()

    def _go_on(self) -> None:
        """Take a slice of what has come in apart; the next in the loop's next turn, or after a rest."""
        waited, self._rest = self._rest is not None, None
        # Also with nothing left to take apart: it would rest for ever.
        self._renew()
        if self._unread and not (self._paused or self._waits or self._transport.is_closing()):
            part = bytes(self._unread[:SLICE_BYTES])
            del self._unread[:SLICE_BYTES]
            self._take_apart(part)
        if self._over or self._transport.is_closing():
            return
        if self._spent > self._share:
            self._transport.pause_reading()
            self._rest = self._shared.loop.call_later(PERIOD_S, self._go_on)
        elif self._unread:
            self._transport.pause_reading()
            self._read_on()
        else:
            self._unread = None
            if waited:
                self._read_on()

    def _read_on(self) -> None:
        """Go on with what has come, then read again, unless there is another reason not to."""
        if self.held_back or self._transport.is_closing():
            return
        if self._unread:
            self._rest = self._shared.loop.call_soon(self._go_on)
        else:
            self._transport.resume_reading()

    def _take_apart(self, data: bytes) -> None:
        self._renew()
        began = time.thread_time()
        self._incoming.add(data)
        self._take_messages()
        self._spent += time.thread_time() - began
        self._hold_back()

    def _renew(self) -> None:
        """Its time is counted anew in each period."""
        now = self._shared.loop.time()
        if now - self._period > PERIOD_S:
            self._period, self._spent = now, 0.0

    def _take_messages(self) -> None:
        try:
            while not self._over and (message := self._incoming.next()) is not None:
                self._take(*message)
        except RemoteFault as fault:
            self._fail(fault)

    def _finish_reading(self) -> None:
        """The connection has ended."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._unread and self._spent <= self._share and not self._waits:
            # It said this before it went. What waits for a place was not to be read.
            self._incoming.add(bytes(self._unread))
            self._take_messages()
        self._unread = None
        self._let_go_of_the_rest()

    def _ignore(self) -> None:
        """Read on, and drop it, until the other side has ended, too: it was told to go.

        Closing with unread bytes would reset the connection, and our close frame would be lost with them:
        a client that sees 1006 sends the same again, for ever.
        """
        self._over, self._paused, self._unread = True, False, None
        self._incoming = Incoming(0)
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._let_go_of_the_rest()
        if not self._transport.is_closing():
            if self._transport.can_write_eof():
                # Who waits for our end before her own has it.
                self._transport.write_eof()
            self._transport.resume_reading()

    # Back-pressure

    def _hold_back(self) -> None:
        """Whether we read on depends on what is still incomplete."""
        incomplete = self._incoming.incomplete
        if self.closed:
            self._share = STRANGER_SHARE_S
            if incomplete > STRANGER_BYTES:
                self._ignore()
        if incomplete <= self._shared.ordinary or self._large:
            self._let_go_of_the_rest()
        elif self._place is None and not (self._waits or self.closed):
            self._enter()

    def _enter(self) -> None:
        if self._shared.intake.enter(self):
            self._hold()
        else:
            self._waits = True
            self._transport.pause_reading()

    def _hold(self) -> None:
        patience = self._shared.intake.patience_s
        self._place = self._shared.loop.call_later(patience, self._transport.abort)

    def proceed(self) -> None:
        """The intake has a place: read on."""
        self._waits = False
        self._hold()
        self._read_on()

    def _let_go_of_the_rest(self) -> None:
        """Nothing is outstanding: only a message that the app still has keeps a place, for any time."""
        if not self._large:
            self._leave()
        elif self._place is not None:
            self._place.cancel()

    def _give_place_back(self) -> None:
        """The app has let go of the large message: another may come in, here or elsewhere."""
        self._large = self._paused = False
        self._leave()
        self._hold_back()
        self._read_on()

    def _leave(self) -> None:
        if self._waits:
            self._waits = False
            self._shared.intake.forget(self)
        if self._place is not None:
            self._place.cancel()
            self._place = None
            self._shared.intake.leave(self)
