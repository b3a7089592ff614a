"""One connection as its room sees it: a grant, an outbox and what it still has to be told."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from crdt_chat.errors import RemoteFault
from crdt_chat.identity import Grant
from crdt_chat.protocol import wire
from crdt_chat.protocol.outbox import Outbox


@dataclass(slots=True, eq=False)
class Peer:
    """A reader and writer of one page, between its connection's tasks and the room.

    frames counts the sync frames received, `saved` how many of them are known to be durable;
    gapped: an update was dropped and a step 2 must come before anything counts as saved again;
    since when its step 2 lacks something is gapped_since. asked: a step
    1 is on its way and its step 2 has not come yet. vector is the last state vector it asked with:
    a rebuilt page answers it again.
    """

    id: int
    grant: Grant
    outbox: Outbox
    speaks_control: bool = False
    frames: int = 0
    saved: int = 0
    gapped: bool = False
    gapped_since: float | None = None
    asked: bool = False
    vector: bytes | None = None
    awaits_state: bool = False
    closing: RemoteFault | None = None
    sending_since: float | None = None
    abort: Callable[[], None] | None = None
    write: Callable[[bytes], bool] | None = None
    work: anyio.Event = field(default_factory=anyio.Event)

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
        """Queue a step 2, or a catch-up, that covers every row up to `seq`."""
        self.awaits_state = False
        self.outbox.state(frame, seq)
        self.work.set()

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
