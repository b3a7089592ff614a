"""One live page: judges and applies what its peers send, commits it, and only then shows it.

The commit path, the only way anything changes a page:

    receive/write -> Page (decode, shape, rules, apply: synchronous) -> Commits (store, durable)
    -> _settle (fan-out, events, acknowledgements)

Nothing derived from the document leaves before the commit that covers it (design 4, "one watermark
per page"): what is made while updates are uncommitted waits in the batch that covers it. No lock is
held anywhere. Any exception out of `apply` and any failed commit end in _rebuild.
"""

import logging
from collections.abc import Callable, Sequence

import anyio

from crdt_chat.errors import (
    Forbidden,
    LocalFault,
    Malformed,
    PageBroken,
    StoreUnavailable,
    TryLater,
)
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.archive import Archive, without
from crdt_chat.page.merge import merge
from crdt_chat.page.verdict import Json, Sync, Verdict
from crdt_chat.protocol import wire
from crdt_chat.server.batch import Batch, Writer
from crdt_chat.server.channel import binary_frame
from crdt_chat.server.commits import Author, Commits
from crdt_chat.server.loading import LoadedPage, load_page
from crdt_chat.server.peer import Peer
from crdt_chat.server.people import People
from crdt_chat.server.services import Services
from store.records import Appended, CommitResult, EventRow, Failed, PageCommit

log = logging.getLogger(__name__)

RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to rebuild a page or to find space again; the last one repeats."""

CATCH_UP_ROWS = 4_096
"""A lagging reader that lacks more rows than this gets the full state."""

SHARED_ANSWERS = 32
"""Encoded step 2 frames kept until the page changes, for those who ask the same."""

SERVER = 0
"""The connection number of server-made operations."""

EMPTY_VECTOR = b"\x00"

EventListener = Callable[[EventRow], None]


class Room:
    """A page in memory and everybody who is on it."""

    def __init__(self, key: PageKey, loaded: LoadedPage, services: Services) -> None:
        self.key = key
        self.services = services
        self.peers: dict[int, Peer] = {}
        self.people = People(services, self.peers)
        self.listeners: set[EventListener] = set()
        self.suspended = False
        self._deserted = anyio.Event()
        self._failures = 0
        self._commits = Commits(
            key,
            services,
            prepare=self._prepare,
            settle=self._settle,
            fail=lambda result: self._break(_failure(result)),
            audience=lambda: len(self.peers),
        )
        self._adopt(loaded)

    def _adopt(self, loaded: LoadedPage) -> None:
        self.page = loaded.page
        self.epoch = loaded.epoch
        self.held = loaded.held
        self.archive = Archive(loaded.archived, loaded.page.limits.state)
        self.committed = loaded.seq
        self.snapshot_seq = loaded.snapshot_seq
        self._answers: dict[bytes, bytes] = {}
        self._commits.restart(loaded.seq)

    @property
    def dirty(self) -> bool:
        """Whether anything is applied or announced and not yet durable."""
        return self._commits.running or self.suspended or bool(self.page.announced)

    async def finish(self) -> None:
        """Return once everything applied is durable, or the page waits for the store."""
        await self._commits.finish()

    # Peers

    def join(self, peer: Peer) -> None:
        """Let a connection in: tell it where it is, ask what it has, show it who is here."""
        self.peers[peer.id] = peer
        peer.control(
            {
                "type": "hello",
                "epoch": self.epoch,
                "user": peer.grant.user,
                "role": peer.grant.role.name.lower(),
                "limits": {
                    "frame": self.services.limits.frame_bytes,
                    "batch": self.services.limits.first_batch_bytes,
                },
            }
        )
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
            peer.asked = True
            peer.send(wire.step1(self.page.state_vector()))

    def answer(self, peer: Peer, state_vector: bytes) -> None:
        """Answer a step 1 with what the peer lacks, at the commit that covers it.

        Raises Malformed or TooLarge for a state vector beyond reason.
        """
        peer.vector = state_vector
        if self.suspended:
            return
        frame = self._answers.get(state_vector)
        if frame is None:
            try:
                frame = wire.step2(self.page.diff(state_vector))
            except PageBroken as fault:
                self._break(fault)
                return
            if len(self._answers) < SHARED_ANSWERS:
                self._answers[state_vector] = frame
        batch = self._commits.covering
        if batch is None:
            peer.state(frame, self.committed)
        else:
            peer.awaits_state = True
            batch.states.append((peer, frame, self._commits.seq))

    async def catch_up(self, peer: Peer) -> None:
        """Give a drained reader that lagged one merge of what was committed since its last row."""
        if peer.outbox.stale_presence:
            self.people.send_states(peer)
        if not peer.outbox.lagging or self.suspended:
            return
        seq = peer.outbox.seq
        rows = await self.services.store.read(self.key.tenant, self.key.page, seq, CATCH_UP_ROWS)
        complete = bool(rows) and rows[0].seq == seq + 1 and rows[-1].seq >= self.committed
        if complete and sum(len(row.update) for row in rows) <= peer.outbox.limit:
            frame = wire.update(merge([row.update for row in rows]))
            peer.state(frame, rows[-1].seq)
        elif not self.suspended:
            self.answer(peer, EMPTY_VECTOR)

    def drop_stuck(self, now: float) -> None:
        """Cut off readers that have taken nothing for longer than the limit."""
        patience = self.services.limits.outbox_patience_s
        for peer in tuple(self.peers.values()):
            stuck = peer.sending_since is not None and now - peer.sending_since > patience
            if stuck and peer.abort is not None:
                peer.abort()

    def announce(self, peer: Peer, client: int) -> None:
        """A connection announces its Yjs client id; one that belongs to another is not bound."""
        if not self.suspended and self.page.announce(client, peer.grant.user):
            self.people.presence.bind(peer.id, client)

    # The commit path

    def receive(self, peer: Peer, update: bytes, sync: Sync) -> Verdict | None:
        """Judge and apply one sync frame of a peer; queue what it changed for the next commit.

        None: the page is being rebuilt, the peer will be asked again. Raises Malformed.
        """
        peer.frames += 1
        if self.suspended:
            peer.gapped = True
            return None
        clock = self.services.clock
        started = clock.monotonic()
        try:
            verdict = self.page.receive(update, sync, peer.grant, clock.now())
        except Malformed:
            self.services.metrics.judged("malformed", clock.monotonic() - started)
            raise
        except PageBroken as fault:
            self._break(fault)
            raise Malformed("an update that cannot be applied") from fault
        self._count(verdict, clock.monotonic() - started)
        if verdict.kind == "gap":
            peer.gapped = True
        elif sync != "update":
            peer.gapped = False
        self._queue(verdict, Author(peer.grant.user, peer.id))
        if self.suspended:
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
    ) -> Verdict:
        """Make operations for a person who has no document; returns when they are durable.

        broadcast_id is the request's, for events of values that cannot carry it.

        Refused ones are in the verdict. Raises TryLater while the page cannot be saved.
        """
        if self.suspended:
            raise TryLater("the page cannot be written to at the moment")
        clock = self.services.clock
        started = clock.monotonic()
        try:
            verdict = self.page.write(operations, grant, clock.now(), keep_past=keep_past)
        except PageBroken as fault:
            self._break(fault)
            raise TryLater("the page is being rebuilt") from fault
        self._count(verdict, clock.monotonic() - started)
        self._queue(verdict, Author(grant.user, SERVER), broadcast_id)
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

    def _count(self, verdict: Verdict, seconds: float) -> None:
        rules = [refusal.rule for refusal in verdict.refusals]
        accepted = len(verdict.keys) - len(rules)
        self.services.metrics.judged(verdict.kind, seconds, accepted, rules)

    def _queue(self, verdict: Verdict, author: Author, broadcast_id: str | None = None) -> None:
        if not verdict.update:
            return
        self._answers.clear()
        noted = self.archive.note(verdict.changes, self.page.deleted)
        back = self.archive.returned(verdict.changes, self.page.deleted)
        # A restore is one gesture, though two updates: its lifting has no broadcastId of its own.
        restored = (broadcast_id or self.services.ids.text()) if back else None
        self._commits.add(verdict, author, broadcast_id, restored)
        self._commits.archive(noted)
        if back:
            self._write_back(back, author, restored)

    def _write_back(
        self, back: list[tuple[str, str, Json]], author: Author, broadcast_id: str | None
    ) -> None:
        """With the last deletion lifted the server writes back what it removed (design 3).

        What no longer fits on the page, or is hidden, stays in the archive.
        """
        grant = Grant(self.key.tenant, author.user, author.user, Role.ADMIN)
        now = self.services.clock.now()
        while back:
            try:
                verdict = self.page.write(back, grant, now, keep_past=True)
            except PageBroken as fault:
                self._break(fault)
                return
            if verdict.kind != "refused":
                self._queue(verdict, Author(author.user, SERVER), broadcast_id)
                return
            back = without(back, [refusal.key for refusal in verdict.refusals])

    def _tell(self, peer: Peer, verdict: Verdict) -> None:
        """What the sender hears of its frame, once the commit that covers it is durable."""
        covering = self._commits.covering
        batch = Batch(self.committed) if covering is None else covering
        if verdict.refusals:
            batch.controls.append((peer, _refused(verdict)))
        if verdict.repair == "reset" and not peer.speaks_control:
            fault = Forbidden("a change was not allowed here: reload the page to go on")
            batch.closes.append((peer, fault))
        if not peer.gapped:
            batch.saved[peer] = peer.frames
        if covering is None:
            batch.release()

    def _prepare(self, batch: Batch) -> PageCommit:
        batch.rows.owners += self.page.announced
        self.page.announced.clear()
        return batch.commit(self.key, self.committed, self.page.value, self.services.ids.text)

    def _settle(self, batch: Batch, commit: PageCommit, result: Appended) -> None:
        """The commit is durable: now, and only now, the others see it."""
        self._failures = 0
        self.committed = result.seq
        batch.release_states()
        self._fan_out(batch, result.seq)
        batch.release()
        for timestamp, entry in zip(result.timestamps, commit.events, strict=True):
            self.services.metrics.event_written(entry.type)
            row = EventRow(
                timestamp, entry.type, entry.broadcast_id, entry.user, entry.entity, entry.body
            )
            for listener in tuple(self.listeners):
                listener(row)

    def _fan_out(self, batch: Batch, seq: int) -> None:
        """One frame, encoded once, to everybody but the one whose own words it is."""
        frame = batch.frame()
        encoded = binary_frame(frame)
        told = 0
        for peer in self.peers.values():
            if peer.outbox.seq >= seq:
                continue
            if batch.skips(peer):
                peer.outbox.skip(seq)
            else:
                told += peer.increment(frame, encoded, seq)
        self.services.metrics.traffic.sent(len(frame), told)

    # Recovery

    def _break(self, fault: LocalFault) -> None:
        """Forget all that is not durable and rebuild; the peers are asked for it again."""
        if self.suspended:
            return
        log.error("page is rebuilt from the store", extra=self._where(), exc_info=fault)
        self.suspended = True
        self._commits.halt()
        self.services.tasks.start_soon(self._rebuild)

    def _where(self) -> dict[str, str]:
        return {"tenant": self.key.tenant, "page": self.key.page}

    async def _rebuild(self) -> None:
        await self._commits.finish()
        while True:
            await anyio.sleep(RETRY_S[min(self._failures, len(RETRY_S) - 1)])
            self._failures += 1
            try:
                if await self._reload():
                    break
            except Exception:
                # Whatever it is, it is this page's: the others go on, and it is tried again.
                log.exception("page cannot be rebuilt yet", extra=self._where())
        self.services.metrics.page_rebuilt()
        self.suspended = False
        for peer in tuple(self.peers.values()):
            self._resume(peer)

    async def _reload(self) -> bool:
        """Whether the store takes a write again and the page could be loaded from it."""
        key, services = self.key, self.services
        probe = PageCommit(key.tenant, key.page, self.committed, usage=[("pageRebuilds", 1)])
        result = (await services.store.commit([probe]))[0]
        if isinstance(result, Failed):
            # A Conflict is none: a commit that was called failed turned out to be stored.
            return False
        tenant = services.config.tenant(key.tenant)
        limits = services.config.page if tenant is None else tenant.page
        self._adopt(await load_page(services.store, key, limits, services.ids.client()))
        return True

    def _resume(self, peer: Peer) -> None:
        peer.asked = peer.awaits_state = False
        peer.gapped = True
        client = self.people.presence.attendances[peer.id].client
        if client is not None:
            self.page.announce(client, peer.grant.user)
        self.ask(peer)
        if not peer.outbox.ready and peer.vector is not None:
            self.answer(peer, peer.vector)
        elif peer.outbox.seq < self.committed:
            # Durable, but not by us or not shown any more: it is read from the store.
            peer.outbox.lagging = True
            peer.work.set()


def _failure(result: CommitResult) -> StoreUnavailable:
    fault = StoreUnavailable("the commit failed")
    fault.__cause__ = getattr(result, "error", None)
    return fault


def _refused(verdict: Verdict) -> dict[str, object]:
    return {
        "type": "refused",
        "reset": verdict.repair == "reset",
        "operations": [
            {"key": refusal.key, "rule": refusal.rule, "reason": refusal.reason}
            for refusal in verdict.refusals
        ],
    }
