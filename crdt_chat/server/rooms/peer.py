"""One connection as its room sees it: a grant, an outbox and what it still has to be told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from crdt_chat.errors import RemoteFault, forget_where
from crdt_chat.identity import Grant
from crdt_chat.protocol import wire
from crdt_chat.protocol.outbox import Outbox
from crdt_chat.server.process.metrics import Traffic
from crdt_chat.server.sockets.channel import binary_frame, payload

if TYPE_CHECKING:
    from crdt_chat.server.rooms.services import StateShare

OWED = 4
"""Step 1s of one peer that may wait for their answer; who asks more often is read more slowly."""


LARGE_STATE = 64 * 1024
"""Bytes from which a state frame counts in the process's share of state frames."""


def nobody() -> None:
    """The writer of a connection that has ended, and who tells what nobody asked for."""


@dataclass(slots=True, eq=False)
class Peer:
    """A reader and writer of one page, between its connection's tasks and the room.

    frames counts the sync frames received, `saved` how many of them are known to be durable;
    gapped: an update was dropped and a step 2 must come before anything counts as saved again;
    since when its step 2 lacks something is gapped_since. asked counts our step 1s whose step 2 has
    not come yet. batch_expected: its next step 2 may be an offline batch, which is not rated. vector
    is the last state vector it asked with, owed how many of its step 1s wait for their answer: a
    rebuilt page gives them. catching_up: it waits for the full state instead of what it missed.
    announcing: the Yjs client id that it announced while the page was being rebuilt. address is
    where it comes from, for the audit log.

    backlog tells the bytes that its socket has not got rid of, unsent how many they were when it was
    last looked at. states is the process's share of state frames, large are those of this peer.

    What it is told goes to its socket at once (`write`) if that is free and nothing waits; else into
    the outbox, and `wake` starts its connection's writer. retell tells a moderator anew what only
    moderators see: another grant counts, or frames may be lost.
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
    announcing: int | None = None
    address: str = ""
    gone: bool = False
    closing: RemoteFault | None = None
    sending_since: float | None = None
    unsent: int = 0
    states: "StateShare | None" = None
    large: list[bytes] = field(default_factory=list)
    abort: Callable[[], None] | None = None
    backlog: Callable[[], int] | None = None
    write: Callable[[bytes], bool] | None = None
    wake: Callable[[], None] = nobody
    retell: Callable[[], None] = nobody
    traffic: Traffic = field(default_factory=Traffic)
    _relief: anyio.Event | None = None

    def increment(self, frame: bytes, encoded: bytes, seq: int) -> bool:
        """Give it the committed increment that ends at row `seq`: at once if its socket is free.

        frame is the message, encoded the same as a whole WebSocket frame. Returns whether it is
        sent already.
        """
        outbox = self.outbox
        if not outbox.ready or outbox.lagging:
            return False
        # As _written, spelled out: this runs for every reader of every commit.
        free = self.sending_since is None and not outbox.frames
        if free and self.write is not None and self.write(encoded):
            outbox.seq = seq
            return True
        outbox.increment(frame, seq)
        self.traffic.lags += outbox.lagging
        self.wake()
        return False

    def _written(self, encoded: bytes) -> bool:
        """Write a whole WebSocket frame now, unless something must go first."""
        return (
            self.sending_since is None
            and not self.outbox.frames
            and self.write is not None
            and self.write(encoded)
        )

    def send(self, frame: bytes) -> None:
        """Send a frame that must arrive."""
        if self.write is not None and self._written(binary_frame(frame)):
            self.traffic.sent(len(frame))
            return
        self.outbox.push(frame)
        self.wake()

    def presence(self, frame: bytes, encoded: bytes) -> None:
        """Send an awareness frame; `encoded` is the same as a whole WebSocket frame."""
        if self._written(encoded):
            self.traffic.sent(len(frame))
            return
        self.outbox.presence(frame)
        self.wake()

    def control(self, body: dict[str, object]) -> None:
        """Send one of our control frames, if this client asked for them."""
        if self.speaks_control:
            self.send(wire.control(body))

    def state(self, encoded: bytes, seq: int) -> None:
        """Send a catch-up, a whole WebSocket frame, that covers every row up to `seq`."""
        self.catching_up = False
        if self.gone:
            return
        if self._written(encoded):
            self._load(encoded)
            self.outbox.told(seq)
            self.traffic.sent(len(encoded))
            return
        frame = payload(encoded)
        self._load(frame)
        self.outbox.state(frame, seq)
        self.wake()

    def answer(self, encoded: bytes, seq: int) -> None:
        """Send the step 2 that one of its step 1s has waited for; it covers every row up to `seq`."""
        self.owed -= 1
        self.state(encoded, seq)
        self.relieve()
        if self.outbox.behind():
            # Its writer did not catch up while an answer was on its way.
            self.wake()

    def _load(self, frame: bytes) -> None:
        """Count a large state until the writer has seen it leave our memory."""
        if self.states is not None and len(frame) >= LARGE_STATE:
            self.states.take(frame, self.whose)
            self.large.append(frame)
            self.wake()

    @property
    def whose(self) -> tuple[str, str]:
        """Tenant and user, whatever token she shows meanwhile."""
        return self.grant.tenant, self.grant.user

    def leave(self) -> None:
        """It is not here any more: nothing is made for it, and no writer starts."""
        self.gone = True
        self.wake = nobody
        self.unload()

    def unload(self) -> None:
        """Its states are not in our memory any more."""
        for frame in self.large:
            if self.states is not None:
                self.states.give(frame, self.whose)
        self.large.clear()

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
        if self._relief is not None and not self.choked:
            self._relief.set()

    async def relieved(self) -> None:
        """Return once it is not choked."""
        while self.choked:
            self._relief = anyio.Event()
            await self._relief.wait()
        self._relief = None

    def regrant(self, grant: Grant) -> None:
        """Another grant counts from now on; a client with caps is told of a new role."""
        changed, self.grant = grant.role is not self.grant.role, grant
        if changed:
            self.control({"type": "role", "role": grant.role.name.lower()})
            self.retell()

    def acknowledge(self, frames: int) -> None:
        """Its first `frames` sync frames are durable: a client with caps is told."""
        if frames > self.saved:
            self.saved = frames
            self.control({"type": "saved", "frames": frames})

    def close(self, fault: RemoteFault) -> None:
        """Close with the fault's code once what is queued has been sent. The first fault stays."""
        forget_where(fault)
        if self.closing is None:
            self.closing = fault
            self.wake()
