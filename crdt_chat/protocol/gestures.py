"""What people did, read off a commit: its changes grouped into gestures, one broadcastId each.

A legacy client drops what carries a broadcastId of its own (its echo), so a gesture never mixes two
people, and what one client did not do never travels under its id (design 10). Pure: fresh ids enter
as an argument.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Literal, NamedTuple, cast

from crdt_chat.page.verdict import Change, Json

Look = Callable[[str, str], Json]
"""(root, name) -> the value on the page after the commit, None where there is none."""

Effect = Literal["new", "updated", "deleted"]

THREAD_ROOTS = frozenset({"annotations", "comments", "resolved", "reactions", "deleted", "closed"})
"""Roots whose names begin with an annotation id (design 3)."""


class Attributed(NamedTuple):
    """One change of a commit and who made it; `update` tells which admitted update it came with.

    broadcast_id is the one of the request behind a server-made write, where the values cannot say
    it (a restore brings back old ones). None: the values say it, as clients write them.
    """

    change: Change
    actor: str
    update: int = 0
    broadcast_id: str | None = None


@dataclass(slots=True)
class Gesture:
    """What one person did to one annotation under one broadcastId within a commit.

    first and last are positions in the commit's sequence of changes; decided is the one that made
    the annotation appear or disappear. comments are the comment ids it wrote, in order.
    """

    annotation: str
    broadcast_id: str
    actor: str
    first: int
    last: int
    effect: Effect = "updated"
    decided: int | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def at(self) -> int:
        """Where its event stands among the others: at what decided it, else where it began."""
        return self.first if self.decided is None else self.decided

    def take(self, position: int, change: Change) -> None:
        """Count one more change in."""
        self.last = position
        effect = _effect(change)
        if effect is not None:
            self.effect, self.decided = effect, position
        if change.root == "comments" and change.after is not None:
            self.comments.append(change.name.split("/", 1)[1])


class Lifetimes:
    """Whether an annotation was there at a position of the commit, and as what.

    look reads the page as it is after the changes.
    """

    def __init__(self, changes: Sequence[Attributed], look: Look) -> None:
        self._changes = changes
        self._look = look

    @cached_property
    def _positions(self) -> dict[str, list[int]]:
        """Where each annotation was written. Most commits take none away, and never ask."""
        found: dict[str, list[int]] = {}
        for position, (change, *_) in enumerate(self._changes):
            if change.root == "annotations":
                found.setdefault(change.name, []).append(position)
        return found

    def value(self, annotation: str, position: int) -> Json:
        """The annotation as it was just after the change at `position`, None where absent."""
        positions = self._positions.get(annotation)
        if positions is None:
            return self._look("annotations", annotation)
        index = bisect_right(positions, position)
        if index:
            return self._changes[positions[index - 1]].change.after
        return self._changes[positions[0]].change.before

    def latest(self, gesture: Gesture) -> Json:
        """The annotation after the commit, else as this gesture last saw it; None if it never did.

        Events are upserts by id, in order: with the value after the commit none of them can carry
        an older state than the one before it.
        """
        now = self._look("annotations", gesture.annotation)
        if now is not None:
            return now
        seen = self.value(gesture.annotation, gesture.last)
        return self.value(gesture.annotation, gesture.first) if seen is None else seen


def gestures(changes: Sequence[Attributed], new_broadcast_id: Callable[[], str]) -> list[Gesture]:
    """The gestures of one commit, whose changes come in the order in which they took effect.

    A gesture is one (annotation, broadcastId, person); an operation without a broadcastId belongs
    to the gesture it came with, or gets an id from `new_broadcast_id`.
    """
    found: dict[tuple[str, str, str], Gesture] = {}
    position = 0
    for update in _updates(changes):
        for one, broadcast_id in zip(update, _broadcast_ids(update, new_broadcast_id), strict=True):
            annotation = annotation_of(one.change)
            if annotation is not None:
                key = (annotation, broadcast_id, one.actor)
                gesture = found.get(key)
                if gesture is None:
                    gesture = found[key] = Gesture(*key, first=position, last=position)
                gesture.take(position, one.change)
            position += 1
    return sorted(found.values(), key=attrgetter("at"))


def _updates(changes: Sequence[Attributed]) -> Iterator[Sequence[Attributed]]:
    """The changes of each admitted update, and of each actor in it."""
    first = 0
    for place, (_, actor, update, _) in enumerate(changes):
        before = changes[first]
        if before.update != update or before.actor != actor:
            yield changes[first:place]
            first = place
    if changes:
        yield changes[first:]


def annotation_of(change: Change) -> str | None:
    """The annotation a change is about; None for the page's own keys."""
    if change.root not in THREAD_ROOTS or (change.root, change.name) == ("closed", "page"):
        return None
    return change.name.split("/", 1)[0]


