"""Entries of a page as honest clients write them: values and operations for tests."""

import itertools
from typing import Any
from urllib.parse import quote

from yjs_peer import Operation

NOW = 1_763_000_000_000
"""The time of day in tests, milliseconds since the epoch."""

_fresh = itertools.count(1)

Json = Any


def fresh(prefix: str) -> str:
    """An id that no other test run of this process uses."""
    return f"{prefix}{next(_fresh)}"


def encoded(user: str) -> str:
    """A user id inside a key, as encodeURIComponent writes it."""
    return quote(user, safe="!'()*-._~")


def annotation(creator: str, exact: str = "a quoted passage", **more: Json) -> Json:
    """The value of an annotation with a quote selector."""
    target = {"selector": [{"type": "TextQuoteSelector", "exact": exact}]}
    return {"creator": creator, "created": NOW, "target": target, **more}


def comment(creator: str, body: str = "a comment", **more: Json) -> Json:
    """The value of a comment."""
    return {"creator": creator, "created": NOW, "body": body, **more}


def thread(creator: str, name: str, body: str = "first") -> list[Operation]:
    """A new annotation with its first comment `<name>/c1`, as one transaction."""
    return [
        ("set", "annotations", name, annotation(creator)),
        ("set", "comments", f"{name}/c1", comment(creator, body)),
    ]


def reply(creator: str, entity: str, body: str = "a reply") -> list[Operation]:
    """A new comment; `entity` is `<annotation id>/<comment id>`."""
    return [("set", "comments", entity, comment(creator, body))]


def deletion(user: str, entity: str, *below: tuple[str, str]) -> list[Operation]:
    """A `deleted` entry with the removal of the entity and of what is named below it."""
    root = "comments" if "/" in entity else "annotations"
    entry: Operation = ("set", "deleted", f"{entity}/{encoded(user)}", {"by": user, "at": NOW})
    removals: list[Operation] = [("delete", *key) for key in ((root, entity), *below)]
    return [entry, *removals]
