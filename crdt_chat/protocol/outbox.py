"""What waits to be sent to one connection: bounded, and lagging instead of growing (design 8).

Increments of the document may be dropped as a whole once a reader is too slow: when its socket has
drained it gets one merge of the rows committed since its last seq. CRDTs make that legal.
Everything else in the queue (step 1, state, awareness, control) is small and bounded by its own
rules.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Outbox:
    """Frames in order. `limit` is in bytes; `seq` is the last committed row this reader was given.

    ready: it has had its step 2, increments may follow (a client given a later part first would
    keep a gap). lagging: increments are being dropped until the queue has drained.
    """

    limit: int
    seq: int = 0
    ready: bool = False
    lagging: bool = False
    stale_presence: bool = False
    size: int = 0
    # Most wait for nothing most of the time, and an empty deque takes 700 bytes.
    frames: deque[bytes] | tuple[()] = ()

    def push(self, frame: bytes) -> None:
        """Queue a frame that must not be dropped."""
        if isinstance(self.frames, tuple):
            self.frames = deque()
        self.frames.append(frame)
        self.size += len(frame)

    def increment(self, frame: bytes, seq: int) -> None:
        """Queue a committed increment that ends at row `seq`, or start lagging over the limit."""
        if not self.follows:
            return
        if self.size + len(frame) > self.limit and self.frames:
            self.lagging = True
            return
        self.push(frame)
        self.seq = seq

    def presence(self, frame: bytes) -> None:
        """Queue an awareness frame; over the limit it is lost, all states are sent later."""
        if self.size + len(frame) > self.limit and self.frames:
            self.stale_presence = True
            return
        self.push(frame)

    @property
    def follows(self) -> bool:
        """Whether increments go to this reader now: it had its step 2 and is not lagging."""
        return self.ready and not self.lagging

    def skip(self, seq: int) -> None:
        """The increment up to `seq` says nothing new to this reader: it is its own."""
        if self.follows:
            self.seq = seq

    def state(self, frame: bytes, seq: int) -> None:
        """Queue a step 2 or a catch-up that covers everything up to `seq`, whatever its size."""
        self.push(frame)
        self.told(seq)

    def told(self, seq: int) -> None:
        """The reader has, or is about to get, everything up to row `seq`."""
        self.seq = max(self.seq, seq)
        self.ready = True
        self.lagging = False

    def clear(self) -> None:
        """Forget what was not sent: none of it counts any more.

        A step 2 may have been among it, so increments wait for another one.
        """
        self.frames = ()
        self.size = 0
        self.ready = self.lagging = False

    def pop(self) -> bytes | None:
        """The next frame to send, None where the queue is empty."""
        if not self.frames:
            return None
        frame = self.frames.popleft()
        self.size -= len(frame)
        if not self.frames:
            self.frames = ()
        return frame

    def behind(self) -> bool:
        """Whether the reader has drained its queue and now needs to catch up."""
        return not self.frames and (self.lagging or self.stale_presence)
