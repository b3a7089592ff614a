"""The document as plain values, by root and by thread, kept up to date one changed key at a time.

Only Yjs decides what a key holds; this is its shadow, so that readers cost no crossing into the
document and each change is seen with its `before`. The page may come from a server without a gate:
what has not the shape of design 3 is left out, never an error.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeGuard
from urllib.parse import unquote

from crdt_chat.client.model import Annotation, Comment
from crdt_chat.page.layout import ROOTS, annotation_of
from crdt_chat.page.verdict import Change, Json

_NOTHING: Mapping[str, Json] = MappingProxyType({})


class Mirror:
    """A readable copy of the page. Not for writing: it takes what the document reports."""

    def __init__(self) -> None:
        self.roots: dict[str, dict[str, Json]] = {root: {} for root in ROOTS}
        self._below: dict[str, set[tuple[str, str]]] = {}
        self._threads: dict[str, Annotation] = {}

    def apply(self, root: str, name: str, after: Json) -> Change | None:
        """Take what `root/name` holds now, None for absent. Returns the change, if it is one."""
        values = self.roots[root]
        before = values.get(name)
        if before == after:
            return None
        thread = annotation_of(name)
        self._threads.pop(thread, None)
        if after is None:
            del values[name]
            below = self._below[thread]
            below.discard((root, name))
            if not below:
                del self._below[thread]
        else:
            values[name] = after
            self._below.setdefault(thread, set()).add((root, name))
        return Change(root, name, before, after)

    def value(self, root: str, name: str) -> Json:
        """What the key holds, None where it is absent."""
        return self.roots[root].get(name)

    def below(self, name: str) -> Iterator[tuple[str, str]]:
        """The keys (root, name) that belong to an annotation or a comment, itself not included."""
        inside = f"{name}/"
        for key in sorted(self._below.get(annotation_of(name), ())):
            if key[1].startswith(inside) or (key[1] == name and key[0] in ("resolved", "closed")):
                yield key

    def is_deleted(self, name: str) -> bool:
        """Whether an entry in `deleted` stands for this annotation or comment itself (design 3)."""
        depth = name.count("/") + 1
        return any(
            root == "deleted" and key.startswith(f"{name}/") and key.count("/") == depth
            for root, key in self._below.get(annotation_of(name), ())
        )

    def annotation(self, annotation_id: str) -> Annotation | None:
        """The live thread of this id, None where it is unknown or deleted."""
        known = self._threads.get(annotation_id)
        if known is None:
            known = self._project(annotation_id)
            if known is not None:
                self._threads[annotation_id] = known
        return known

    def annotations(self) -> list[Annotation]:
        """All live threads, the oldest first."""
        found = (self.annotation(name) for name in self.roots["annotations"])
        return sorted((item for item in found if item), key=lambda item: (item.created, item.id))

    def differences(self, newer: "Mirror") -> Iterable[Change]:
        """What somebody sees who looks away from this one and then at `newer`."""
        for root, values in self.roots.items():
            others = newer.roots[root]
            for name in [*values, *(name for name in others if name not in values)]:
                before, after = values.get(name), others.get(name)
                if before != after:
                    yield Change(root, name, before, after)

    def _project(self, annotation_id: str) -> Annotation | None:
        value = self.roots["annotations"].get(annotation_id)
        if not _is_entity(value) or self.is_deleted(annotation_id):
            return None
        target = value.get("target")
        quote, position = _selectors(target)
        return Annotation(
            id=annotation_id,
            creator=value["creator"],
            created=int(value["created"]),
            exact=_text(quote, "exact") or "",
            prefix=_text(quote, "prefix") or "",
            suffix=_text(quote, "suffix") or "",
            start=_integer(position, "start"),
            end=_integer(position, "end"),
            title=_text(value, "title"),
            source=_text(target, "source") if isinstance(target, dict) else None,
            comments=self._comments(annotation_id),
            resolved=_flag(self.roots["resolved"].get(annotation_id), "resolved"),
            closed=_flag(self.roots["closed"].get(annotation_id), "closed"),
        )

    def _comments(self, annotation_id: str) -> tuple[Comment, ...]:
        """The live comments of a thread, the oldest first; one walk over what belongs to it."""
        names: list[str] = []
        deleted: set[str] = set()
        reactions: dict[str, list[tuple[str, str]]] = {}
        for root, name in self._below[annotation_id]:
            if root == "comments":
                names.append(name)
            elif root == "deleted":
                deleted.add(name.rpartition("/")[0])
            elif root == "reactions" and name.count("/") == 3:
                comment, emoji, user = name.rsplit("/", 2)
                reactions.setdefault(comment, []).append((emoji, unquote(user)))
        found = (
            _comment(name, self.roots["comments"][name], reactions.get(name, ()))
            for name in names
            if name not in deleted
        )
        live = (comment for comment in found if comment is not None)
        return tuple(sorted(live, key=lambda item: (item.created, item.id)))


def _comment(name: str, value: Json, reactions: Iterable[tuple[str, str]]) -> Comment | None:
    if not _is_entity(value):
        return None
    annotation_id, _, comment_id = name.partition("/")
    chosen: dict[str, list[str]] = {}
    for emoji, user in sorted(reactions):
        chosen.setdefault(emoji, []).append(user)
    return Comment(
        id=comment_id,
        annotation_id=annotation_id,
        creator=value["creator"],
        created=int(value["created"]),
        body=_text(value, "body") or "",
        parent=_text(value, "parent"),
        edited=_integer(value, "edited"),
        reactions=MappingProxyType({emoji: tuple(users) for emoji, users in chosen.items()}),
    )


def _is_entity(value: Json) -> TypeGuard[dict[str, Any]]:
    return (
        isinstance(value, dict)
        and isinstance(value.get("creator"), str)
        and is_number(value.get("created"))
    )


def is_number(value: Json) -> TypeGuard[int | float]:
    """Whether this is a number that an integer can be made of: JSON's writers know others, too."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _selectors(target: Json) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The first quote and the first position selector of a W3C target."""
    selectors = target.get("selector") if isinstance(target, dict) else None
    found: dict[str, Mapping[str, Any]] = {}
    for selector in selectors if isinstance(selectors, list) else ():
        if isinstance(selector, dict) and isinstance(selector.get("type"), str):
            found.setdefault(selector["type"], selector)
    return found.get("TextQuoteSelector", _NOTHING), found.get("TextPositionSelector", _NOTHING)


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) else None


def _integer(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    return int(found) if is_number(found) else None


def _flag(value: Json, name: str) -> bool:
    return isinstance(value, dict) and value.get(name) is True
