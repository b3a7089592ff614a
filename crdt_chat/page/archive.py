"""What deletions took away, so that lifting the last of them brings it back (design 3, "Restoring").

A Y.Doc forgets what was removed from it, and the history may have been pruned: so the last value of
every key that went with a deletion is kept beside the document until it is back, or erased.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from crdt_chat.identity import Grant
from crdt_chat.page.json_text import as_text
from crdt_chat.page.layout import annotation_of, entity_of
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import Change, Json, Verdict

RESTORED: Final = ("annotations", "comments", "resolved", "reactions")
"""The roots that a deletion empties and its lifting fills again: what others lie below comes first."""

Deleted: TypeAlias = Callable[[str], bool]
"""Whether a deletion of this very annotation or comment stands."""

Key: TypeAlias = tuple[str, str]

Writes: TypeAlias = list[tuple[str, str, Json]]
"""Root, name and value of each entry to write."""


class Archive:
    """The last value of every key that a deletion removed, as JSON text by (root, name).

    limit: characters of JSON; beyond it the oldest is forgotten, and cannot be restored any more.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]], limit: int) -> None:
        self._kept = {(root, name): content for root, name, content in rows}
        self._size = sum(map(len, self._kept.values()))
        self._limit = limit

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, changes: Iterable[Change], deleted: Deleted) -> dict[Key, str | None]:
        """Keep what these changes removed under a standing deletion, forget what is there again.

        Returns what has to be persisted of it: new content by key, None where it is forgotten.
        """
        noted: dict[Key, str | None] = {}
        for change in changes:
            if change.root not in RESTORED:
                continue
            key = (change.root, change.name)
            if change.after is not None:
                self._forget(key, noted)
            elif key not in self._kept and _covered(*key, deleted):
                noted[key] = self._kept[key] = as_text(change.before)
                self._size += len(self._kept[key])
        while self._size > self._limit:
            self._forget(next(iter(self._kept)), noted)
        return noted

    def forget(self, keys: Iterable[Key]) -> dict[Key, str | None]:
        """Keep these no longer; returns as `note` does."""
        noted: dict[Key, str | None] = {}
        for key in keys:
            self._forget(key, noted)
        return noted

    def _forget(self, key: Key, noted: dict[Key, str | None]) -> None:
        content = self._kept.pop(key, None)
        if content is not None:
            self._size -= len(content)
            noted[key] = None

    def below(self, entity: str) -> Writes:
        """What is kept of an annotation or comment and of what lay below it."""
        return [
            (*key, json.loads(content))
            for key, content in self._kept.items()
            if entity in entities_above(*key)
        ]

    def returned(self, changes: Iterable[Change], deleted: Deleted) -> Writes:
        """The writes that lifted deletions call for: root, name, value; parents first."""
        lifted = lifted_by(changes) if self._kept else set()
        if not lifted:
            return []
        back = [
            (*key, json.loads(content))
            for key, content in self._kept.items()
            if not lifted.isdisjoint(entities_above(*key)) and not _covered(*key, deleted)
        ]
        return sorted(back, key=lambda write: (RESTORED.index(write[0]), write[1]))


def lifted_by(changes: Iterable[Change]) -> set[str]:
    """The annotations and comments of which these changes remove a `deleted` entry."""
    return {
        entity_of("deleted", change.name)
        for change in changes
        if change.root == "deleted" and change.after is None
    }


def entities_above(root: str, name: str) -> tuple[str, ...]:
    """The entities whose deletion takes this key with it, the annotation first."""
    annotation = annotation_of(name)
    return (
        (annotation,)
        if root in ("annotations", "resolved")
        else (annotation, entity_of(root, name))
    )


def written_back(page: Page, back: Writes, grant: Grant, now: int) -> Verdict:
    """Write back as much of it as is accepted; the grant is an admin's. now: ms. Raises PageBroken."""
    while back:
        verdict = page.write(back, grant, now, keep_past=True)
        if verdict.kind != "refused":
            return verdict
        back = without(back, [refusal.key for refusal in verdict.refusals])
    return Verdict("trimmed")


def without(operations: Sequence[tuple[str, str, Json]], refused: Iterable[str]) -> Writes:
    """The operations but those refused (`root/name`) and what lies below them."""
    gone = set(refused)
    entities = {
        key.partition("/")[2] for key in gone if key.startswith(("annotations/", "comments/"))
    }
    return [
        (root, name, value)
        for root, name, value in operations
        if f"{root}/{name}" not in gone and entities.isdisjoint(entities_above(root, name))
    ]


def _covered(root: str, name: str, deleted: Deleted) -> bool:
    return any(deleted(entity) for entity in entities_above(root, name))
