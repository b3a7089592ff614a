"""What one update would do to one entry, worked out beside the index: nothing is applied yet (design 4).

"All new structs (ContentDeleted included) and live deletions of one update on one key share one
verdict, judged on net effect": a Draft is that unit of verdict.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Literal

from crdt_chat.page.index import OFF, Burnt, Contest, Entry, Stretch
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
    if not ranges or end > ranges[-1][1]:
        return False
    place = bisect_right(ranges, (first, MAX_CLOCK + 1)) - 1
    return place >= 0 and end <= ranges[place][1]


class Draft:
    """The entry `root`/`name` as the update would leave it.

    entry: as it is, None if nobody ever wrote it; live: whether it has a value now, before: that value.
    burnt: what the origin is, if it is no entry's. items: the new structs. removes: the update deletes
    the live leaf. tip: the last unit of the new branch; leaf: the item that holds it, if it is new.
    effect, after, doubled: see `settle`. refusal, fate, mended: the outcome. swept: a deletion takes it.
    rivals: how many of the items were written by somebody who did not know what else was there.
    """

    __slots__ = (
        "_grown",
        "_kept",
        "_kept_last",
        "after",
        "before",
        "burnt",
        "doubled",
        "effect",
        "entry",
        "fate",
        "items",
        "judged",
        "leaf",
        "live",
        "mended",
        "name",
        "refusal",
        "removes",
        "rivals",
        "root",
        "swept",
        "tip",
    )

    def __init__(
        self, root: str, name: str, entry: Entry | None, burnt: Burnt | None = None
    ) -> None:
        self.root = root
        self.name = name
        self.entry = entry
        self.burnt = burnt
        self.items: list[Item] = []
        self.removes = self.doubled = self.judged = self.swept = False
        self.leaf: Item | None = None
        self.effect: Effect = "none"
        self.before: Json = None
        self.after: Json = None
        self.refusal: Fault | None = None
        self.fate: Fate = "kept"
        self.mended = True
        self.rivals = 0
        # The new branch: the first `_kept` stretches of the entry's, the last of them ending at clock
        # `_kept_last`, and then `_grown`.
        self._grown: list[Stretch] = []
        if entry is None:
            self.live = False
            self.tip: Id | None = None
            self._kept = self._kept_last = 0
        else:
            self.live = entry.live
            self.tip = entry.client, entry.last
            self._kept = 1 if entry.above is None else len(entry.above) + 1
            self._kept_last = entry.last

    def attach(self, item: Item, number: int) -> int:
        """Hang `item` on its origin, which is of stretch `number`; returns the stretch it is of.

        It wins if its origin is on the branch and it stands to the right of what hangs there: the
        higher client id does, and of one client the earlier, which a new one never is.
        """
        self.items.append(item)
        if item.origin is None:
            first = self._stretch(0)
            if first is not None:
                self.rivals += 1
                if item.client <= first.client:
                    return OFF
            self._kept = 0
            self._grown.clear()
        elif item.origin != self.tip:
            # Nothing can stand yet beside what hangs on the item before it.
            self.rivals += item.origin != self._previous()
            if not self._beats(item, item.origin, number):
                return OFF
            self._cut(number, item.origin[1])
        self.leaf = item
        return self._extend(item)

    def _previous(self) -> Id | None:
        """The last unit of the item before the one that is being attached."""
        if len(self.items) < 2:
            return None
        before = self.items[-2]
        return before.client, before.clock + before.length - 1

    def contest(self, before: Contest | None) -> Contest:
        """How contested the entry is with these items; before: how contested it was, None for not at all."""
        if before is None:
            before = Contest(0 if self.entry is None else self.entry.depth(), 0)
        items = before.items + len(self.items)
        return Contest(items, before.steps + self.rivals * items)

    def _stretch(self, number: int) -> Stretch | None:
        """Stretch of the new branch, from the root down."""
        if self.entry is None or number >= self._kept:
            number -= self._kept
            return self._grown[number] if number < len(self._grown) else None
        stretch = self.entry.stretch(number)
        if stretch is None or number < self._kept - 1:
            return stretch
        return Stretch(stretch.client, stretch.first, self._kept_last)

    def _beats(self, item: Item, origin: Id, number: int) -> bool:
        client, clock = origin
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
        if number < self._kept:
            self._kept = number + 1
            self._kept_last = last
            self._grown.clear()
        else:
            del self._grown[number - self._kept + 1 :]
            self._grown[-1].last = last

    def _extend(self, item: Item) -> int:
        """Add the item at the end of the branch, to the last stretch where it continues it."""
        last = item.clock + item.length - 1
        self.tip = item.client, last
        if item.origin != (item.client, item.clock - 1):
            self._grown.append(Stretch(item.client, item.clock, last))
        elif self._grown:
            self._grown[-1].last = last
        else:
            self._kept_last = last
        return self._kept + len(self._grown) - 1

    def settle(self, deleted: Ranges) -> None:
        """Find the net effect, all items being attached; `deleted` is the update's delete set.

        `after` is the new value of a write. doubled: an item of several values that does not lie wholly
        in the delete set, which is no map entry of an honest client.
        """
        for item in self.items:
            if item.length > 1 and item.values is not None:
                end = item.clock + item.length
                self.doubled = self.doubled or not covers(deleted.get(item.client), item.clock, end)
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
        if entry is None:
            *above, leaf = self._grown
            first, last = leaf.first, leaf.last
            return Entry(
                self.root, self.name, self.lives(), leaf.client, first, last, above or None
            )
        entry.live = self.lives()
        if self.leaf is None:
            return entry
        branch = entry.above or []
        if self._kept > len(branch):
            if not self._grown:
                entry.last = self._kept_last  # it continues the stretch that it was
                return entry
            branch.append(Stretch(entry.client, entry.first, self._kept_last))
        else:
            del branch[self._kept :]
            if branch:
                branch[-1].last = self._kept_last
        branch += self._grown
        leaf = branch.pop()
        entry.client, entry.first, entry.last = leaf.client, leaf.first, leaf.last
        entry.above = branch or None
        return entry
