"""What honest people do: gestures that the rules allow as far as their own replica can tell."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from contents import Content, Json
from yjs_peer import Operation

from crdt_chat.identity import Grant, Role

from .archive import covered
from .oracle import EVIL, closed, encoded

CAST = {
    "ada": Role.EDITOR,
    "bob": Role.EDITOR,
    "cat|7": Role.COMMENTER,
    "mod@example.org": Role.MODERATOR,
    "eve": Role.EDITOR,
}
"""Everybody, with the role they begin with."""

ATTACKER = "eve"

EMOJI = ("👍", "❤️", "🎉", "🏳️‍🌈")
WORDS = ("hello", "é😀", "see above", "ще раз", "長い文", "a note", "x" * 200)


@dataclass(slots=True)
class Desk:
    """Where one person sits down: who she is, what her replica shows, the time, fresh ids.

    known: names of annotations and comments that the server will never forget.
    """

    grant: Grant
    view: Content
    now: int
    rng: random.Random
    fresh: Iterator[int]
    known: frozenset[str] = frozenset()

    @property
    def moderates(self) -> bool:
        """Whether she is a moderator or more."""
        return self.grant.role >= Role.MODERATOR

    def entries(self, root: str) -> dict[str, Json]:
        """The live entries of a root, as she sees them."""
        return self.view.get(root, {})

    def pick(self, names: list[str]) -> str | None:
        """One of these, or None."""
        return self.rng.choice(sorted(names)) if names else None

    def words(self) -> str:
        """Something to say, never twice the same."""
        return f"{self.rng.choice(WORDS)} {next(self.fresh)}"

    def may_add(self, name: str) -> bool:
        """Whether something new may appear at this name."""
        return self.moderates or not closed(name, self.view)

    def stands(self, entity: str) -> bool:
        """Whether a deletion of exactly this entity stands."""
        return any(entry.rpartition("/")[0] == entity for entry in self.entries("deleted"))

    def own(self, root: str) -> list[str]:
        """Her own live entities that nobody has deleted."""
        return [
            name
            for name, value in self.entries(root).items()
            if value["creator"] == self.grant.user and not self.stands(name)
        ]

    def did(self, operations: list[Operation]) -> None:
        """She sees what she has just done."""
        for _, root, name, *value in operations:
            entries = self.view.setdefault(root, {})
            if value:
                entries[name] = value[0]
            else:
                entries.pop(name, None)

    def gesture_id(self) -> dict[str, Json]:
        """Sometimes a broadcastId."""
        return {"broadcastId": f"b{next(self.fresh)}"} if self.rng.random() < 0.5 else {}


def believable(view: Content) -> Content:
    """The view without what only an attacker's own replica can hold: her forgeries."""
    return {
        root: {
            name: value
            for name, value in entries.items()
            if EVIL not in f"{name} {value}"
            and (root not in ("annotations", "comments") or somebody(value))
        }
        for root, entries in view.items()
    }


def somebody(value: Json) -> bool:
    """Whether this value names one of the cast as its creator."""
    return isinstance(value, dict) and value.get("creator") in CAST


Gesture = Callable[[Desk], list[Operation]]
"""The writes of one transaction; none if there is nothing to do it to."""


def comment(desk: Desk, **more: Json) -> Json:
    """The value of a new comment."""
    value = {"creator": desk.grant.user, "created": desk.now, "body": desk.words()}
    return value | more | desk.gesture_id()


def annotate(desk: Desk) -> list[Operation]:
    if desk.grant.role < Role.EDITOR or not desk.may_add("page"):
        return []
    name = f"a{next(desk.fresh)}"
    quoted = {"type": "TextQuoteSelector", "exact": desk.words(), "prefix": "p", "suffix": "s"}
    place = {"type": "TextPositionSelector", "start": 3, "end": 9}
    value = {
        "creator": desk.grant.user,
        "created": desk.now,
        "target": {"selector": [quoted, place]},
    }
    return [
        ("set", "annotations", name, value | desk.gesture_id()),
        ("set", "comments", f"{name}/c{next(desk.fresh)}", comment(desk)),
    ]


def reply(desk: Desk) -> list[Operation]:
    thread = desk.pick([name for name in desk.entries("annotations") if desk.may_add(name)])
    if thread is None or not desk.may_add("page"):
        return []
    others = [name for name in desk.entries("comments") if name.startswith(f"{thread}/")]
    parent = desk.pick(others)
    more = {} if parent is None or desk.rng.random() < 0.5 else {"parent": parent.split("/")[1]}
    return [("set", "comments", f"{thread}/c{next(desk.fresh)}", comment(desk, **more))]


