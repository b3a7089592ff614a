"""One live page: judges and applies what its peers send, commits it, and only then shows it.

The commit path, the only way anything changes a page:

    receive/write -> Admission, Page (decode, rules, apply: synchronous) -> Commits (store, durable)
    -> _settle (fan-out, events, acknowledgements)

Nothing derived from the document leaves before the commit that covers it (design 4, "one watermark
per page"): what is made while updates are uncommitted waits in the batch that covers it. No lock is
held anywhere. Any exception out of `apply` and any failed commit end in recovery.py.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import anyio
import anyio.lowlevel

from crdt_chat.errors import EpochChanged, Forbidden, LocalFault, Malformed, RemoteFault, TryLater
from crdt_chat.identity import Grant, PageKey
from crdt_chat.page.archive import Archive
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import Json, Sync, Verdict
from crdt_chat.protocol import wire
from crdt_chat.server.rooms.admission import Admission, Admitted
from crdt_chat.server.rooms.batch import Batch, Prepared, Writer
from crdt_chat.server.rooms.commits import Author, Commits
from crdt_chat.server.rooms.epochs import clients_of_vector, require_epoch
from crdt_chat.server.rooms.fanout import fan_out
from crdt_chat.server.rooms.loading import LoadedPage
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.people import People
from crdt_chat.server.rooms.recovery import Make, Recovery
from crdt_chat.server.rooms.rest import Rest
from crdt_chat.server.rooms.rulings import Noted, note_changes
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.rooms.states import States
from crdt_chat.server.rooms.turn import Turn
from crdt_chat.server.rooms.words import RELOAD, accuse, broken, hello
from store.records import Appended, EventRow, Rewritten

log = logging.getLogger(__name__)

SERVER = 0
"""The connection number of server-made operations."""

EventListener = Callable[[EventRow], None]


class Room:
    """A page in memory and everybody who is on it."""

    def __init__(self, key: PageKey, loaded: LoadedPage, services: Services) -> None:
        self.key = key
        self.services = services
        self.peers: dict[int, Peer] = {}
        self.people = People(services, self.peers)
        self.turn = Turn(services.aside, services.slices, key.tenant)
        self.listeners: set[EventListener] = set()
        self._deserted: anyio.Event | None = None
        self._rest = Rest(self)
        self._commits = Commits(
            key,
            services,
            prepare=self._prepare,
            settle=self._settle,
            fail=lambda result, authors: self._recovery.failed(result, authors),
            audience=lambda: len(self.peers),
        )
        self.states = States(self, self._commits)
        self._recovery = Recovery(self, self._commits)
        self.adopt(loaded)

    def adopt(self, loaded: LoadedPage) -> None:
        """Take the page as the store has it; whatever was in memory is forgotten."""
        self.page = loaded.page
        self.epoch = loaded.epoch
        self.held = loaded.held
        self.archive = Archive(loaded.archived, loaded.page.limits.state)
        self.committed = loaded.seq
        self.snapshot_seq = loaded.snapshot_seq
        self.snapshot_not_before = 0.0
        self.last_event = loaded.last_event
        self.retired = loaded.retired
        self._admission = Admission(self.key, loaded, self.archive, self.turn, self.services)
        self.states.clear()
        self._commits.restart(loaded.seq)
        # A commit that was said to have failed may stand, with what was noted in it.
        self.services.moderators.noted(self.key)

    @property
    def dirty(self) -> bool:
        """Whether anything is applied and not yet durable."""
        return self._commits.running or self.suspended

    async def finish(self) -> None:
        """Return once everything applied is durable, or the page waits for the store."""
        await self._commits.finish()

    # Peers

    def join(self, peer: Peer) -> None:
        """Let a connection in: tell it where it is, ask what it has, show it who is here."""
        self.peers[peer.id] = peer
        if peer.speaks_control:
            peer.control(hello(self.epoch, peer.grant, self.services.limits, self.page.limits))
        self.ask(peer)
        self.people.join(peer)

    def leave(self, peer: Peer, *, lost: bool) -> None:
        """A connection is gone; a lost one stays present for the grace."""
        del self.peers[peer.id]
        self.people.leave(peer, lost=lost)
        if not self.peers and self._deserted is not None:
            self._deserted.set()

    async def deserted(self) -> None:
        """Return once no connection is left."""
        while self.peers:
            self._deserted = anyio.Event()
            await self._deserted.wait()

    def ask(self, peer: Peer) -> None:
        """Send step 1, unless one is under way: its step 2 brings whatever we lack."""
        if self.turn.busy:
            self.services.start(self._ask_in_turn, peer, fail=self.break_down)
        elif not peer.asked and not self.suspended:
            peer.asked += 1
            peer.send(wire.step1(self.page.state_vector()))

    async def _ask_in_turn(self, peer: Peer) -> None:
        await self.turn.wait()
        if peer.id in self.peers:
            self.ask(peer)

    async def answer(self, peer: Peer, state_vector: bytes) -> None:
        """Answer a step 1 at the commit that covers it. Raises Malformed, EpochChanged."""
        if self.retired:
            require_epoch(clients_of_vector(state_vector), self.retired)
        await self.states.answer(peer, state_vector)

    async def catch_up(self, peer: Peer) -> None:
        """Tell a drained reader that was too slow what it missed."""
        if peer.outbox.stale_presence:
            self.people.refresh(peer)
        if peer.outbox.lagging and not self.suspended:
            await self.states.catch_up(peer)

    def drop_stuck(self, now: float) -> None:
        """Cut off readers that have taken nothing for longer than the limit."""
        patience = self.services.limits.outbox_patience_s
        for peer in tuple(self.peers.values()):
            if peer.stuck(now, patience) and peer.abort is not None:
                peer.abort()

    def rest(self, now: float) -> None:
        """Put a page that has been quiet for long enough to rest; what needs it whole wakes it."""
        if not (self.dirty or self.turn.busy):
            self._rest.look(now, self._commits.last)

    async def awake(self) -> None:
        """Return once nobody works on the page and it is not at rest, if waking it is much work.

        Until the next await it is the caller's.
        """
        await self.turn.wait()
        if self.page.rests and self.page.size > self.services.slices.judged:
            try:
                await self.turn.run(self.page.wake, big=True, reads=self.page.size)
            except LocalFault as fault:
                self.break_down(fault)

    def announce(self, peer: Peer, client: int) -> None:
        """A connection announces its Yjs client id; one that belongs to another is not bound.

        A replica that missed its reset would differ for ever without anybody noticing: told again.
        """
        if self.suspended:
            peer.announcing = client
            return
        if not self.page.announce(client, peer.grant.user):
            return
        self.people.presence.bind(peer.id, client)
        if self.page.was_reset(client):
            self._reset(peer)

    # The commit path

    async def receive(self, peer: Peer, update: bytes, sync: Sync) -> Verdict | None:
        """Judge and apply one sync frame of a peer; queue what it changed for the next commit.

        None: the page is being rebuilt, the peer will be asked again. Raises Malformed, and
        EpochChanged for an update of a document from before the page was rewritten.
        """
        await self.awake()
        if peer.closing is not None:
            raise peer.closing
        clock, page = self.services.clock, self.page
        started = clock.monotonic()
        peer.frames += 1
        if self.suspended:
            peer.gapped = True
            return None
        try:
            admitted = await self._admission.receive(update, sync, peer.grant, clock.now())
        except EpochChanged:
            raise
        except RemoteFault:
            self.services.metrics.judged("malformed", clock.monotonic() - started)
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, the page is rebuilt
            # A fault of the gate may have left half an update in memory, like one of the document.
            self.break_down(broken(fault))
            accuse(fault)
            peer.gapped = True
            return None
        if not self.lives(page):
            peer.gapped = True
            return None
        verdict = admitted.verdict
        self._count(verdict, clock.monotonic() - started, peer.grant.user, peer.address)
        if verdict.kind == "gap":
            peer.gapped = True
        elif sync != "update":
            # One that answers an older step 1 may lack what a failed commit took away since.
            peer.gapped = peer.asked > 0
        if not self._queue(admitted, Author(peer.grant.user, peer.id)):
            peer.gapped = True
            return None
        self._tell(peer, verdict)
        return verdict

    async def write(
        self,
        operations: Sequence[tuple[str, str, Json]],
        grant: Grant,
        *,
        broadcast_id: str | None = None,
        hides: Mapping[str, str] = MappingProxyType({}),
        shows: Sequence[str] = (),
        address: str = "",
        ruling: Noted | None = None,
    ) -> Verdict:
        """Make operations for a person who has no document; returns when they are durable.

        broadcast_id is the request's, for events of values that cannot carry it. hides: content to
        be held by the name of the annotation or comment that the operations remove; shows: names
        whose held content they write back. address: where she asks from, for the audit log. ruling:
        what moderation this is, durable with it where all was admitted and something changed.
        Refused ones are in the verdict. Raises TryLater while the page cannot be saved.
        """
        await self.awake()
        if self.suspended:
            raise TryLater("the page cannot be written to at the moment")
        clock, page = self.services.clock, self.page
        started = clock.monotonic()
        try:
            admitted = await self._admission.write(
                operations,
                grant,
                clock.now(),
                broadcast_id=broadcast_id,
                keep_past=ruling is not None and ruling.keeps_past,
                hides=hides,
                shows=shows,
            )
        except RemoteFault:
            raise
        except UnicodeEncodeError as error:
            raise Malformed("half of a surrogate pair is no text") from error
        except Exception as fault:
            self.break_down(broken(fault))
            raise TryLater("the page is being rebuilt") from fault
        verdict = admitted.verdict
        self._count(verdict, clock.monotonic() - started, grant.user, address)
        if not self.lives(page):
            raise TryLater("the page is being rebuilt")
        queued = self._queue(admitted, Author(grant.user, SERVER))
        if ruling is not None and queued and verdict.changes and not verdict.refusals:
            self._commits.note(ruling.entry, ruling.audit)
        await self.settled()
        return verdict

    async def settled(self) -> None:
        """Return once all that is applied now is durable: what was read may then be shown.

        Raises TryLater if it could not be saved: then it never happened.
        """
        if self.suspended:
            raise TryLater("the page is being rebuilt")
        batch = self._commits.covering
        if batch is not None:
            writer = Writer()
            batch.writers.append(writer)
            await writer.done.wait()
            if not writer.saved:
                raise TryLater("the page could not be saved")

    def _count(self, verdict: Verdict, seconds: float, user: str, address: str) -> None:
        rules = [refusal.rule for refusal in verdict.refusals]
        self.services.metrics.judged(verdict.kind, seconds, len(verdict.keys) - len(rules), rules)
        if rules:
            self.services.refusals.note(self.key, user, address, rules)

    def _queue(self, admitted: Admitted, author: Author) -> bool:
        """Queue what was applied for the next commit. False: the page is being rebuilt."""
        if admitted.fault is not None:
            self.break_down(broken(admitted.fault))
            return False
        for step in admitted.steps:
            by = Author(author.user, SERVER) if step.by_server else author
            self._commits.add(step.verdict, by, step.broadcast_id, step.restored)
            self._commits.keep(step.noted, step.hides)
            for name in step.verdict.rows.released:
                self.held.pop(name, None)
            self.held.update(step.hides)
        if admitted.steps:
            self.states.clear()
        return True

    def _tell(self, peer: Peer, verdict: Verdict) -> None:
        """What the sender hears of its frame, once the commit that covers it is durable."""
        covering = self._commits.covering
        batch = Batch(self.committed) if covering is None else covering
        batch.tell(peer, verdict)
        if covering is None:
            batch.release()

    def _reset(self, peer: Peer) -> None:
        if peer.speaks_control:
            peer.control({"type": "refused", "reset": True, "operations": []})
        else:
            peer.close(Forbidden(RELOAD))

    async def _prepare(self, batch: Batch) -> Prepared:
        await self.turn.wait()
        batch.rows.owners += self.page.announced
        self.page.announced.clear()
        look, new_id = self.page.recall, self.services.ids.text

        def job() -> Prepared:
            note_changes(self.key, batch, self.peers)
            return batch.prepare(self.key, self.committed, look, new_id)

        return await self.turn.run(job, big=batch.is_big(self.turn.slices), reads=batch.size)

    async def _settle(self, batch: Batch, prepared: Prepared, result: Appended) -> None:
        """The commit is durable: now, and only now, the others see it."""
        self._recovery.succeeded(batch.authors)
        self.committed = result.seq
        batch.release_states()
        told = fan_out(self.peers.values(), prepared.frame, batch.author, result.seq)
        self.services.metrics.traffic.sent(len(prepared.frame), told)
        batch.release()
        self.services.moderators.settled(self, batch)
        events = zip(result.timestamps, prepared.commit.events, strict=True)
        for number, (timestamp, entry) in enumerate(events, 1):
            if number % self.services.slices.events == 0:
                await anyio.lowlevel.checkpoint()
            self.services.metrics.event_written(entry.type)
            self.tell_event(
                EventRow(
                    timestamp, entry.type, entry.broadcast_id, entry.user, entry.entity, entry.body
                )
            )

    def tell_event(self, row: EventRow) -> None:
        """Tell the listeners of a durable event."""
        self.last_event = row.timestamp
        for listener in tuple(self.listeners):
            listener(row)

    async def rewrite(self, make: Make) -> Rewritten:
        """Replace the page under a new epoch and close everybody with EpochChanged.

        make is given what the store has, and may be called again. Raises TryLater, StoreError.
        """
        return await self._recovery.rewrite(make)

    def break_down(self, fault: LocalFault) -> None:
        """Forget all that is not durable and rebuild; the peers are asked for it again."""
        self._recovery.begin(fault)

    def lives(self, page: Page) -> bool:
        """Whether this is still the page, and may be used."""
        return page is self.page and not self.suspended

    @property
    def suspended(self) -> bool:
        """Whether the page is being rebuilt: nothing can be read or written."""
        return self._recovery.under_way
