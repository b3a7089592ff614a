"""What an update brings that is new and the sender's to bring, sorted entry by entry (design 4)."""

from bisect import bisect_right
from collections.abc import Container, Sequence
from typing import Final

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant
from crdt_chat.page.draft import UNKNOWN_ROOT, Draft
from crdt_chat.page.dropping import empty
from crdt_chat.page.index import BURNT, OFF, Burnt, Entry, Index
from crdt_chat.page.ledger import Ledger
from crdt_chat.page.order import integration_order, trim
from crdt_chat.page.ownership import claim
from crdt_chat.page.update import Id, Item, Struct, Update
from crdt_chat.page.vector import UNKNOWN_IDS
from crdt_chat.page.verdict import Sync

_NO_ROOT: Final = "\udc00"
"""Where orphans are kept among the drafts: no UTF-8, so that no update can name a root like this."""

STEPS: Final = 1_000_000
"""How many items of one entry Yjs and yrs may have to look at to find a place for those that hang on no
end: 0.2 s of CPU in one call, at every reader and again at whoever joins."""

FREED_AT_ONCE: Final = 2_000
"""How many drafts are dropped in one go."""

Placed = tuple[Struct, Draft | None, int]
"""A new struct, its draft (None for a Gc) and the number of its stretch of the branch."""


class Arrival:
    """The new part of one update; nothing of it is applied yet.

    update: all of it, as it came. drafts: what it does, per root and name, in the order of the first
    mention. placed: per client the new structs in the order of their clocks. claimed: client ids that
    now belong to the sender. dropped: structs under another user's id were left out. lacks: something
    is missing that a later step 2 may bring. bare: how many Gc structs came. refused: the drafts that
    broke a rule, once judged.
    """

    __slots__ = ("bare", "claimed", "drafts", "dropped", "lacks", "placed", "refused", "update")

    def __init__(self, update: Update) -> None:
        self.update = update
        self.dropped = self.lacks = False
        self.bare = 0
        self.drafts: dict[tuple[str, str], Draft] = {}
        self.placed: dict[int, list[Placed]] = {}
        self.claimed: list[tuple[int, str]] = []
        self.refused: list[Draft] = []

    def draft(self, root: str, name: str, entry: Entry | None) -> Draft:
        """The draft of this entry, made at its first mention."""
        draft = self.drafts.get((root, name))
        if draft is None:
            draft = self.drafts[root, name] = Draft(root, name, entry)
        return draft

    def orphan(self, item: Item, burnt: Burnt) -> Draft:
        """The draft of an item that hangs on a Gc, and of what hangs on it."""
        name = f"{item.client}:{item.clock}"
        draft = self.drafts[_NO_ROOT, name] = Draft(UNKNOWN_ROOT, name, None, burnt)
        return draft

    def size(self) -> int:
        """About how many bytes the new structs take, in the journal and in the document."""
        return sum(
            24 + len(struct.raw or struct.root + struct.name)
            for placed in self.placed.values()
            for struct, _draft, _number in placed
            if type(struct) is Item
        )

    def place(self, struct: Struct, draft: Draft | None, number: int) -> None:
        """Take the next struct of its client."""
        placed = self.placed.get(struct.client)
        if placed is None:
            self.placed[struct.client] = [(struct, draft, number)]
        else:
            placed.append((struct, draft, number))

    def drop(self) -> None:
        """Nobody needs it any more, nor its update: bring it out of memory piece by piece if it is big."""
        if len(self.drafts) > FREED_AT_ONCE:
            empty(self.placed, self.drafts, self.update.structs)

    def ignore(self, draft: Draft) -> None:
        """Take a refused draft for one that the update did not contain."""
        del self.drafts[draft.root, draft.name]
        self.refused.remove(draft)


