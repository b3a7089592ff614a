"""One page: the document, its gate and what the gate remembers. Bytes in, verdicts out, all synchronous.

`size -> strict decode -> trim -> ownership -> gaps -> shape -> rules, key by key -> apply` (design 4).
docs/page.md explains the words and draws the pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from crdt_chat.errors import Malformed, PageBroken, TooLarge
from crdt_chat.identity import Grant
from crdt_chat.page.arrival import Arrival, survey
from crdt_chat.page.document import Document
from crdt_chat.page.draft import Draft, draft_of
from crdt_chat.page.hearing import Gap, Hearing
from crdt_chat.page.index import OFF, Index
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.ledger import SERVER, Ledger
from crdt_chat.page.lib0 import read_uint, write_uint
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.loading import load_index
from crdt_chat.page.outgoing import assemble, learn
from crdt_chat.page.repair import repair
from crdt_chat.page.rules import judge
from crdt_chat.page.update import Item, decode
from crdt_chat.page.verdict import Change, Counts, GateRows, Json, Refusal, Repair, Sync, Verdict

RESERVED: Final = 2**16
"""Client ids below this may be the server's (design 4, "Server-made operations")."""

UNKNOWN_IDS: Final = 1_000
"""How many unknown client ids a peer's state vector may name (design 15)."""


