"""What deletions took away, so that lifting them brings it back: the store's part, in a dict."""

from collections.abc import Iterable

from crdt_chat.page.verdict import Change, Json

ORDER = ("annotations", "comments", "resolved", "reactions")


def entities_above(root: str, name: str) -> list[str]:
    """The entities whose deletion takes this key with it, the annotation first."""
    parts = name.split("/")
    return [parts[0]] if root in ("annotations", "resolved") else [parts[0], "/".join(parts[:2])]


def covered(root: str, name: str, entries: Iterable[str]) -> bool:
    """Whether one of the standing `deleted` entries covers this key."""
    deleted = {entry.rpartition("/")[0] for entry in entries}
    return any(entity in deleted for entity in entities_above(root, name))


class Archive:
    """The last value of every key that a deletion removed."""

    def __init__(self, kept: dict[tuple[str, str], Json] | None = None) -> None:
        self._kept = dict(kept or {})

    def copy(self) -> "Archive":
        """An independent copy."""
        return Archive(self._kept)

    def note(self, changes: Iterable[Change], entries: set[str]) -> None:
        """Remember what these changes removed under a standing entry, forget what is there again."""
        for change in changes:
            if change.root not in ORDER:
                continue
            key = (change.root, change.name)
            if change.after is None and covered(*key, entries):
                self._kept.setdefault(key, change.before)
            else:
                self._kept.pop(key, None)

    def returned(self, changes: Iterable[Change], entries: set[str]) -> list[tuple[str, str, Json]]:
        """The writes that lifted deletions call for, parents first."""
        lifted = {
            change.name.rpartition("/")[0]
            for change in changes
            if change.root == "deleted" and change.after is None
        }
        back = [
            (*key, value)
            for key, value in self._kept.items()
            if lifted.intersection(entities_above(*key)) and not covered(*key, entries)
        ]
        return sorted(back, key=lambda write: (ORDER.index(write[0]), write[1]))
