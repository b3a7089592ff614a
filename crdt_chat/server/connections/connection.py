"""One CRDT connection: frames in to the room, frames out of the outbox, until either side ends it.

Two tasks: the reader, which is here (decode, judge, slow down who is too fast), and the writer (sending.py),
where there is something to write. Every fault of the peer ends here in the close code of its class.
An idle connection is a reader who waits: each coroutine on the way to her is a quarter of a kilobyte.
"""

import logging
from collections.abc import Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import anyio
import anyio.lowlevel

from crdt_chat.config import TenantSettings
from crdt_chat.errors import EpochChanged, LocalFault, RateLimited, RemoteFault, TooLarge, TryLater
from crdt_chat.identity import Grant, PageKey
from crdt_chat.page.verdict import Sync, Verdict
from crdt_chat.protocol import wire
from crdt_chat.protocol.outbox import Outbox
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.connections.awareness import Awareness
from crdt_chat.server.connections.sending import Sending
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.sockets.channel import AsgiChannel, Channel, Closable, close
from crdt_chat.server.sockets.rate import Bucket

log = logging.getLogger(__name__)

TURN_S = 0.01
"""Seconds for which one connection may keep the loop from the others."""

OPERATION_BYTES = 4 * 1024
"""Bytes that count as an operation, if that is more than the operations in them."""

FRAME_OPERATIONS = 0.25
"""What the emptiest frame counts: 400 of them a second are as many as anybody may send for long."""

ASK_AGAIN_S = 2.0
"""A step 2 that still lacks something (another's unsent work) is asked for again after this."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a connection asked for: which page, as whom, with our control frames or without.

    watches: it wants to be told what only moderators see. settings: its tenant's, if known already.
    """

    key: PageKey
    grant: Grant
    speaks_control: bool = False
    watches: bool = False
    epoch: int | None = None
    address: str = ""
    guard: Guard | None = None
    settings: TenantSettings | None = None


def serve(channel: Channel, visit: Visit, rooms: Rooms) -> Coroutine[Any, Any, None]:
    """Serve one pycrdt Channel until it ends. Remote faults close it with their code.

    Raises RemoteFault only if the channel cannot be closed with a code.
    """
    return _Connection(channel, visit, rooms.services).run(rooms)


def _where(key: PageKey) -> dict[str, str]:
    return {"tenant": key.tenant, "page": key.page}


def _peer_of(channel: Channel, visit: Visit, services: Services) -> Peer:
    direct = channel if isinstance(channel, AsgiChannel) else None
    return Peer(
        services.ids.number(),
        visit.grant,
        Outbox(services.limits.outbox_bytes),
        speaks_control=visit.speaks_control,
        address=visit.address,
        # In this order: to ask a Protocol takes 15 us.
        abort=channel.abort if isinstance(channel, AsgiChannel | Closable) else None,
        write=None if direct is None else direct.write,
        backlog=None if direct is None else direct.backlog,
        states=services.states,
        traffic=services.metrics.traffic,
    )


