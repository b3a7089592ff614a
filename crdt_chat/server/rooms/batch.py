"""What one page has applied and not yet committed: rows for the store, and what waits for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from crdt_chat.errors import Forbidden, RemoteFault
from crdt_chat.identity import PageKey
from crdt_chat.page.json_text import as_text
from crdt_chat.page.ledger import ENTITY_ROOTS, past_in
from crdt_chat.page.merge import merged
from crdt_chat.page.outgoing import Outgoing
from crdt_chat.page.skipping import skip_any
from crdt_chat.page.update import decode
from crdt_chat.page.verdict import Change, GateRows, Json, Verdict
from crdt_chat.protocol import wire
from crdt_chat.protocol.text_chat import Attributed, TextChatEvent, events
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.turn import Slices
from crdt_chat.server.rooms.words import RELOAD, refused
from store.moderation import ModerationEntry
from store.records import EventEntry, LogEntry, PageCommit, Projected
from store.tenants import AuditEntry


@dataclass(slots=True)
class Writer:
    """Somebody who waits for a batch: `saved` tells how it went once `done` is set."""

    done: anyio.Event = field(default_factory=anyio.Event)
    saved: bool = False

    def finish(self, *, saved: bool) -> None:
        """The batch was committed, or discarded."""
        self.saved = saved
        self.done.set()


class Said(NamedTuple):
    """What one update has changed: by whom, at which seq; broadcast ids as `Batch.add` is given them."""

    changes: Sequence[Change]
    actor: str
    seq: int
    broadcast_id: str | None
    restored: str | None

    def attributed(self) -> Iterator[Attributed]:
        """Each change with whose it is."""
        for change in self.changes:
            lifted = self.restored is not None and _lifts(change)
            said_id = self.restored if lifted else self.broadcast_id
            yield Attributed(change, self.actor, self.seq, said_id)


class Prepared(NamedTuple):
    """A batch ready for the store, and the one frame for everybody once it is durable."""

    commit: PageCommit
    frame: bytes


@dataclass(slots=True)
class Batch:
    """One page's part of the next commit. `seq` is the head it will reach.

    Whatever is derived from the document while it holds uncommitted updates waits here: state
    frames, refusals, acknowledgements and closes are released by the commit that covers them.
    """

    seq: int
    entries: list[LogEntry] = field(default_factory=list)
    applied: list[Outgoing | None] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    rows: GateRows = field(default_factory=GateRows)
    held: dict[str, str | None] = field(default_factory=dict)
    archive: dict[tuple[str, str], str | None] = field(default_factory=dict)
    size: int = 0
    changed: int = 0
    authors: set[int] = field(default_factory=set)
    echo: bool = False
    answers: list[tuple[Peer, bytes, int]] = field(default_factory=list)
    states: list[tuple[Peer, bytes, int]] = field(default_factory=list)
    controls: list[tuple[Peer, dict[str, object]]] = field(default_factory=list)
    saved: dict[Peer, int] = field(default_factory=dict)
    closes: list[tuple[Peer, RemoteFault]] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    moderated: list[ModerationEntry] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)

    def add(
        self,
        entry: LogEntry,
        verdict: Verdict,
        author: int,
        broadcast_id: str | None = None,
        restored: str | None = None,
    ) -> None:
        """Take one applied update: it gets the next seq.

        broadcast_id is of all its changes, restored of the deletions that it lifts.
        """
        self.seq += 1
        self.entries.append(entry)
        self.applied.append(verdict.applied)
        self.size += len(entry.update)
        self.authors.add(author)
        self.echo = self.echo or verdict.echo
        self.said.append(Said(verdict.changes, entry.actor, self.seq, broadcast_id, restored))
        self.changed += len(verdict.changes)
        self.rows.owners += verdict.rows.owners
        self.rows.entities += verdict.rows.entities
        self.rows.refused += verdict.rows.refused
        self.held |= dict.fromkeys(verdict.rows.released)

    def is_big(self, slices: Slices) -> bool:
        """Whether to prepare it is much work."""
        return self.size > slices.judged or self.changed > slices.units

    def tell(self, peer: Peer, verdict: Verdict) -> None:
        """Have the sender of a frame hear of it once this is durable."""
        if verdict.refusals:
            self.controls.append((peer, refused(verdict)))
        if verdict.repair == "reset" and not peer.speaks_control:
            self.closes.append((peer, Forbidden(RELOAD)))
        if not peer.gapped:
            self.saved[peer] = peer.frames

    def release_states(self) -> None:
        """Durable: the state frames that waited for this may go."""
        for peer, frame, seq in self.answers:
            peer.answer(frame, seq)
        for peer, frame, seq in self.states:
            peer.state(frame, seq)

    def release(self) -> None:
        """Durable: tell those who waited for it."""
        for peer, body in self.controls:
            peer.control(body)
        for peer, frames in self.saved.items():
            peer.acknowledge(frames)
        for peer, fault in self.closes:
            peer.close(fault)
        self.stand()

    def stand(self) -> None:
        """Durable, whatever goes wrong with telling of it: nobody waits for it any more."""
        for writer in self.writers:
            writer.finish(saved=True)

    def fail(self) -> None:
        """Not durable and never shown: only the writers hear of it, peers will be asked again."""
        for writer in self.writers:
            writer.finish(saved=False)

    def frame(self) -> bytes:
        """The one frame of this batch for everybody, encoded once."""
        updates = [entry.update for entry in self.entries]
        if len(updates) == 1:
            return wire.update(updates[0])
        pairs = zip(self.applied, updates, strict=True)
        return wire.update(merged([part or decode(update, skip_any) for part, update in pairs]))

    @property
    def author(self) -> int | None:
        """The connection whose own words, unchanged, are all that the frame contains; or None."""
        return None if self.echo or len(self.authors) != 1 else next(iter(self.authors))

    def prepare(
        self,
        key: PageKey,
        expected_seq: int,
        look: Callable[[str, str], Json],
        new_id: Callable[[], str],
    ) -> Prepared:
        """All that its commit and its showing need; arguments as `commit`."""
        return Prepared(self.commit(key, expected_seq, look, new_id), self.frame())

    def commit(
        self,
        key: PageKey,
        expected_seq: int,
        look: Callable[[str, str], Json],
        new_id: Callable[[], str],
    ) -> PageCommit:
        """The rows of this batch for the store, with the events that its changes mean."""
        changes = [each for said in self.said for each in said.attributed()]
        found = events(key.page, changes, look, new_id)
        return PageCommit(
            key.tenant,
            key.page,
            expected_seq,
            entries=self.entries,
            events=[event_entry(event) for event in found],
            projected=_projected([attributed.change for attributed in changes]),
            owners=self.rows.owners,
            entities=self._gone(),
            refused=self.rows.refused,
            held=[(name, content) for name, content in self.held.items() if content is not None],
            released=[name for name, content in self.held.items() if content is None],
            archived=[
                (*key, content) for key, content in self.archive.items() if content is not None
            ],
            unarchived=[key for key, content in self.archive.items() if content is None],
            moderated=self.moderated,
            audit=self.audit,
        )

    def _gone(self) -> list[tuple[str, str, int]]:
        """Who made, and when, what this batch took away, or brought together with its deletion.

        Of what is there the page itself says so: a row of its own would be for nothing.
        """
        found = {name: (creator, created) for name, creator, created in self.rows.entities}
        for said in self.said:
            for root, name, before, after in said.changes:
                if root in ENTITY_ROOTS:
                    found.pop(name, None)
                    if after is None:
                        found[name] = past_in(before)
        return [(name, *past) for name, past in found.items()]


def _lifts(change: Change) -> bool:
    return change.root == "deleted" and change.after is None


def event_entry(event: TextChatEvent) -> EventEntry:
    """The event as the store keeps it."""
    return EventEntry(*event)


def _projected(changes: Sequence[Change]) -> list[Projected]:
    last = {(change.root, change.name): change.after for change in changes}
    return [
        Projected(root, name, None if value is None else as_text(value))
        for (root, name), value in last.items()
    ]
