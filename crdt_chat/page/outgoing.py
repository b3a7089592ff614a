"""What goes to the document, the journal and the peers: the canonical update of a judged arrival (design 4).

"Only the winning value is sent on; every other new ContentAny becomes ContentDeleted."
"""

from crdt_chat.page.arrival import Arrival
from crdt_chat.page.draft import Draft, covers
from crdt_chat.page.index import BURNT, MENDED, OFF, Index, Owner
from crdt_chat.page.update import Gc, Id, Item, Struct, Update, encode
from crdt_chat.page.verdict import Change, Repair


class Outgoing:
    """The structs and deletions to apply.

    refused: (client, clock, length, repair) of every GC that stands for refused structs. altered: the
    sender's own bytes did not say just this, so that she must get it, too. changes: the net effects, in
    the order in which the update names them. gone: the units whose values are no longer.
    """

    __slots__ = ("altered", "changes", "deleted", "gone", "refused", "structs")

    def __init__(self) -> None:
        self.structs: dict[int, list[Struct]] = {}
        self.deleted: dict[int, list[tuple[int, int]]] = {}
        self.refused: list[tuple[int, int, int, Repair]] = []
        self.altered = False
        self.changes: list[Change] = []
        self.gone: list[Id] = []

    def encode(self, came: Update) -> bytes:
        """The canonical update; b"" for nothing at all."""
        # Most goes on just as it came. Items are equal only if their bytes are, too: `raw` is of them.
        if came.raw and self.structs == came.structs and self.deleted == came.deleted:
            return came.raw
        return encode(self.structs, self.deleted) if self.structs or self.deleted else b""

    def delete(self, client: int, first: int, length: int = 1) -> None:
        """Add a range to the delete set."""
        ranges = self.deleted.setdefault(client, [])
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], first + length)
        else:
            ranges.append((first, first + length))


def assemble(arrival: Arrival, index: Index, server: int) -> Outgoing:
    """The update that carries out the fate of every draft; puts are written under client id `server`.

    The puts are added to `arrival`, since the index must learn of them like of all others.
    """
    outgoing = Outgoing()
    outgoing.altered = arrival.dropped
    for client, placed in arrival.placed.items():
        out: list[Struct] = []
        for struct, draft, _number in placed:
            _emit(outgoing, out, arrival, struct, draft)
        outgoing.structs[client] = out
    if arrival.refused:
        _put_back(outgoing, arrival, index, server)
    for draft in arrival.drafts.values():
        if draft.fate != "gc":
            _conclude(outgoing, draft)
    return outgoing


def _put_back(outgoing: Outgoing, arrival: Arrival, index: Index, server: int) -> None:
    """Write again what a put has lost; it has not if the refused structs lose anyway."""
    clock = index.next(server)
    for draft in arrival.refused:
        if draft.fate == "put" and (draft.leaf is not None or draft.removes):
            item = Item(server, clock, 1, draft.tip, "", "", (draft.before,))
            clock += 1
            arrival.place(item, draft, draft.attach(item, OFF))
            outgoing.structs.setdefault(server, []).append(item)


def _emit(
    outgoing: Outgoing, out: list[Struct], arrival: Arrival, struct: Struct, draft: Draft | None
) -> None:
    if draft is None or not isinstance(struct, Item):
        _emit_gc(out, struct)
    elif draft.fate == "gc":
        _emit_gc(out, struct)
        _refuse(outgoing, struct, draft)
        outgoing.delete(struct.client, struct.clock, struct.length)
    elif (
        struct is draft.leaf
        and draft.effect == "write"
        and draft.fate == "kept"
        and not draft.swept
    ):
        out.append(struct)
    else:
        _emit_deleted(out, struct)
        outgoing.delete(struct.client, struct.clock, struct.length)
        if struct.values is not None:
            ranges = arrival.update.deleted.get(struct.client)
            if not covers(ranges, struct.clock, struct.clock + struct.length):
                outgoing.altered = True


def _emit_gc(out: list[Struct], struct: Struct) -> None:
    last = out[-1] if out else None
    if isinstance(last, Gc):
        out[-1] = Gc(last.client, last.clock, last.length + struct.length)
    else:
        out.append(Gc(struct.client, struct.clock, struct.length))


def _emit_deleted(out: list[Struct], item: Item) -> None:
    """Write a deleted unit, as one with the deleted units that it hangs on."""
    last = out[-1] if out else None
    if (
        isinstance(last, Item)
        and last.values is None
        and item.origin == (item.client, item.clock - 1)
    ):
        out[-1] = last.deleted(item.length)
    else:
        out.append(item if item.values is None else item.deleted())


def _refuse(outgoing: Outgoing, item: Item, draft: Draft) -> None:
    """Remember a GC: what builds on it is refused with the same repair."""
    repair: Repair = "rollback" if draft.mended else "reset"
    rows = outgoing.refused
    if rows and rows[-1][3] == repair and rows[-1][0] == item.client:
        client, first, length, _ = rows[-1]
        if first + length == item.clock:
            rows[-1] = (client, first, length + item.length, repair)
            return
    rows.append((item.client, item.clock, item.length, repair))


def _conclude(outgoing: Outgoing, draft: Draft) -> None:
    """What the update does to one entry in the end: its deletion, its change, and whether the value goes."""
    entry, lives, after = draft.entry, draft.lives(), None
    if lives and draft.effect == "write" and draft.fate == "kept":
        after = draft.after
    if entry is not None and draft.live:
        if draft.removes or draft.swept:
            # The live leaf, where the sender deleted it, or where a deletion sweeps it away.
            outgoing.delete(entry.client, entry.last)
            outgoing.altered = outgoing.altered or not draft.removes
        if draft.leaf is not None or not lives:
            outgoing.gone.append((entry.client, entry.last))
    if after is not None or (draft.live and not lives):
        outgoing.changes.append(Change(draft.root, draft.name, draft.before, after))


def learn(arrival: Arrival, index: Index) -> None:
    """Let the index know what was applied."""
    for (root, name), draft in arrival.drafts.items():
        if draft.fate != "gc":
            contest = index.contests.get((root, name)) if index.contests else None
            if draft.rivals or contest is not None:
                index.contests[root, name] = draft.contest(contest)
            entry = draft.commit()
            if draft.entry is None:
                index.entries[root][name] = draft.entry = entry
    for client, placed in arrival.placed.items():
        runs = index.of(client)
        for struct, draft_of_it, number in placed:
            owner: Owner = BURNT
            if draft_of_it is not None and draft_of_it.fate != "gc" and draft_of_it.entry:
                owner = draft_of_it.entry
            elif draft_of_it is not None and draft_of_it.mended:
                owner = MENDED
            runs.append(owner, number, struct.length)
