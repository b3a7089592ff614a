"""One live page: judges and applies what its peers send, commits it, and only then shows it.

The commit path, the only way anything changes a page:

    receive/write -> Page (decode, shape, rules, apply: synchronous) -> Commits (store, durable)
    -> _settle (fan-out, events, acknowledgements)

Nothing derived from the document leaves before the commit that covers it (design 4, "one watermark
per page"): what is made while updates are uncommitted waits in the batch that covers it. No lock is
held anywhere. Any exception out of `apply` and any failed commit end in recovery.py.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import anyio

from crdt_chat.errors import (
    Forbidden,
    LocalFault,
    Malformed,
    PageBroken,
    RemoteFault,
    TryLater,
)
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.archive import Archive, Writes, written_back
from crdt_chat.page.verdict import Json, Sync, Verdict
from crdt_chat.protocol import wire
from crdt_chat.server.batch import Batch, Writer
from crdt_chat.server.channel import binary_frame
from crdt_chat.server.commits import Author, Commits
from crdt_chat.server.epochs import clients_of_update, clients_of_vector, require_epoch
from crdt_chat.server.loading import LoadedPage
from crdt_chat.server.peer import Peer
from crdt_chat.server.people import People
from crdt_chat.server.recovery import Make, Recovery
from crdt_chat.server.services import Services
from crdt_chat.server.states import States
from crdt_chat.server.words import RELOAD, broken, failure, hello, refused
from store.records import Appended, EventRow, PageCommit, Rewritten

log = logging.getLogger(__name__)

RESTING_ENTRIES = 2_000
"""Pages of more annotations and comments stay awake: to pack and unpack them would hold the loop."""

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
        self.listeners: set[EventListener] = set()
        self._deserted = anyio.Event()
        self._awake_since: float | None = None
        self._commits = Commits(
            key,
            services,
            prepare=self._prepare,
            settle=self._settle,
            fail=lambda result: self.break_down(failure(result)),
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
        self.last_event = loaded.last_event
        self.retired = loaded.retired
        self.states.clear()
        self._commits.restart(loaded.seq)

    @property
    def dirty(self) -> bool:
        """Whether anything is applied and not yet durable."""
        return self._commits.running or self.suspended

    async def keep_owners(self) -> bool:
        """Make durable whose the announced Yjs client ids are. Returns whether none is left.

        They wait for a commit otherwise, which on a page that is only read never comes. Of a page
        that nobody ever wrote to nothing is kept.
        """
        owners = tuple(self.page.announced)
        if not owners or not self.committed:
            return True
        part = PageCommit(self.key.tenant, self.key.page, self.committed, owners=owners)
        page, result = self.page, (await self.services.store.commit([part]))[0]
        if page is self.page and isinstance(result, Appended):
            page.announced[:] = [owner for owner in page.announced if owner not in owners]
        return isinstance(result, Appended) and not self.page.announced

    async def finish(self) -> None:
        """Return once everything applied is durable, or the page waits for the store."""
        await self._commits.finish()

    # Peers

    def join(self, peer: Peer) -> None:
        """Let a connection in: tell it where it is, ask what it has, show it who is here."""
        self.peers[peer.id] = peer
        peer.control(hello(self.epoch, peer.grant, self.services.limits, self.page.limits))
        self.ask(peer)
        self.people.join(peer)

    def leave(self, peer: Peer, *, lost: bool) -> None:
        """A connection is gone; a lost one stays present for the grace."""
        del self.peers[peer.id]
        self.people.leave(peer, lost=lost)
        if not self.peers:
            self._deserted.set()

    async def deserted(self) -> None:
        """Return once no connection is left."""
        while self.peers:
            self._deserted = anyio.Event()
            await self._deserted.wait()

    def ask(self, peer: Peer) -> None:
        """Send step 1, unless one is under way: its step 2 brings whatever we lack."""
        if not peer.asked and not self.suspended:
            peer.asked += 1
            peer.send(wire.step1(self.page.state_vector()))

    def answer(self, peer: Peer, state_vector: bytes) -> None:
        """Answer a step 1 at the commit that covers it. Raises Malformed, EpochChanged."""
        if self.retired:
            require_epoch(clients_of_vector(state_vector), self.retired)
        self.states.answer(peer, state_vector)

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
        if self.page.rests:
            self._awake_since = None
            return
        if self._awake_since is None:
            self._awake_since = now
        counts = self.page.counts()
        small = counts.annotations + counts.comments <= RESTING_ENTRIES
        since = max(self._awake_since, self._commits.last)
        if small and not self.dirty and now - since >= self.services.limits.page_rest_s:
            try:
                self.page.rest()
            except PageBroken as fault:
                self.break_down(fault)
            self.states.clear()

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

    def receive(self, peer: Peer, update: bytes, sync: Sync) -> Verdict | None:
        """Judge and apply one sync frame of a peer; queue what it changed for the next commit.

        None: the page is being rebuilt, the peer will be asked again. Raises Malformed, and
        EpochChanged for an update of a document from before the page was rewritten.
        """
        if self.retired:
            require_epoch(clients_of_update(update), self.retired)
        peer.frames += 1
        if self.suspended:
            peer.gapped = True
            return None
        clock = self.services.clock
        started = clock.monotonic()
        try:
            verdict = self.page.receive(update, sync, peer.grant, clock.now())
        except RemoteFault:
            self.services.metrics.judged("malformed", clock.monotonic() - started)
            raise
        except Exception as fault:
            # A fault of the gate may have left half an update in memory, like one of the document.
            self.break_down(broken(fault))
            raise Malformed("an update that cannot be applied") from fault
        self._count(verdict, clock.monotonic() - started, peer.grant.user, peer.address)
        if verdict.kind == "gap":
            peer.gapped = True
        elif sync != "update":
            # One that answers an older step 1 may lack what a failed commit took away since.
            peer.gapped = peer.asked > 0
        if not self._queue(verdict, Author(peer.grant.user, peer.id)):
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
        keep_past: bool = False,
        hides: Mapping[str, str] = MappingProxyType({}),
        shows: Sequence[str] = (),
        address: str = "",
    ) -> Verdict:
        """Make operations for a person who has no document; returns when they are durable.

        broadcast_id is the request's, for events of values that cannot carry it. hides: content to
        be held by the name of the annotation or comment that the operations remove; shows: names
        whose held content they write back. address: where she asks from, for the audit log.
        Refused ones are in the verdict. Raises TryLater while the page cannot be saved.
        """
        if self.suspended:
            raise TryLater("the page cannot be written to at the moment")
        clock = self.services.clock
        started = clock.monotonic()
        try:
            verdict = self.page.write(
                operations, grant, clock.now(), keep_past=keep_past, hides=hides, shows=shows
            )
        except RemoteFault:
            raise
        except UnicodeEncodeError as error:
            raise Malformed("half of a surrogate pair is no text") from error
        except Exception as fault:
            self.break_down(broken(fault))
            raise TryLater("the page is being rebuilt") from fault
        self._count(verdict, clock.monotonic() - started, grant.user, address)
        self._queue(verdict, Author(grant.user, SERVER), broadcast_id, hides)
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

    def _queue(
        self,
        verdict: Verdict,
        author: Author,
        broadcast_id: str | None = None,
        hides: Mapping[str, str] = MappingProxyType({}),
    ) -> bool:
        """Queue what was applied for the next commit. False: the page is being rebuilt."""
        if not verdict.update:
            return True
        self.states.clear()
        # What is hidden is held apart: lifting a deletion must not show it.
        noted = {} if hides else self.archive.note(verdict.changes, self.page.deleted)
        back = self.archive.returned(verdict.changes, self.page.deleted)
        # A restore is one gesture, though two updates: its lifting has no broadcastId of its own.
        restored = (broadcast_id or self.services.ids.text()) if back else None
        self._commits.add(verdict, author, broadcast_id, restored)
        self._commits.keep(noted, hides)
        for name in verdict.rows.released:
            self.held.pop(name, None)
        self.held.update(hides)
        return not back or self._write_back(back, author, restored)

    def _write_back(self, back: Writes, author: Author, broadcast_id: str | None) -> bool:
        """With the last deletion lifted the server writes back what it removed (design 3).

        What no longer fits on the page, or is hidden, stays in the archive.
        """
        try:
            grant = Grant(self.key.tenant, author.user, author.user, Role.ADMIN)
            verdict = written_back(self.page, back, grant, self.services.clock.now())
        except Exception as fault:  # noqa: BLE001 - whatever it is, the page can't be trusted
            self.break_down(broken(fault))
            return False
        return self._queue(verdict, Author(author.user, SERVER), broadcast_id)

    def _tell(self, peer: Peer, verdict: Verdict) -> None:
        """What the sender hears of its frame, once the commit that covers it is durable."""
        covering = self._commits.covering
        batch = Batch(self.committed) if covering is None else covering
        if verdict.refusals:
            batch.controls.append((peer, refused(verdict)))
        if verdict.repair == "reset" and not peer.speaks_control:
            batch.closes.append((peer, Forbidden(RELOAD)))
        if not peer.gapped:
            batch.saved[peer] = peer.frames
        if covering is None:
            batch.release()

    def _reset(self, peer: Peer) -> None:
        if peer.speaks_control:
            peer.control({"type": "refused", "reset": True, "operations": []})
        else:
            peer.close(Forbidden(RELOAD))

    def _prepare(self, batch: Batch) -> PageCommit:
        batch.rows.owners += self.page.announced
        self.page.announced.clear()
        return batch.commit(self.key, self.committed, self.page.value, self.services.ids.text)

    def _settle(self, batch: Batch, commit: PageCommit, result: Appended) -> None:
        """The commit is durable: now, and only now, the others see it."""
        self._recovery.succeeded()
        self.committed = result.seq
        batch.release_states()
        self._fan_out(batch, result.seq)
        batch.release()
        for timestamp, entry in zip(result.timestamps, commit.events, strict=True):
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

    def _fan_out(self, batch: Batch, seq: int) -> None:
        """One frame, encoded once, to everybody but the one whose own words it is."""
        frame = batch.frame()
        encoded = binary_frame(frame)
        told = 0
        author = batch.author
        for peer in self.peers.values():
            if peer.outbox.seq >= seq:
                continue
            if peer.id == author:
                peer.outbox.skip(seq)
            else:
                told += peer.increment(frame, encoded, seq)
        self.services.metrics.traffic.sent(len(frame), told)

    async def rewrite(self, make: Make) -> Rewritten:
        """Replace the page under a new epoch and close everybody with EpochChanged.

        make is given what the store has, and may be called again. Raises TryLater, StoreError.
        """
        return await self._recovery.rewrite(make)

    def break_down(self, fault: LocalFault) -> None:
        """Forget all that is not durable and rebuild; the peers are asked for it again."""
        self._recovery.begin(fault)

    @property
    def suspended(self) -> bool:
        """Whether the page is being rebuilt: nothing can be read or written."""
        return self._recovery.under_way
