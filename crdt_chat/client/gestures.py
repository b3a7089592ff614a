"""What a person does, as operations on keys: pure, exactly the writes of design 3."""

from dataclasses import dataclass
from typing import Any

from crdt_chat.client.mirror import Mirror
from crdt_chat.client.model import Annotation, Comment
from crdt_chat.client.replica import Operation
from crdt_chat.page.layout import deleted_name, reaction_name
from crdt_chat.page.verdict import Json


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose gesture it is, when (ms since the Unix epoch), and the id that all its writes share."""

    user: str
    now: int
    broadcast_id: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What is annotated: the quotation, its context, and where it stands (code points)."""

    exact: str
    prefix: str = ""
    suffix: str = ""
    start: int | None = None
    end: int | None = None

    def target(self) -> dict[str, Json]:
        """The W3C target. Raises ValueError where only one of `start` and `end` is given."""
        quotation = {"type": "TextQuoteSelector", "exact": self.exact}
        if self.prefix:
            quotation["prefix"] = self.prefix
        if self.suffix:
            quotation["suffix"] = self.suffix
        selectors: list[dict[str, Any]] = [quotation]
        if (self.start is None) != (self.end is None):
            raise ValueError("a position needs both start and end")
        if self.start is not None:
            selectors.append({"type": "TextPositionSelector", "start": self.start, "end": self.end})
        return {"selector": selectors}


def annotate(
    hand: Hand, annotation_id: str, passage: Passage, title: str | None = None
) -> list[Operation]:
    """A new annotation; its first comment is a `comment` in the same transaction."""
    value: dict[str, Json] = {
        "creator": hand.user,
        "created": hand.now,
        "target": passage.target(),
        "broadcastId": hand.broadcast_id,
    }
    if title is not None:
        value["title"] = title
    return [("annotations", annotation_id, value)]


def comment(hand: Hand, name: str, body: str, parent: str | None = None) -> list[Operation]:
    """A new comment named `<annotation id>/<comment id>`; `parent` is the id of another one."""
    value: dict[str, Json] = {
        "creator": hand.user,
        "created": hand.now,
        "body": body,
        "broadcastId": hand.broadcast_id,
    }
    if parent is not None:
        value["parent"] = parent
    return [("comments", name, value)]


def edit(hand: Hand, mirror: Mirror, item: Comment, body: str) -> list[Operation]:
    """A new body; everything else of the comment, creator and created above all, stays as it is."""
    value = dict(mirror.value("comments", item.name))
    value |= {"body": body, "edited": hand.now, "broadcastId": hand.broadcast_id}
    return [("comments", item.name, value)]


def react(hand: Hand, item: Comment, emoji: str, on: bool) -> list[Operation]:
    """Set or take back one's own reaction."""
    name = reaction_name(item.name, emoji, hand.user)
    return [("reactions", name, _stamp(hand) if on else None)]


def resolve(hand: Hand, item: Annotation, resolved: bool) -> list[Operation]:
    """Settle a discussion, or open it again."""
    return [("resolved", item.id, _by(hand) | {"resolved": resolved})]


def delete(hand: Hand, mirror: Mirror, item: Annotation | Comment) -> list[Operation]:
    """An entry in `deleted`, then the removal of the thing and of all below it that may go with it.

    "Whoever may delete an annotation may then remove the comments, reactions and `resolved` below
    it, never `closed` or `deleted` entries; whoever may delete a comment, its reactions."
    """
    name, root, with_it = (
        (item.id, "annotations", ("comments", "reactions", "resolved"))
        if isinstance(item, Annotation)
        else (item.name, "comments", ("reactions",))
    )
    removals: list[Operation] = [
        (below, key, None) for below, key in mirror.below(name) if below in with_it
    ]
    entry: Operation = ("deleted", deleted_name(name, hand.user), _by(hand))
    return [entry, (root, name, None), *removals]


def _stamp(hand: Hand) -> dict[str, Json]:
    return {"at": hand.now, "broadcastId": hand.broadcast_id}


def _by(hand: Hand) -> dict[str, Json]:
    return {"by": hand.user} | _stamp(hand)