def survey(
    update: Update,
    index: Index,
    ledger: Ledger,
    grant: Grant,
    sync: Sync,
    unknown: int = UNKNOWN_IDS,
) -> Arrival | None:
    """What is new in `update`, sorted into drafts; None for a gap that its own clocks show.

    Raises Malformed for cycles, for more than `unknown` client ids that the page does not have, and for
    more than STEPS in one entry.
    """
    arrival = Arrival(update)
    foreign: set[int] = set()
    if update.structs:
        found = trim(update, index)
        if found is None:
            return None
        if len(found) > unknown and sum(client not in index.runs for client in found) > unknown:
            # Each costs every copy of the page some bytes for ever; a page load makes one.
            raise Malformed("the update brings too many unknown client ids")
        if found:
            ordered = integration_order(found)
            arrival.claimed, foreign = claim(found, ledger.owners, grant)
            arrival.dropped = bool(foreign)
            _sort(arrival, ordered, index, foreign, burn_lacking=sync == "last")
    if update.deleted:
        _take_deletions(arrival, index, foreign, strict=sync == "update")
    for draft in arrival.drafts.values():
        draft.settle(update.deleted)
        if draft.rivals:
            contest = index.contests.get((draft.root, draft.name))
            if draft.contest(contest).steps > STEPS:
                raise Malformed("too much stands side by side in one entry")
    return arrival


def retrace(update: Update, index: Index) -> Arrival:
    """All of a stored page's state, sorted into drafts. Raises Malformed for a state that no gate wrote."""
    arrival = Arrival(update)
    if update.structs:
        _sort(arrival, integration_order(update.structs), index, ())
    for draft in arrival.drafts.values():
        draft.settle(update.deleted)
    return arrival


def _sort(
    arrival: Arrival,
    ordered: Sequence[Struct],
    index: Index,
    foreign: Container[int],
    *,
    burn_lacking: bool = False,
) -> None:
    """Hang structs, in the order of integration, into the trees of the drafts they belong to.

    The entry is the origin's, else the one that the struct names. What lacks its origin is left out, or
    is to be burnt.
    """
    for struct in ordered:
        if struct.client in foreign:
            continue
        if type(struct) is not Item:
            arrival.place(struct, None, OFF)
            arrival.bare += 1
            continue
        number = OFF
        if struct.origin is None:
            entry = index.entry(struct.root, struct.name)
            draft = arrival.draft(struct.root, struct.name, entry)
        else:
            owner, number = index.at(struct.origin) or _brought(struct.origin, arrival)
            if type(owner) is Entry:
                draft = arrival.draft(owner.root, owner.name, owner)
            elif type(owner) is Draft:
                draft = owner
            elif type(owner) is Burnt:
                draft = arrival.orphan(struct, owner)
            else:
                arrival.lacks = True
                if not burn_lacking:
                    continue
                draft = arrival.orphan(struct, BURNT)
        arrival.place(struct, draft, draft.attach(struct, number))


def _brought(unit: Id, arrival: Arrival) -> tuple[Draft | Burnt | None, int]:
    """Whose a new unit is; None if it is missing or was dropped."""
    client, clock = unit
    placed = arrival.placed.get(client)
    if placed is None or clock >= placed[-1][0].clock + placed[-1][0].length:
        return None, OFF
    _struct, draft, number = placed[bisect_right(placed, clock, key=_clock) - 1]
    return draft or BURNT, number


def _clock(placed: Placed) -> int:
    return placed[0].clock


def _take_deletions(arrival: Arrival, index: Index, foreign: set[int], *, strict: bool) -> None:
    """Find the live entries that the delete set hits; in an update it must name known units only.

    "Trim: deletions of dead items"; "in a step 2 unknown delete ranges are ignored".
    """
    for client, ranges in arrival.update.deleted.items():
        runs = index.runs.get(client)
        known = 0 if runs is None else runs.end
        if strict and ranges[-1][1] > known and client not in foreign:
            placed = arrival.placed.get(client)
            last = placed[-1][0] if placed else None
            if last is None or ranges[-1][1] > last.clock + last.length:
                arrival.lacks = True
        if runs is None:
            continue
        for first, end in ranges:
            for owner in runs.between(first, end):
                if type(owner) is not Entry or not owner.live or owner.client != client:
                    continue
                if first <= owner.last < end:
                    arrival.draft(owner.root, owner.name, owner).removes = True
