"""What deletions took away: the production archive, and its rows as a store would keep them.

What the oracle asks of deletions is answered here on its own, not by the code that it judges.
"""

from collections.abc import Iterable, Mapping

from crdt_chat.page import archive
from crdt_chat.page.verdict import Change, Json

LIMIT = 2**24


def entities_above(root: str, name: str) -> list[str]:
    """The entities whose deletion takes this key with it, the annotation first."""
    parts = name.split("/")
    return [parts[0]] if root in ("annotations", "resolved") else [parts[0], "/".join(parts[:2])]


def covered(root: str, name: str, entries: Iterable[str]) -> bool:
    """Whether one of the standing `deleted` entries covers this key."""
    deleted = {entry.rpartition("/")[0] for entry in entries}
    return any(entity in deleted for entity in entities_above(root, name))


class Archive:
    """The rows, and the archive that was loaded from them."""

    def __init__(self, rows: Mapping[tuple[str, str], str] | None = None) -> None:
        self._rows = dict(rows or {})
        self._kept = archive.Archive([(*key, text) for key, text in self._rows.items()], LIMIT)

    def copy(self) -> "Archive":
        """What a restarted server loads."""
        return Archive(self._rows)

    def note(self, changes: Iterable[Change], entries: set[str]) -> None:
        """Keep what these changes removed, with these `deleted` entries standing; persist it."""
        deleted = {entry.rpartition("/")[0] for entry in entries}
        for key, text in self._kept.note(changes, deleted.__contains__).items():
            if text is None:
                del self._rows[key]
            else:
                self._rows[key] = text

    def returned(self, changes: Iterable[Change], entries: set[str]) -> list[tuple[str, str, Json]]:
        """The writes that lifted deletions call for, parents first."""
        deleted = {entry.rpartition("/")[0] for entry in entries}
        return self._kept.returned(changes, deleted.__contains__)