class _Connection(Sending):
    __slots__ = ("_asking", "_awareness", "_busy", "_limits", "_pace", "_slow_since", "_visit")

    def __init__(self, channel: Channel, visit: Visit, services: Services) -> None:
        super().__init__(channel, _peer_of(channel, visit, services), services)
        limits = services.limits
        tenant = visit.settings or services.config.tenant(visit.key.tenant)
        self._visit = visit
        self._limits = limits
        self._asking = False
        self._busy = 0.0
        self._awareness: Awareness | None = None
        self._slow_since: float | None = None
        self._pace = Bucket(
            limits.operations_per_s if tenant is None else tenant.operations_per_s,
            limits.operations_burst if tenant is None else tenant.operations_burst,
        )

    async def run(self, rooms: Rooms) -> None:
        """Join, read and write until the peer leaves or a fault ends it. Raises as `serve`."""
        key, services = self._visit.key, self._services
        services.metrics.connected("yjs")
        code: int | None = None
        try:
            async with rooms.open(key) as self._room:
                with self._watched():
                    if self._join():
                        try:
                            with self._reading, self._told():
                                await self._read()
                        finally:
                            self._leave()
            if self.peer.closing is not None:
                raise self.peer.closing
        except RemoteFault as fault:
            code = fault.close_code
            await close(self._channel, fault)
        except LocalFault:
            # Ours: the log has it, the peer may come back.
            log.exception("a connection ended by our own fault", extra=_where(key))
            code = TryLater.close_code
            await close(self._channel, TryLater("the server had a problem: try again"))
        finally:
            services.metrics.disconnected("yjs", code)

    def _watched(self) -> AbstractContextManager[None]:
        guard, peer = self._visit.guard, self.peer
        return nullcontext() if guard is None else guard.watch(peer, self._visit.key, peer.abort)

    def _told(self) -> AbstractContextManager[None]:
        told = self._services.moderators.told
        return told(self._room, self.peer, asked=self._visit.watches)

    def _join(self) -> bool:
        """Let it in, unless it was revoked between its grant and this moment. Raises RemoteFault."""
        self._check_room()
        if self.peer.closing is not None:
            return False
        self.peer.wake = self._wake
        self._room.join(self.peer)
        return True

    def _leave(self) -> None:
        """What is at work beside the reader ends with her, and nothing else may start."""
        lost = self._lost or getattr(self._channel, "lost", False)
        self.peer.leave()
        self._room.leave(self.peer, lost=lost and self.peer.closing is None)
        self._stop()

    def _check_room(self) -> None:
        if self._visit.epoch not in (None, self._room.epoch):
            raise EpochChanged("the page was rewritten: drop your copy and load it again")
        if len(self._room.peers) >= self._limits.connections_per_page:
            raise TryLater("too many people are on this page")
        user = self._visit.grant.user
        guard, tenant = self._visit.guard, self._visit.key.tenant
        tabs = 0 if guard is None else guard.sessions(tenant, user)
        if tabs > self._limits.connections_per_user:
            raise TryLater("you are connected too many times")

    async def _read(self) -> None:
        while True:
            try:
                frame = await anext(self._channel)
            except StopAsyncIteration:
                return
            except RemoteFault as fault:
                await self._refuse(fault)
            self._services.metrics.traffic.received(len(frame))
            if self.peer.closing is not None:
                # It may not be here any more (expired, revoked): nothing it says counts.
                del frame
                await self._refuse(self.peer.closing)
            if wire.is_step1(frame) and len(frame) <= self._limits.frame_bytes:
                await self._services.states.wait(self.peer.whose)
            began, pause = self._services.clock.monotonic(), 0.0
            refusal: RemoteFault | None = None
            try:
                pause = await self._take(frame)
            except RemoteFault as fault:
                refusal = fault
            except LocalFault:
                log.exception("a frame could not be handled", extra=_where(self._visit.key))
                refusal = TryLater("the server had a problem: try again")
            # It may be megabytes, and the next may be long in coming.
            del frame
            if refusal is not None:
                await self._refuse(refusal)
            self._busy += self._services.clock.monotonic() - began
            await self._give_way(pause)

    async def _give_way(self, pause: float) -> None:
        """Before the next frame is read: let those go first whom this connection keeps waiting."""
        # First what keeps memory: another large frame may come in once this one is on its way to the disk.
        if self._services.queue.full:
            await self._services.queue.wait()
        if isinstance(self._channel, AsgiChannel):
            self._channel.handled()
        if pause > 0:
            await self._slow_down(pause)
        else:
            self._slow_since = None
        if self.peer.choked:
            await self.peer.relieved()
        if self._busy >= TURN_S:
            # What has arrived already is read without a pause: many small frames may be a long time.
            self._busy = 0.0
            await anyio.lowlevel.checkpoint()

    async def _refuse(self, fault: RemoteFault) -> NoReturn:
        """End the connection with a fault; what is queued goes first, then this is cancelled."""
        self.peer.close(fault)
        if isinstance(self._channel, AsgiChannel):
            self._channel.let_go()
        # How slowly it takes that is its own affair, for as long as anybody has.
        await anyio.sleep(self._limits.outbox_patience_s)
        if self.peer.abort is not None:
            self.peer.abort()
        while True:
            await anyio.sleep_forever()

    async def _take(self, frame: bytes) -> float:
        """Handle one frame; returns the seconds to wait before the next. Raises RemoteFault."""
        limits = self._limits
        # Whoever was asked may answer with all that she did offline.
        large = len(frame) > limits.frame_bytes
        if large and not (self.peer.asked and wire.is_step2(frame)):
            raise TooLarge("a frame over the limit")
        if len(frame) > limits.first_batch_bytes:
            raise TooLarge("a batch over the limit")
        # What says nothing new costs us its length all the same, and a frame its turn.
        weight = FRAME_OPERATIONS + len(frame) / OPERATION_BYTES
        match wire.decode(frame):
            case wire.SyncStep1(vector):
                await self._room.answer(self.peer, vector)
                return self._charge(1)
            case wire.SyncStep2(update):
                return await self._judge_step2(update, weight)
            case wire.Update(update):
                return self._charge(max(weight, await self._judge(update, "update")))
            case wire.Awareness(entries):
                await self._hear(entries)
                return self._charge(weight)
            case wire.QueryAwareness():
                self._room.people.send_states(self.peer)
                return self._charge(1)
            case wire.Control(body):
                return self._control(body)
            case wire.Ignored():
                return self._charge(weight)

    async def _judge_step2(self, update: bytes, weight: float) -> float:
        peer, now = self.peer, self._services.clock.monotonic()
        peer.asked = max(0, peer.asked - 1)
        patience = self._limits.gap_patience_s
        waited = 0.0 if peer.gapped_since is None else now - peer.gapped_since
        sync: Sync = "last" if waited >= patience else "step2"
        cost = max(weight, await self._judge(update, sync))
        if peer.gapped:
            peer.gapped_since = now if peer.gapped_since is None else peer.gapped_since
            self._ask_later()
        else:
            peer.gapped_since = None
            # The first step 2, or the first after a rebuild, is an offline batch and not rated.
            cost, peer.batch_expected = 0.0 if peer.batch_expected else cost, False
        return self._charge(cost)

    def _ask_later(self) -> None:
        if not self._asking:
            self._asking = True
            self._start(self._ask_after_a_while)

    async def _ask_after_a_while(self) -> None:
        await anyio.sleep(ASK_AGAIN_S)
        self._asking = False
        self._room.ask(self.peer)

    async def _judge(self, update: bytes, sync: Sync) -> float:
        """Returns how many operations this counts as."""
        verdict = await self._room.receive(self.peer, update, sync)
        if verdict is None:
            return 0.0
        if verdict.kind == "gap" and sync == "update":
            self._room.ask(self.peer)
        return self._cost(verdict)

    def _charge(self, operations: float) -> float:
        """Count these operations. Returns the seconds to wait before the next frame."""
        return self._pace.take(operations, self._services.clock.monotonic())

    def _cost(self, verdict: Verdict) -> float:
        """Operations count one, refusals ten; what was known already counts nothing."""
        if verdict.kind == "gap":
            return 1.0
        return verdict.operations + len(verdict.refusals) * (self._limits.refusal_cost - 1)

    async def _slow_down(self, pause: float) -> None:
        now = self._services.clock.monotonic()
        self._slow_since = now if self._slow_since is None else self._slow_since
        if now - self._slow_since >= self._limits.rate_patience_s:
            await self._refuse(RateLimited("too many operations for too long"))
        await anyio.sleep(pause)

    async def _hear(self, entries: tuple[wire.AwarenessEntry, ...]) -> None:
        if self._awareness is None:
            self._awareness = Awareness(self.peer, self._room, self._services, self._start)
        if not self._awareness.bound:
            # It announces its client id: whose that is may be being judged.
            await self._room.turn.wait()
        self._awareness.hear(entries)

    def _control(self, body: Mapping[str, object]) -> float:
        """Handle a control frame; a signature costs us as much as a refusal. Raises RemoteFault."""
        cost = 1.0
        if body["type"] == "presence":
            self.peer.control(self._room.people.message(everybody=True))
        elif body["type"] == "token" and self._visit.guard is not None:
            self._visit.guard.renew(self.peer, body.get("token"), self.peer.address)
            self.peer.control({"type": "role", "role": self.peer.grant.role.name.lower()})
            self.peer.retell()
            cost = self._limits.refusal_cost
        return self._pace.take(cost, self._services.clock.monotonic())
