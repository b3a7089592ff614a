"""What an update brings that is new and the sender's to bring: trim, ownership, order, drafts (design 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.draft import UNKNOWN_ROOT, Draft, draft_of
from crdt_chat.page.index import BURNT, OFF, Burnt, Entry, Index, Runs
from crdt_chat.page.layout import decode_user, user_of
from crdt_chat.page.ledger import Ledger
from crdt_chat.page.update import Id, Item, Ranges, Skip, Struct, Update
from crdt_chat.page.verdict import Json, Sync

Placed = tuple[Struct, Draft | None, int]
"""A new struct, its draft (None for a Gc) and the number of its stretch of the branch."""


@dataclass(slots=True)
class Arrival:
    """The new part of one update, entry by entry; nothing of it is applied yet.

    placed: per client the new structs in the order of their clocks. deleted: the delete set as sent.
    dropped: structs under another user's id were left out. lacks: something is missing that a later
    step 2 may bring. owners: client ids that now belong to the sender.
    """

    deleted: Ranges
    drafts: dict[tuple[str, str], Draft] = field(default_factory=dict)
    placed: dict[int, list[Placed]] = field(default_factory=dict)
    dropped: bool = False
    lacks: bool = False
    owners: list[tuple[int, str]] = field(default_factory=list)

    def draft(self, root: str, name: str, entry: Entry | None, burnt: Burnt | None = None) -> Draft:
        """The draft of this entry, made at its first mention."""
        draft = self.drafts.get((root, name))
        if draft is None:
            draft = self.drafts[root, name] = draft_of(root, name, entry, burnt)
        return draft

    def place(self, struct: Struct, draft: Draft | None, number: int) -> None:
        """Take the next struct of its client."""
        placed = self.placed.get(struct.client)
        if placed is None:
            self.placed[struct.client] = [(struct, draft, number)]
        else:
            placed.append((struct, draft, number))


def survey(
    update: Update, index: Index, ledger: Ledger, grant: Grant, sync: Sync
) -> Arrival | None:
    """What is new in `update`, sorted into drafts; None for a gap that its own clocks show.

    Raises Malformed for cycles, which both libraries would keep pending for ever.
    """
    found = trim(update, index)
    if found is None:
        return None
    arrival = Arrival(update.deleted)
    ordered = integration_order(found) if found else ()
    foreign = _foreign(found, index, ledger, grant, arrival)
    survey = _Survey(arrival, index, foreign, last=sync == "last")
    for struct in ordered:
        survey.take(struct)
    arrival.dropped = bool(foreign)
    survey.take_deletions(strict=sync == "update")
    for draft in arrival.drafts.values():
        draft.settle(update.deleted)
    return arrival


def place_all(arrival: Arrival, ordered: Sequence[Struct], index: Index) -> None:
    """Sort structs that are all trusted into the drafts of an arrival."""
    survey = _Survey(arrival, index, set(), last=False)
    for struct in ordered:
        survey.take(struct)


def trim(update: Update, index: Index) -> dict[int, list[Struct]] | None:
    """The structs that the index does not know, per client, known beginnings cut; None: clocks are missing.

    "Trim what the server already has: known struct ranges."
    """
    found: dict[int, list[Struct]] = {}
    for client, structs in update.structs.items():
        end = index.next(client)
        if structs[0].clock >= end:
            fresh = structs
        else:
            fresh = [
                struct if struct.clock >= end else _cut(struct, end)
                for struct in structs
                if struct.clock + struct.length > end
            ]
        if not fresh:
            continue
        if fresh[0].clock > end or any(type(struct) is Skip for struct in fresh):
            return None
        found[client] = fresh
    return found


def _cut(struct: Struct, end: int) -> Struct:
    """What of a struct is not before clock `end`: it hangs on the last known unit."""
    known = end - struct.clock
    if isinstance(struct, Item):
        values = None if struct.values is None else struct.values[known:]
        return Item(
            struct.client, end, struct.length - known, (struct.client, end - 1), "", "", values
        )
    return struct._replace(clock=end, length=struct.length - known)


def integration_order(found: Mapping[int, Sequence[Struct]]) -> Sequence[Struct]:
    """The same structs so that each comes after its origin and after the earlier ones of its client.

    An origin that is neither known nor in `found` does not hold its struct up. Raises Malformed for a
    cycle, be it of origins alone or through the order of clocks.
    """
    if len(found) == 1:
        return next(iter(found.values()))
    ordered: list[Struct] = []
    place = dict.fromkeys(found, 0)
    waiting: dict[int, list[tuple[int, int]]] = {client: [] for client in found}
    ready = list(reversed(found))
    while ready:
        client = ready.pop()
        structs = found[client]
        at = place[client]
        while at < len(structs):
            origin = _awaited(structs[at], found, place)
            if origin is not None:
                heappush(waiting[origin[0]], (origin[1], client))
                break
            ordered.append(structs[at])
            at += 1
        place[client] = at
        done = structs[at].clock if at < len(structs) else structs[-1].clock + structs[-1].length
        queue = waiting[client]
        while queue and queue[0][0] < done:
            ready.append(heappop(queue)[1])
    if len(ordered) < sum(map(len, found.values())):
        raise Malformed("structs wait for each other in a circle")
    return ordered


def _awaited(
    struct: Struct, found: Mapping[int, Sequence[Struct]], place: Mapping[int, int]
) -> Id | None:
    """The origin of this struct, if it is among those of `found` that are still to come."""
    if not isinstance(struct, Item) or struct.origin is None or struct.origin[0] == struct.client:
        return None
    structs = found.get(struct.origin[0])
    if structs is None:
        return None
    at = place[struct.origin[0]]
    end = structs[-1].clock + structs[-1].length
    if at < len(structs) and structs[at].clock <= struct.origin[1] < end:
        return struct.origin
    return None


class _Survey:
    """Sorts structs, in the order of integration, into the drafts of an arrival."""

    def __init__(self, arrival: Arrival, index: Index, foreign: set[int], *, last: bool) -> None:
        self.arrival = arrival
        self.index = index
        self.foreign = foreign
        self.last = last
        self.fresh: dict[int, Runs[Draft | Burnt]] = {}

    def take(self, struct: Struct) -> None:
        """Find the draft of a struct and hang it into its tree."""
        if struct.client in self.foreign:
            return
        if not isinstance(struct, Item):
            self._place(struct, None, OFF)
            return
        if struct.origin is None:
            entry = self.index.entry(struct.root, struct.name)
            draft, number = self.arrival.draft(struct.root, struct.name, entry), OFF
        else:
            found = self._at(struct.origin)
            if found is None:
                self.arrival.lacks = True
                if not self.last:
                    return
                found = (BURNT, OFF)
            draft, number = self._draft(found, struct)
        self._place(struct, draft, draft.attach(struct, number))

    def _at(self, unit: Id) -> tuple[Entry | Draft | Burnt, int] | None:
        """Whose this unit is, known or new; None if it is missing or was dropped."""
        if unit[1] < self.index.next(unit[0]):
            return self.index.at(unit)
        runs = self.fresh.get(unit[0])
        if runs is None or unit[1] >= runs.end:
            return None
        return runs.at(unit[1])

    def _draft(self, found: tuple[Entry | Draft | Burnt, int], item: Item) -> tuple[Draft, int]:
        owner, number = found
        if isinstance(owner, Draft):
            return owner, number
        if isinstance(owner, Entry):
            return self.arrival.draft(owner.root, owner.name, owner), number
        name = f"{item.client}:{item.clock}"
        return self.arrival.draft(UNKNOWN_ROOT, name, None, owner), OFF

    def _place(self, struct: Struct, draft: Draft | None, number: int) -> None:
        self.arrival.place(struct, draft, number)
        runs = self.fresh.get(struct.client)
        if runs is None:
            runs = self.fresh[struct.client] = Runs(struct.clock)
        runs.append(draft or BURNT, number, struct.length)

    def take_deletions(self, *, strict: bool) -> None:
        """Find the live entries that the delete set hits; in an update it must name known units only.

        "Trim: deletions of dead items"; "in a step 2 unknown delete ranges are ignored".
        """
        for client, ranges in self.arrival.deleted.items():
            end = self._end(client)
            if strict and ranges[-1][1] > end and client not in self.foreign:
                self.arrival.lacks = True
            for first, stop in ranges:
                for owner in self.index.owners(client, first, stop):
                    if (
                        isinstance(owner, Entry)
                        and owner.live
                        and owner.client == client
                        and first <= owner.last < stop
                    ):
                        self.arrival.draft(owner.root, owner.name, owner).removes = True

    def _end(self, client: int) -> int:
        runs = self.fresh.get(client)
        return self.index.next(client) if runs is None else runs.end


def _foreign(
    found: Mapping[int, Sequence[Struct]],
    index: Index,
    ledger: Ledger,
    grant: Grant,
    arrival: Arrival,
) -> set[int]:
    """The clients of `found` that belong to somebody else; `arrival.owners` gets those newly known.

    "A Yjs client id belongs to the user of the first connection that announces it; an unannounced one
    to the user whom its values name." One whose values name nobody is taken this once, for nobody.
    """
    foreign = set()
    for client, structs in found.items():
        owner = ledger.owners.get(client)
        if owner is None:
            named = _named(structs, grant)
            if grant.user in named:
                arrival.owners.append((client, grant.user))
            elif named:
                foreign.add(client)
        elif owner != grant.user:
            foreign.add(client)
    return foreign


def _named(structs: Sequence[Struct], grant: Grant) -> set[str]:
    """The users whom the values of these structs give as their writers."""
    named: set[str] = set()
    for struct in structs:
        if not isinstance(struct, Item):
            continue
        if struct.root in ("reactions", "deleted"):
            named.add(_user_in(struct.name))
        for value in struct.values or ():
            if type(value) is dict:
                named.add(_text(value.get("by")))
                # A moderator's new anchor for somebody's annotation names its creator, not her.
                if struct.origin is None or "target" not in value or grant.role < Role.MODERATOR:
                    named.add(_text(value.get("creator")))
    named.discard("")
    return named


def _user_in(name: str) -> str:
    try:
        return decode_user(user_of(name))
    except UnicodeDecodeError:
        return ""


def _text(value: Json) -> str:
    return value if type(value) is str else ""
