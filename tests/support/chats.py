"""A page as plain values, and what happens on it, for tests of legacy events."""

from collections.abc import Iterable
from itertools import count
from typing import Any

from crdt_chat.page.verdict import Change
from crdt_chat.protocol import text_chat
from crdt_chat.protocol.text_chat import Attributed, TextChatEvent

PAGE = "my-article"
Json = Any


class Content:
    """A page's content, changed as the gate would; `commit` holds what the next commit says."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Json] = {}
        self.commit: list[Attributed] = []
        self.updates = 0
        self._ids = count(1)

    def update(self, actor: str, *operations: tuple[str, str, Json], **extra: str) -> None:
        self.updates += 1
        for root, name, after in operations:
            before = self.values.pop((root, name), None)
            if after is not None:
                self.values[root, name] = after
            change = Change(root, name, before, after)
            self.commit.append(Attributed(change, actor, self.updates, **extra))

    def look(self, root: str, name: str) -> Json:
        return self.values.get((root, name))

    def below(self, root: str, annotation: str) -> Iterable[str]:
        return [n for r, n in self.values if r == root and n.startswith(f"{annotation}/")]

    def events(self, *, below: bool = True) -> list[TextChatEvent]:
        commit, self.commit = self.commit, []
        return text_chat.events(
            PAGE, commit, self.look, lambda: f"s{next(self._ids)}", self.below if below else None
        )

    def told(self) -> list[tuple[str, str, str, str]]:
        return [
            (e.type.removesuffix("-text-chat"), e.entity, e.broadcast_id, e.user)
            for e in self.events()
        ]


def annotation(creator: str = "ada", broadcast_id: str | None = None, **more: Json) -> Json:
    quote = {"type": "TextQuoteSelector", "exact": "some words"}
    value = {"creator": creator, "created": 1, "target": {"selector": [quote]}, **more}
    return value | ({"broadcastId": broadcast_id} if broadcast_id else {})


def comment(creator: str = "ada", broadcast_id: str | None = None, body: str = "hello") -> Json:
    value = {"creator": creator, "created": 2, "body": body}
    return value | ({"broadcastId": broadcast_id} if broadcast_id else {})


def entry(user: str, broadcast_id: str | None = None, **more: Json) -> Json:
    value = {"by": user, "at": 3, **more}
    return value | ({"broadcastId": broadcast_id} if broadcast_id else {})


def commented() -> Content:
    """A page with one annotation by ada and her first comment."""
    content = Content()
    content.update(
        "ada",
        ("annotations", "a1", annotation(broadcast_id="old")),
        ("comments", "a1/c1", comment(broadcast_id="old")),
    )
    content.commit.clear()
    return content
