"""What the gate remembers beside the index: owners, creators, standing deletions, closed threads, counts.

Owners, creators and hidden names are kept beside the document (GateRows); the rest follows from the
document and is counted up and down with every change.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from crdt_chat.page.layout import entity_of, user_of
from crdt_chat.page.verdict import Change, Counts, GateRows, Json

SERVER: Final = ""
"""Owner of the client ids under which the server itself writes: no person has an empty user id."""

ENTITY_ROOTS: Final = ("annotations", "comments")


class Past(NamedTuple):
    """What never changes of an annotation or comment, also after its deletion."""

    creator: str
    created: int


class Ledger:
    """The facts that the rules look up, each in constant time.

    gone: creator and time of annotations and comments that are not there now; of the others the
    document tells. reset: client ids whose replicas were told to start anew. standing: per annotation
    or comment the (encoded) users whose deletion of it stands.
    """

    __slots__ = (
        "annotations",
        "closed",
        "comments",
        "erased",
        "gone",
        "held",
        "owners",
        "reacting",
        "reset",
        "standing",
    )

    def __init__(self) -> None:
        self.owners: dict[int, str] = {}
        self.gone: dict[str, Past] = {}
        self.held: set[str] = set()
        self.erased: frozenset[str] = frozenset()
        self.standing: dict[str, set[str]] = {}
        self.closed: set[str] = set()
        self.reacting: dict[str, int] = {}
        self.reset: set[int] = set()
        self.annotations = 0
        self.comments = 0

    def add(self, rows: GateRows) -> None:
        """Take the rows of the store when a page is loaded, before the changes that fill it."""
        users: dict[str, str] = {}
        for client, user in rows.owners:
            self.owners.setdefault(client, users.setdefault(user, user))
        for name, creator, created in rows.entities:
            self.gone.setdefault(name, Past(users.setdefault(creator, creator), created))
        self.erased = frozenset(rows.erased)
        self.held.update(rows.held)
        self.held.difference_update(rows.released)
        self.refuse(rows)

    def refuse(self, rows: GateRows) -> None:
        """Remember whose replicas hold what was refused for good: only a fresh document mends them."""
        self.reset.update(client for client, _, _, repair in rows.refused if repair == "reset")

    def apply(self, changes: Iterable[Change]) -> None:
        """Count what has changed in the document."""
        for change in changes:
            root = change.root
            step = (change.after is not None) - (change.before is not None)
            if root == "closed":
                self._close(change.name, change.after)
            elif step and root in ENTITY_ROOTS:
                self._count(change, step)
            elif step and root == "reactions":
                self._react(reacting(change.name), step)
            elif step and root == "deleted":
                self._stand(entity_of(root, change.name), user_of(change.name), step)

    def _count(self, change: Change, step: int) -> None:
        if change.root == "comments":
            self.comments += step
        else:
            self.annotations += step
        if step < 0:
            self.gone[change.name] = past_in(change.before)
        else:
            self.gone.pop(change.name, None)

    def _react(self, key: str, step: int) -> None:
        count = self.reacting.get(key, 0) + step
        if count:
            self.reacting[key] = count
        else:
            del self.reacting[key]

    def _stand(self, entity: str, user: str, step: int) -> None:
        if step > 0:
            self.standing.setdefault(entity, set()).add(user)
            return
        users = self.standing[entity]
        users.discard(user)
        if not users:
            del self.standing[entity]

    def _close(self, name: str, value: Json) -> None:
        if value is not None and value["closed"]:
            self.closed.add(name)
        else:
            self.closed.discard(name)

    def counts(self) -> Counts:
        """How many annotations and comments are live."""
        return Counts(self.annotations, self.comments)


def past_in(value: Json) -> Past:
    """Creator and time as the value of an annotation or comment gives them."""
    return Past(value["creator"], value["created"])


def reacting(name: str) -> str:
    """What the limit of reactions counts by: comment and user, of a name in `reactions`."""
    annotation, comment, _emoji, user = name.split("/")
    return f"{annotation}/{comment}/{user}"