def edit(desk: Desk) -> list[Operation]:
    name = desk.pick(desk.own("comments"))
    if name is None:
        return []
    value = desk.entries("comments")[name] | {"body": desk.words(), "edited": desk.now}
    return [("set", "comments", name, value)]


def edit_twice(desk: Desk) -> list[Operation]:
    return edit(desk) + edit(desk)


def anchor(desk: Desk) -> list[Operation]:
    names = list(desk.entries("annotations")) if desk.moderates else desk.own("annotations")
    name = desk.pick([name for name in names if not desk.stands(name)])
    if name is None or desk.grant.role < Role.EDITOR:
        return []
    value = desk.entries("annotations")[name]
    moved = {"selector": [{"type": "TextQuoteSelector", "exact": desk.words()}]}
    return [("set", "annotations", name, value | {"target": moved, "title": "moved"})]


def resolve(desk: Desk) -> list[Operation]:
    names = list(desk.entries("annotations")) if desk.moderates else desk.own("annotations")
    name = desk.pick([name for name in names if desk.may_add(name) and not desk.stands(name)])
    if name is None or desk.grant.role < Role.EDITOR:
        return []
    flag = not desk.entries("resolved").get(name, {"resolved": False})["resolved"]
    value = {"by": desk.grant.user, "at": desk.now, "resolved": flag}
    return [("set", "resolved", name, value | desk.gesture_id())]


def react(desk: Desk) -> list[Operation]:
    name = desk.pick(
        [
            name
            for name in desk.entries("comments")
            if desk.may_add(name) and not covered("comments", name, desk.entries("deleted"))
        ]
    )
    if name is None:
        return []
    key = f"{name}/{desk.rng.choice(EMOJI)}/{encoded(desk.grant.user)}"
    if key in desk.entries("reactions"):
        return [("delete", "reactions", key)]
    return [("set", "reactions", key, {"at": desk.now} | desk.gesture_id())]


def below(desk: Desk, entity: str) -> list[Operation]:
    """The removal of an entity and of everything below it that exists."""
    removals: list[Operation] = []
    for root in ("annotations", "comments", "reactions", "resolved"):
        for name in sorted(desk.entries(root)):
            if name == entity or name.startswith(f"{entity}/"):
                removals.append(("delete", root, name))
    return removals


def delete(desk: Desk, root: str) -> list[Operation]:
    names = list(desk.entries(root)) if desk.moderates else desk.own(root)
    name = desk.pick(names)
    if name is None:
        return []
    entry = {"by": desk.grant.user, "at": desk.now} | desk.gesture_id()
    key = f"{name}/{encoded(desk.grant.user)}"
    return [("set", "deleted", key, entry), *below(desk, name)]


def delete_comment(desk: Desk) -> list[Operation]:
    return delete(desk, "comments")


def delete_thread(desk: Desk) -> list[Operation]:
    return delete(desk, "annotations")


def restore(desk: Desk) -> list[Operation]:
    mine = encoded(desk.grant.user)
    entry = desk.pick(
        [
            name
            for name in desk.entries("deleted")
            if desk.moderates or name.rpartition("/")[2] == mine
        ]
    )
    return [] if entry is None else [("delete", "deleted", entry)]


def close(desk: Desk) -> list[Operation]:
    if not desk.moderates:
        return []
    name = desk.pick(["page", *desk.entries("annotations")])
    assert name is not None
    was = desk.entries("closed").get(name, {"closed": False})["closed"]
    if was and desk.rng.random() < 0.5:
        return [("delete", "closed", name)]
    value = {"by": desk.grant.user, "at": desk.now, "closed": not was}
    return [("set", "closed", name, value | desk.gesture_id())]


def entitle(desk: Desk) -> list[Operation]:
    return [("set", "page", "title", desk.words())] if desk.moderates else []


GESTURES: tuple[tuple[Gesture, int], ...] = (
    (annotate, 10),
    (reply, 14),
    (edit, 10),
    (edit_twice, 3),
    (anchor, 4),
    (resolve, 5),
    (react, 12),
    (delete_comment, 5),
    (delete_thread, 3),
    (restore, 5),
    (close, 4),
    (entitle, 1),
)
"""What people do, and how often."""

DELETIONS = (delete_comment, delete_thread, restore)


def gesture(desk: Desk) -> tuple[str, list[Operation]]:
    """A random gesture: its name and its writes."""
    does, weights = zip(*GESTURES, strict=True)
    chosen = desk.rng.choices(does, weights)[0]
    return chosen.__name__, chosen(desk)
