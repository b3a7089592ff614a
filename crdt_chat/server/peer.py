"""One connection as its room sees it: a grant, an outbox and what it still has to be told."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from crdt_chat.errors import RemoteFault
from crdt_chat.identity import Grant
from crdt_chat.protocol import wire
from crdt_chat.protocol.outbox import Outbox
from crdt_chat.server.services import StateShare

OWED = 4
"""Step 1s of one peer that may wait for their answer; who asks more often is read more slowly."""


LARGE_STATE = 64 * 1024
"""Bytes from which a state frame counts in the process's share of state frames."""


@dataclass(slots=True, eq=False)
class Peer:
    """A reader and writer of one page, between its connection's tasks and the room.

    frames counts the sync frames received, `saved` how many of them are known to be durable;
    gapped: an update was dropped and a step 2 must come before anything counts as saved again;
    since when its step 2 lacks something is gapped_since. asked counts our step 1s whose step 2 has
    not come yet. batch_expected: its next step 2 may be an offline batch, which is not rated. vector
    is the last state vector it asked with, owed how many of its step 1s wait for their answer: a
    rebuilt page gives them. catching_up: it waits for the full state instead of what it missed.

    backlog tells the bytes that its socket has not got rid of, unsent how many they were when it was
    last looked at. states is the process's share of state frames, its own part of it state_bytes.
    """

    id: int
    grant: Grant
    outbox: Outbox
    speaks_control: bool = False
    frames: int = 0
    saved: int = 0
    gapped: bool = False
    gapped_since: float | None = None
    asked: int = 0
    batch_expected: bool = True
    vector: bytes = b"\x00"
    owed: int = 0
    catching_up: bool = False
    closing: RemoteFault | None = None
    sending_since: float | None = None
    unsent: int = 0
    states: StateShare | None = None
    state_bytes: int = 0
    abort: Callable[[], None] | None = None
    backlog: Callable[[], int] | None = None
    write: Callable[[bytes], bool] | None = None
    work: anyio.Event = field(default_factory=anyio.Event)
    _relief: anyio.Event = field(default_factory=anyio.Event)

    def increment(self, frame: bytes, encoded: bytes, seq: int) -> bool:
        """Give it the committed increment that ends at row `seq`: at once if its socket is free.

        frame is the message, encoded the same as a whole WebSocket frame. Returns whether it is
        sent already.
        """
        outbox = self.outbox
        free = self.sending_since is None and not outbox.frames
        if free and outbox.follows and self.write is not None and self.write(encoded):
            outbox.seq = seq
            return True
        outbox.increment(frame, seq)
        self.work.set()
        return False

    def send(self, frame: bytes) -> None:
        """Queue a frame that must arrive, and wake the writer."""
        self.outbox.push(frame)
        self.work.set()

    def control(self, body: dict[str, object]) -> None:
        """Queue one of our control frames, if this client asked for them."""
        if self.speaks_control:
            self.send(wire.control(body))

    def state(self, frame: bytes, seq: int) -> None:
        """Queue a catch-up that covers every row up to `seq`."""
        self.catching_up = False
        if self.states is not None and len(frame) >= LARGE_STATE:
            self.states.take(len(frame))
            self.state_bytes += len(frame)
        self.outbox.state(frame, seq)
        self.work.set()

    def answer(self, frame: bytes, seq: int) -> None:
        """Queue the step 2 that one of its step 1s has waited for; it covers every row up to `seq`."""
        self.owed -= 1
        self.state(frame, seq)
        self.relieve()

    def unload(self, size: int) -> None:
        """`size` bytes of its states are not in our memory any more."""
        if self.states is not None:
            self.states.give(size)
            self.state_bytes -= size

    def stuck(self, now: float, patience: float) -> bool:
        """Whether its socket has taken nothing for longer than `patience` seconds."""
        if self.sending_since is None:
            self.unsent = 0
            return False
        unsent = 0 if self.backlog is None else self.backlog()
        if unsent < self.unsent:
            self.sending_since = now
        self.unsent = unsent
        return now - self.sending_since > patience

    @property
    def choked(self) -> bool:
        """Whether more waits for it than it takes: what it asks for then is not read."""
        return self.owed >= OWED or self.outbox.size > self.outbox.limit

    def relieve(self) -> None:
        """Something that waited for it does not any more."""
        if not self.choked:
            self._relief.set()

    async def relieved(self) -> None:
        """Return once it is not choked."""
        while self.choked:
            self._relief = anyio.Event()
            await self._relief.wait()

    def acknowledge(self, frames: int) -> None:
        """Its first `frames` sync frames are durable: a client with caps is told."""
        if frames > self.saved:
            self.saved = frames
            self.control({"type": "saved", "frames": frames})

    def close(self, fault: RemoteFault) -> None:
        """Close with the fault's code once what is queued has been sent. The first fault stays."""
        if self.closing is None:
            self.closing = fault
            self.work.set()