def _effect(change: Change) -> Effect | None:
    """What a change decides about its annotation, None where it merely updates it."""
    if change.root == "annotations" and (change.before is None) != (change.after is None):
        return "deleted" if change.after is None else "new"
    # A second deletion of what is gone already is an operation of its own, with its own id.
    if change.root == "deleted" and change.after is not None and change.name.count("/") == 1:
        return "deleted"
    return None


def _broadcast_ids(update: Sequence[Attributed], new_broadcast_id: Callable[[], str]) -> list[str]:
    """The broadcastId of each change of one update, in order."""
    brought = _brought(update)
    if None not in brought:
        return cast("list[str]", brought)
    said: dict[str | None, dict[str, None]] = {}
    shades: dict[str, str] = {}
    for (change, *_), broadcast_id in zip(update, brought, strict=True):
        if broadcast_id is not None:
            said.setdefault(annotation_of(change), {})[broadcast_id] = None
            if change.root == "deleted":
                shades[change.name.rpartition("/")[0]] = broadcast_id
    given: dict[str | None, str] = {}
    ids = []
    for (change, *_), broadcast_id in zip(update, brought, strict=True):
        annotation = annotation_of(change)
        known = broadcast_id or _inherited(change, tuple(said.get(annotation, ())), shades)
        if known is None:
            known = given.get(annotation) or new_broadcast_id()
            given[annotation] = known
        ids.append(known)
    return ids


def _brought(update: Sequence[Attributed]) -> list[str | None]:
    """The broadcastId that each change of an update brought itself."""
    lifted = {
        change.name.rpartition("/")[0]
        for change, *_ in update
        if change.root == "deleted" and change.after is None
    }
    return [
        one.broadcast_id
        or (None if lifted and _is_restored(one.change, lifted) else own_broadcast_id(one.change))
        for one in update
    ]


def own_broadcast_id(change: Change) -> str | None:
    """The id this change brought: what its key carried before is an older operation's."""
    after = change.after.get("broadcastId") if isinstance(change.after, dict) else None
    before = change.before.get("broadcastId") if isinstance(change.before, dict) else None
    return after if isinstance(after, str) and after and after != before else None


def _inherited(change: Change, said: Sequence[str], shades: dict[str, str]) -> str | None:
    """The id of the gesture that a change without one came with, None where that is not clear."""
    if len(said) == 1:
        return said[0]
    if change.after is None and change.root in {"annotations", "comments", "resolved", "reactions"}:
        # What a deletion removes: the entry lies on the annotation or on the comment.
        annotation, _, rest = change.name.partition("/")
        comment = f"{annotation}/{rest.split('/', 1)[0]}"
        return shades.get(comment) or shades.get(annotation)
    if change.root == "annotations" and change.before is None and said:
        return said[0]
    return None


def _is_restored(change: Change, lifted: set[str]) -> bool:
    """Whether a value is only back: its broadcastId is then the one of its first writing."""
    if change.before is not None or change.root == "deleted":
        return False
    parts = change.name.split("/")
    return parts[0] in lifted or "/".join(parts[:2]) in lifted