class Page:
    """The live state of one page. After PageBroken it must not be used any more.

    announced: (Yjs client id, user) of owners that `announce` added since somebody last took and
    cleared them, to be persisted like the owners in a verdict's rows.
    """

    def __init__(self, limits: PageLimits, server_client: int) -> None:
        """An empty page. `server_client`: the Yjs client id, below 2^16, of the server's own writing."""
        self.limits = limits
        self.announced: list[tuple[int, str]] = []
        self._document = Document()
        self._index = Index(ROOTS)
        self._ledger = Ledger()
        self._server = server_client
        self._server_known = False
        self._size = 0
        self._broken = False
        self._ledger.owners[server_client] = SERVER

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
        taken = dict(rows.owners)
        while taken.get(server_client, SERVER) != SERVER:
            server_client = (server_client + 1) % RESERVED
        page = cls(limits, server_client)
        page._ledger.add(rows)
        page._server_known = server_client in taken
        page._document.apply(*([] if snapshot is None else [snapshot]), *updates)
        state = page._document.state()
        page._size = len(state)
        page._index = load_index(state, rows.refused)
        page._ledger.apply(page._everything())
        return page

    def _everything(self) -> Iterator[Change]:
        for root in ROOTS:
            for name, value in self._document.items(root):
                yield Change(root, name, None, value)

    def announce(self, client: int, user: str) -> bool:
        """Let `user` own a Yjs client id, if nobody does yet. False: it belongs to somebody else."""
        owner = self._ledger.owners.get(client)
        if owner is None:
            self._ledger.owners[client] = user
            self.announced.append((client, user))
            return True
        return owner == user

    def receive(self, update: bytes, sync: Sync, grant: Grant, now: int) -> Verdict:  # noqa: ARG002
        """Judge a peer's update and apply what of it is good.

        `sync` says how it came, `grant` who sent it. `now` (ms) is for rules of time, of which schema 1
        has none. Returns the verdict; a gap, too, leaves the page as it was. Raises Malformed for what
        no honest client sends, PageBroken if the document failed.
        """
        self._check()
        arrival = survey(decode(update), self._index, self._ledger, grant, sync)
        if arrival is None or (arrival.lacks and sync != "last"):
            return Verdict("gap")
        hearing = Hearing(arrival, self._index, self._ledger, grant, self.limits)
        hearing.patient = sync == "update" or (sync == "step2" and arrival.dropped)
        hearing.full = self._is_full(len(update))
        try:
            self._judge(hearing)
        except Gap:
            return Verdict("gap")
        if arrival.dropped:
            _ignore_refused_deletions(arrival)
        return self._carry_out(hearing)

    def write(
        self,
        operations: Sequence[tuple[str, str, Json]],
        grant: Grant,
        now: int,  # noqa: ARG002
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
        self._check()
        arrival = self._draft_operations(operations)
        hearing = Hearing(arrival, self._index, self._ledger, grant, self.limits)
        hearing.past = keep_past
        hearing.hides, hearing.shows = frozenset(hides), frozenset(shows)
        hearing.full = self._is_full(0)
        self._judge(hearing)
        refusals = _refusals(arrival)
        if refusals:
            return Verdict("refused", _keys(arrival), "none", refusals, operations=len(refusals))
        verdict = self._carry_out(hearing)
        rows = GateRows(held=sorted(hearing.hides), released=sorted(hearing.shows))
        self._ledger.add(rows)
        verdict.rows.held, verdict.rows.released = rows.held, rows.released
        return verdict

    def _draft_operations(self, operations: Sequence[tuple[str, str, Json]]) -> Arrival:
        arrival = Arrival({})
        clock = self._index.next(self._server)
        for (root, name), value in {
            (root, name): value for root, name, value in operations
        }.items():
            entry = self._index.entry(root, name)
            draft = arrival.draft(root, name, entry)
            if value is None:
                draft.removes = draft.live
            else:
                origin = draft.last_unit()
                place = ("", "") if origin else (root, name)
                item = Item(self._server, clock, 1, origin, *place, (value,))
                arrival.place(item, draft, draft.attach(item, OFF))
                clock += 1
            draft.settle({})
        return arrival

    def _judge(self, hearing: Hearing) -> None:
        drafts = list(hearing.arrival.drafts.values())
        if len(drafts) > 1:
            drafts.sort(key=lambda draft: _rank(hearing, draft))
        for draft in drafts:
            draft.refusal = judge(hearing, draft)
            if draft.refusal is None:
                hearing.accept(draft)
            draft.judged = True
        for draft in drafts:
            if draft.refusal is not None:
                repair(hearing, draft)

    def _carry_out(self, hearing: Hearing) -> Verdict:
        arrival = hearing.arrival
        for draft in arrival.drafts.values():
            if draft.live and (draft.fate == "put" or not draft.lives() or draft.effect == "write"):
                draft.before = self._document.read(draft.root, draft.name)
        outgoing = assemble(arrival, self._index, self._server)
        refusals = _refusals(arrival)
        update = outgoing.encode()
        if not update and not refusals:
            return Verdict("trimmed")
        changes = tuple(_changes(arrival))
        verdict = Verdict(
            "refused" if refusals else "accepted",
            _keys(arrival),
            _worst(arrival),
            refusals,
            update,
            bool(refusals) or outgoing.altered,
            changes,
            GateRows(arrival.owners, _entities(hearing), outgoing.refused),
            _count(arrival),
        )
        if update:
            self._apply(arrival, verdict)
        return verdict

    def _apply(self, arrival: Arrival, verdict: Verdict) -> None:
        if self._server in arrival.placed and not self._server_known:
            self._server_known = True
            verdict.rows.owners.append((self._server, SERVER))
        self._broken = True
        self._document.apply(verdict.update)
        for change in verdict.changes:
            if not self._document.holds(change.root, change.name, change.after):
                raise PageBroken(f"Yjs decided otherwise about {change.root}/{change.name}")
        learn(arrival, self._index)
        self._ledger.add(verdict.rows)
        self._ledger.apply(verdict.changes)
        self._size += len(verdict.update)
        self._broken = False

    def _check(self) -> None:
        if self._broken:
            raise PageBroken("this page has failed before and must be rebuilt")

    def _is_full(self, more: int) -> bool:
        """Whether the state would outgrow its limit; the sum of the updates is an upper bound of it."""
        if self._size + more > self.limits.state:
            self._size = len(self._document.state())
        return self._size + more > self.limits.state

    def state(self) -> bytes:
        """The whole page as one Yjs update (v1). Raises PageBroken."""
        self._check()
        return self._document.state()

    def state_vector(self) -> bytes:
        """The next clock of every client id, as y-protocols' step 1 carries it."""
        out = bytearray()
        write_uint(out, len(self._index.runs))
        for client, runs in self._index.runs.items():
            write_uint(out, client)
            write_uint(out, runs.end)
        return bytes(out)

    def diff(self, state_vector: bytes) -> bytes:
        """What a peer with this state vector lacks, as one Yjs update (v1).

        Raises Malformed for a bad vector, TooLarge for one of too many unknown client ids, PageBroken.
        """
        self._check()
        known = self._read_vector(state_vector)
        out = bytearray()
        write_uint(out, len(known))
        for client, clock in known.items():
            write_uint(out, client)
            write_uint(out, clock)
        return self._document.since(bytes(out))

    def _read_vector(self, data: bytes) -> dict[int, int]:
        """The part of a peer's state vector that names what this page has."""
        try:
            count, at = read_uint(data, 0)
            if count > len(self._index.runs) + UNKNOWN_IDS:
                raise TooLarge("the state vector names too many unknown client ids")
            known: dict[int, int] = {}
            for _ in range(count):
                client, at = read_uint(data, at)
                clock, at = read_uint(data, at)
                end = self._index.next(client)
                if end:
                    known[client] = min(clock, end)
        except IndexError as error:
            raise Malformed("the state vector is cut short") from error
        if at != len(data):
            raise Malformed("bytes are left over")
        return known

    def value(self, root: str, name: str) -> Json | None:
        """The value of an entry, None if it is absent. Raises PageBroken."""
        self._check()
        return self._document.read(root, name) if root in ROOTS else None

    def items(self, root: str) -> Iterator[tuple[str, Json]]:
        """Name and value of all entries of a root map. Raises PageBroken."""
        self._check()
        yield from self._document.items(root)

    def below(self, entity: str) -> list[tuple[str, str]]:
        """Root and name of all live comments, reactions and `resolved` below an annotation or comment.

        Looks at every entry of the page: for the rare whole-thread deletion, not for every update.
        """
        prefix = f"{entity}/"
        found = [
            (root, name)
            for root in ("comments", "reactions")
            for name, entry in self._index.entries[root].items()
            if entry.live and name.startswith(prefix)
        ]
        resolved = self._index.entry("resolved", entity)
        return [*found, ("resolved", entity)] if resolved is not None and resolved.live else found

    def counts(self) -> Counts:
        """How many annotations and comments are live."""
        return self._ledger.counts()

    def hidden(self, entity: str) -> bool:
        """Whether a moderator hid this annotation or comment."""
        return entity in self._ledger.held


def _rank(hearing: Hearing, draft: Draft) -> int:
    """Which drafts are judged first: what later ones depend on."""
    if draft.root == "deleted":
        known = (
            draft.effect != "write" or hearing.past_of(draft.name.rpartition("/")[0]) is not None
        )
        return 0 if known else 4
    if draft.root in ("annotations", "comments"):
        if draft.effect != "write":
            return 1
        return 2 if draft.root == "annotations" else 3
    return 5


def _ignore_refused_deletions(arrival: Arrival) -> None:
    """ "If structs of others were dropped, refused pure deletions of that update are ignored." """
    for place, draft in list(arrival.drafts.items()):
        if draft.refusal is not None and not draft.items:
            del arrival.drafts[place]


def _touched(arrival: Arrival) -> Iterator[Draft]:
    return (draft for draft in arrival.drafts.values() if draft.items or draft.removes)


def _keys(arrival: Arrival) -> dict[str, str]:
    return {
        draft.key: "accepted" if draft.refusal is None else f"refused:{draft.refusal.rule}"
        for draft in _touched(arrival)
    }


def _refusals(arrival: Arrival) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(draft.key, draft.refusal.rule, draft.refusal.reason)
        for draft in arrival.drafts.values()
        if draft.refusal is not None
    )


def _worst(arrival: Arrival) -> Repair:
    """The repair that the sender needs: a reset if any refused key cannot be mended otherwise."""
    refused = [draft for draft in arrival.drafts.values() if draft.refusal is not None]
    if not refused:
        return "none"
    return "rollback" if all(draft.mended for draft in refused) else "reset"


def _changes(arrival: Arrival) -> Iterator[Change]:
    """The net effects, in the order in which the update names them."""
    for draft in arrival.drafts.values():
        if draft.fate in ("put", "gc") and not draft.swept:
            continue
        after = draft.after if draft.effect == "write" and draft.lives() else None
        if draft.effect == "none" and not draft.swept:
            continue
        if after is not None or draft.live:
            yield Change(draft.root, draft.name, draft.before, after)


def _entities(hearing: Hearing) -> list[tuple[str, str, int]]:
    return [(name, past.creator, past.created) for name, past in hearing.created.items()]


def _count(arrival: Arrival) -> int:
    """Operations, for the rate limit: touched keys, and clocks given away without content."""
    bare = sum(draft is None for placed in arrival.placed.values() for _, draft, _ in placed)
    return bare + sum(1 for _ in _touched(arrival))
