"""What one update would do to one entry, worked out beside the index: nothing is applied yet (design 4).

"All new structs (ContentDeleted included) and live deletions of one update on one key share one
verdict, judged on net effect": a Draft is that unit of verdict.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from crdt_chat.page.index import OFF, Burnt, Entry, Stretch
from crdt_chat.page.update import MAX_CLOCK, Id, Item, Ranges
from crdt_chat.page.values import Fault
from crdt_chat.page.verdict import Json

Effect = Literal["none", "plant", "remove", "write"]
"""Net effect on the entry: none at all, a new tombstone where nothing lives, its end, a new value."""

Fate = Literal["kept", "tomb", "put", "gc"]
"""What becomes of the structs: kept, or one of the three repairs of what is refused."""

UNKNOWN_ROOT: Final = "?"
"""Root of a draft whose origin was refused or is a Gc: it is no entry's."""


def covers(ranges: Sequence[tuple[int, int]] | None, first: int, end: int) -> bool:
    """Whether all clocks from `first` to before `end` lie in these ascending, disjoint ranges."""
    if not ranges:
        return False
    place = bisect_right(ranges, (first, MAX_CLOCK + 1)) - 1
    return place >= 0 and end <= ranges[place][1]


@dataclass(slots=True, eq=False)
class Draft:
    """The entry `root`/`name` as the update would leave it.

    entry: as it is, None if nobody ever wrote it. removes: the update deletes the live leaf. burnt:
    what the origin is, if it is no entry's. The new branch is the first `kept` stretches of the
    entry's, the last of them ending at clock `kept_last`, and then `grown`; `leaf` is its last item
    if that is new.
    """

    root: str
    name: str
    entry: Entry | None
    burnt: Burnt | None = None
    items: list[Item] = field(default_factory=list)
    removes: bool = False
    kept: int = 0
    kept_last: int = 0
    grown: list[Stretch] = field(default_factory=list)
    leaf: Item | None = None
    effect: Effect = "none"
    after: Json = None
    doubled: bool = False
    before: Json = None
    refusal: Fault | None = None
    fate: Fate = "kept"
    mended: bool = True
    judged: bool = False
    swept: bool = False

    @property
    def live(self) -> bool:
        """Whether the entry has a value now."""
        return self.entry is not None and self.entry.live

    @property
    def key(self) -> str:
        """How refusals and verdicts call this entry."""
        return f"{self.root}/{self.name}"

    def last_unit(self) -> Id | None:
        """The leaf of the new branch; None where there is no unit at all."""
        if self.grown:
            return self.grown[-1].client, self.grown[-1].last
        if not self.kept:
            return None
        assert self.entry is not None
        stretch = self.entry.stretch(self.kept - 1)
        assert stretch is not None
        return stretch.client, self.kept_last

    def attach(self, item: Item, number: int) -> int:
        """Hang `item` on its origin, which is of stretch `number`; returns the stretch it is of.

        It wins if its origin is on the branch and it stands to the right of what hangs there: the
        higher client id does, and of one client the earlier, which a new one never is.
        """
        self.items.append(item)
        if item.origin is None:
            first = self._stretch(0)
            if first is not None and item.client <= first.client:
                return OFF
            self.kept = 0
            self.grown.clear()
        elif item.origin != self.last_unit():
            if not self._beats(item, number):
                return OFF
            self._cut(number, item.origin[1])
        self.leaf = item
        return self._extend(item)

    def _stretch(self, number: int) -> Stretch | None:
        """Stretch of the new branch, from the root down."""
        if number >= self.kept:
            number -= self.kept
            return self.grown[number] if number < len(self.grown) else None
        assert self.entry is not None
        stretch = self.entry.stretch(number)
        if stretch is None or number < self.kept - 1:
            return stretch
        return stretch._replace(last=self.kept_last)

    def _beats(self, item: Item, number: int) -> bool:
        assert item.origin is not None
        client, clock = item.origin
        stretch = self._stretch(number)
        if (
            stretch is None
            or stretch.client != client
            or not stretch.first <= clock <= stretch.last
        ):
            return False
        if clock < stretch.last:
            return item.client > client
        following = self._stretch(number + 1)
        return following is None or item.client > following.client

    def _cut(self, number: int, last: int) -> None:
        """Let the branch end with clock `last` of this stretch."""
        if number < self.kept:
            self.kept = number + 1
            self.kept_last = last
            self.grown.clear()
        else:
            del self.grown[number - self.kept + 1 :]
            self.grown[-1] = self.grown[-1]._replace(last=last)

    def _extend(self, item: Item) -> int:
        """Add the item at the end of the branch, to the last stretch where it continues it."""
        last = item.clock + item.length - 1
        if item.origin == (item.client, item.clock - 1):
            if self.grown:
                self.grown[-1] = self.grown[-1]._replace(last=last)
            else:
                self.kept_last = last
        else:
            self.grown.append(Stretch(item.client, item.clock, last))
        return self.kept + len(self.grown) - 1

    def settle(self, deleted: Ranges) -> None:
        """Find the net effect, all items being attached; `deleted` is the update's delete set."""
        for item in self.items:
            if item.length > 1 and item.values is not None:
                ranges = deleted.get(item.client)
                if not covers(ranges, item.clock, item.clock + item.length):
                    self.doubled = True
        leaf = self.leaf
        if leaf is None:
            self.effect = "remove" if self.removes else "none"
            return
        last = leaf.clock + leaf.length - 1
        if leaf.values is None or covers(deleted.get(leaf.client), last, last + 1):
            self.effect = "remove" if self.live else "plant"
        else:
            self.effect = "write"
            self.after = leaf.values[-1]

    def lives(self) -> bool:
        """Whether the entry has a value after the update, repairs and sweeps included."""
        if self.swept or self.fate == "tomb":
            return False
        if self.fate == "kept" and self.effect != "none":
            return self.effect == "write"
        return self.live

    def commit(self) -> Entry:
        """The entry as the update leaves it: the tree has grown by the items, whatever they hold."""
        entry = self.entry
        live = self.lives()
        if entry is None:
            *above, leaf = self.grown
            return Entry(self.root, self.name, live, *leaf, above or None)
        entry.live = live
        if self.leaf is None:
            return entry
        above = entry.above or []
        if self.kept > len(above):
            above.append(Stretch(entry.client, entry.first, self.kept_last))
        else:
            del above[self.kept :]
            if above:
                above[-1] = above[-1]._replace(last=self.kept_last)
        above += self.grown
        entry.client, entry.first, entry.last = above.pop()
        entry.above = above or None
        return entry


def draft_of(root: str, name: str, entry: Entry | None, burnt: Burnt | None = None) -> Draft:
    """A draft that changes nothing yet."""
    if entry is None:
        return Draft(root, name, None, burnt)
    return Draft(root, name, entry, burnt, kept=entry.depth(), kept_last=entry.last)
