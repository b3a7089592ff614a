"""One page: bytes of peers in, verdicts out, all synchronous and without I/O. The commit path begins here.

`size -> strict decode -> trim -> ownership -> gaps -> shape -> rules, key by key -> apply` (design 4).
docs/page.md explains the words, with pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Final

from crdt_chat.errors import PageBroken
from crdt_chat.identity import Grant
from crdt_chat.page.arrival import Arrival, survey
from crdt_chat.page.content import BROKEN, Content
from crdt_chat.page.draft import Draft
from crdt_chat.page.hearing import Gap, Hearing
from crdt_chat.page.index import OFF
from crdt_chat.page.judging import judge_all
from crdt_chat.page.ledger import SERVER
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.outgoing import assemble
from crdt_chat.page.resting import Resting
from crdt_chat.page.update import Item, Update, decode
from crdt_chat.page.vector import UNKNOWN_IDS, known_part
from crdt_chat.page.verdict import (
    Counts,
    GateRows,
    Json,
    Refusal,
    Repair,
    Sync,
    Verdict,
)

EMPTY_VECTOR: Final = b"\x00"
RESERVED: Final = 2**16
"""Client ids below this may be the server's: small, so that people's concurrent edits win (design 4)."""

SHORT: Final = 2 * 1024
"""Bytes of an update that is kept decoded until its commit."""


def free_client(first: int, taken: Callable[[int], bool]) -> int:
    """The first client id from `first` on that is not taken, above RESERVED only if all below are.

    Few updates are enough for a person to claim every reserved id of a page.
    """
    order = chain(range(first, RESERVED), range(first), count(RESERVED))
    return next(client for client in order if not taken(client))


class Page:
    """The live state of one page. After PageBroken it must not be used any more: load it anew.

    announced: (Yjs client id, user) of owners that `announce` added since somebody last took and
    cleared them, to be persisted like the owners in a verdict's rows.
    """

    def __init__(self, limits: PageLimits, server_client: int) -> None:
        """An empty page. `server_client`: the Yjs client id, below 2^16, of the server's own writing."""
        self.limits = limits
        self.announced: list[tuple[int, str]] = []
        self._being: Content | Resting = Content()
        self._claim_server(server_client)

    @classmethod
    def load(
        cls,
        snapshot: bytes | None,
        updates: Iterable[bytes],
        rows: GateRows,
        limits: PageLimits,
        server_client: int,
    ) -> "Page":
        """The page of a snapshot, the updates after it and the gate's rows, all of which are trusted.

        If `server_client` belongs to a person the next free one is taken. Raises PageBroken.
        """
        page = cls.__new__(cls)
        page.limits = limits
        page.announced = []
        page._being = Content.load([*([] if snapshot is None else [snapshot]), *updates], rows)
        page._claim_server(server_client)
        return page

    @property
    def _content(self) -> Content:
        being = self._being
        if isinstance(being, Resting):
            being = self._being = being.wake()
        if being.broken:
            raise PageBroken(BROKEN)
        return being

    def wake(self) -> None:
        """Have all of the page in memory again. Raises PageBroken."""
        self._being = self._content

    def rest(self) -> None:
        """Keep only the packed state until the next update: what few people write to costs less.

        Raises PageBroken.
        """
        if isinstance(self._being, Content):
            self._being = Resting.of(self._being)

    @property
    def rests(self) -> bool:
        """Whether only the packed state is in memory."""
        return isinstance(self._being, Resting)

    def _claim_server(self, client: int) -> None:
        owners = self._being.ledger.owners
        client = free_client(client, lambda each: owners.get(each, SERVER) != SERVER)
        self._server = client
        self._server_kept = client in owners
        owners[client] = SERVER

    def announce(self, client: int, user: str) -> bool:
        """Let `user` own a Yjs client id, if nobody does yet. False: it belongs to somebody else."""
        owner = self._being.ledger.owners.get(client)
        if owner is None:
            self._being.ledger.owners[client] = user
            self.announced.append((client, user))
            return True
        return owner == user

    def was_reset(self, client: int) -> bool:
        """Whether the replica with this client id was told to start anew, and comes back as it was."""
        return client in self._being.ledger.reset

    def receive(self, update: bytes, sync: Sync, grant: Grant, now: int) -> Verdict:
        """Judge a peer's update and apply what of it is good.

        `sync` says how it came, `grant` who sent it, `now` (ms since the epoch) when. Returns the
        verdict; a gap leaves the page as it was. Raises Malformed for what no honest
        client sends, PageBroken if the document failed.
        """
        return self.admit(decode(update), len(update), sync, grant, now)

    def admit(
        self,
        update: Update,
        size: int,
        sync: Sync,
        grant: Grant,
        now: int,
        unknown: int = UNKNOWN_IDS,
    ) -> Verdict:
        """`receive`, of an update that is decoded already; `size` is how many bytes it had.

        unknown: how many client ids that the page does not have it may bring.
        """
        if not update.structs and not update.deleted:
            return Verdict("trimmed")
        content = self._content
        arrival = survey(update, content.index, content.ledger, grant, sync, unknown)
        if arrival is None or (arrival.lacks and sync != "last"):
            return Verdict("gap")
        hearing = Hearing(arrival, content, grant, self.limits)
        hearing.latest = now + self.limits.clock_ahead_ms
        # "An unknown annotation or comment until a step 2 has come"; and "if structs of others were
        # dropped, what it lacks is a gap until 60 s have passed".
        hearing.patient = sync == "update" or (sync == "step2" and arrival.dropped)
        most = self.limits.state
        hearing.full = content.exceeds(size, most) and content.exceeds(arrival.size(), most)
        try:
            judge_all(hearing)
        except Gap:
            return Verdict("gap")
        if arrival.dropped:
            _ignore_refused_deletions(arrival)
        verdict = self._carry_out(hearing)
        arrival.drop()
        return verdict

    def write(
        self,
        operations: Sequence[tuple[str, str, Json]],
        grant: Grant,
        now: int,
        *,
        keep_past: bool = False,
        hides: Iterable[str] = (),
        shows: Iterable[str] = (),
    ) -> Verdict:
        """Make the server's own operations, judged by the grant of the person they are made for.

        `operations`: root, name, value (None removes). keep_past: a restore or an admin's import may
        keep a foreign `creator` and `created`. hides, shows: annotations or comments that become hidden
        with this, or shown again. All or nothing: if anything is refused, nothing is applied. Raises
        PageBroken.
        """
        arrival = self._draft_operations(operations)
        hearing = Hearing(arrival, self._content, grant, self.limits)
        hearing.past = keep_past
        if not keep_past:
            hearing.latest = now + self.limits.clock_ahead_ms
        hearing.hides, hearing.shows = frozenset(hides), frozenset(shows)
        hearing.full = self._content.exceeds(0, self.limits.state)
        judge_all(hearing)
        refused = arrival.refused
        if refused:
            return Verdict("refused", _keys(arrival), "none", _refusals(refused), operations=1)
        verdict = self._carry_out(hearing)
        verdict.rows.held, verdict.rows.released = sorted(hearing.hides), sorted(hearing.shows)
        self._content.ledger.held.update(hearing.hides)
        self._content.ledger.held.difference_update(hearing.shows)
        return verdict

    def _draft_operations(self, operations: Sequence[tuple[str, str, Json]]) -> Arrival:
        """The server's operations as if a client of its own had sent them; the last on a key counts."""
        index = self._content.index
        arrival = Arrival(Update({}, {}))
        clock = index.next(self._server)
        for (root, name), value in {
            (root, name): value for root, name, value in operations
        }.items():
            entry = index.entry(root, name)
            if value is None and entry is None:
                continue
            draft = arrival.draft(root, name, entry)
            if value is None:
                draft.removes = draft.live
            else:
                place = (root, name) if draft.tip is None else ("", "")
                item = Item(self._server, clock, 1, draft.tip, *place, (value,))
                arrival.place(item, draft, draft.attach(item, OFF))
                clock += 1
            draft.settle({})
        return arrival

    def _carry_out(self, hearing: Hearing) -> Verdict:
        arrival, content = hearing.arrival, hearing.content
        refused = arrival.refused
        outgoing = assemble(arrival, content.index, self._server)
        update = outgoing.encode(arrival.update)
        if not update and not refused:
            return Verdict("trimmed")
        rows = GateRows(arrival.claimed, hearing.new_entities(), outgoing.refused, [], [], [])
        keys = _keys(arrival)
        changes, altered = tuple(outgoing.changes), outgoing.altered
        verdict = Verdict("accepted", keys, "none", (), update, altered, changes, rows)
        verdict.operations = arrival.bare + len(keys)
        if refused:
            verdict.kind, verdict.repair = "refused", _worst(refused)
            verdict.refusals, verdict.echo = _refusals(refused), True
        if update:
            if self._server in arrival.placed and not self._server_kept:
                self._server_kept = True
                rows.owners.append((self._server, SERVER))
            if len(update) <= SHORT:
                verdict.applied = outgoing
            content.apply(arrival, verdict, outgoing)
        return verdict

    def state(self) -> bytes:
        """The whole page as one Yjs update (v1). Raises PageBroken."""
        being = self._being
        return being.state()

    def state_vector(self) -> bytes:
        """The next clock of every client id, as y-protocols' step 1 carries it."""
        being = self._being
        if isinstance(being, Resting):
            return being.vector
        return being.vector()

    def diff(self, state_vector: bytes, unknown: int = UNKNOWN_IDS) -> bytes:
        """What a peer with this state vector lacks, as one Yjs update (v1).

        Raises Malformed for a bad vector or one of more than `unknown` unknown ids, PageBroken.
        """
        if state_vector == EMPTY_VECTOR:
            return self.state()
        known = known_part(state_vector, self._content.index, unknown)
        return self._content.since(known)

    def value(self, root: str, name: str) -> Json | None:
        """The value of an entry, None if it is absent. Raises PageBroken."""
        return self._content.value(root, name)

    def recall(self, root: str, name: str) -> Json | None:
        """`value`, where it is asked for again and again; it is not to be changed. Raises PageBroken."""
        return self._content.recall(root, name)

    def items(self, root: str) -> Iterator[tuple[str, Json]]:
        """Name and value of all entries of one of the ROOTS, read as they are asked for.

        The page must not change meanwhile. Raises PageBroken.
        """
        content = self._content
        for name, entry in tuple(content.index.entries[root].items()):
            if entry.live:
                yield name, content.read(entry)

    def names(self, root: str) -> list[str]:
        """The names of all entries of one of the ROOTS. Raises PageBroken."""
        return self._content.names(root)

    def below(self, entity: str) -> list[tuple[str, str]]:
        """Root and name of all live comments, reactions and `resolved` below an annotation or comment.

        Looks at every entry of the page: for the rare deletion of a thread, not for every update.
        """
        entries = self._content.index.entries
        prefix = f"{entity}/"
        found = [
            (root, name)
            for root in ("comments", "reactions")
            for name, entry in entries[root].items()
            if entry.live and name.startswith(prefix)
        ]
        resolved = entries["resolved"].get(entity)
        return [*found, ("resolved", entity)] if resolved is not None and resolved.live else found

    @property
    def size(self) -> int:
        """How many bytes the state has, give or take what is not packed tightly."""
        return self._being.size

    def counts(self) -> Counts:
        """How many annotations and comments are live."""
        return self._being.ledger.counts()

    def deleted(self, entity: str) -> bool:
        """Whether a deletion of this very annotation or comment stands."""
        return entity in self._being.ledger.standing

    def hidden(self, entity: str) -> bool:
        """Whether a moderator hid this annotation or comment."""
        return entity in self._being.ledger.held


def _ignore_refused_deletions(arrival: Arrival) -> None:
    """If structs of others were dropped, refused pure deletions of that update are ignored (design 4)."""
    for draft in tuple(arrival.refused):
        if not draft.items and not draft.swept:
            arrival.ignore(draft)


def _keys(arrival: Arrival) -> dict[str, str]:
    keys = {}
    for draft in arrival.drafts.values():
        if draft.items or draft.removes:
            fault = draft.refusal
            keys[f"{draft.root}/{draft.name}"] = (
                "accepted" if fault is None else f"refused:{fault.rule}"
            )
    return keys


def _refusals(refused: Iterable[Draft]) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(f"{draft.root}/{draft.name}", *draft.refusal) for draft in refused if draft.refusal
    )


def _worst(refused: Sequence[Draft]) -> Repair:
    """The repair that the sender needs: a reset if any refused key cannot be mended otherwise."""
    return "rollback" if all(draft.mended for draft in refused) else "reset"
