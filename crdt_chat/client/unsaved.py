"""The keys that this peer has written and the server has not yet reported as durable."""

from collections.abc import Iterable
from dataclasses import dataclass

from crdt_chat.client.mirror import Mirror
from crdt_chat.client.replica import Operation
from crdt_chat.page.verdict import Json, Refusal

Key = tuple[str, str]

AGAIN = Refusal(
    "", "reset", "The server asked for a fresh document twice; this was not sent a third time."
)
GONE = Refusal("", "deleted", "It was deleted by somebody else in the meantime.")
UNKNOWN = Refusal("", "unknown", "What it belongs to is not on the page.")


@dataclass(slots=True)
class Write:
    """The newest value written to a key (None: removed), and the sync frame that carries it."""

    value: Json
    frame: int | None = None
    again: bool = False


class Unsaved:
    """By key, so that writing a key twice is one thing to save."""

    def __init__(self) -> None:
        self._writes: dict[Key, Write] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, operations: Iterable[Operation]) -> None:
        """These were just written to the document."""
        for root, name, value in operations:
            self._writes[root, name] = Write(value)

    def mark_again(self, operations: Iterable[Operation]) -> None:
        """These were written for the second time, after a reset."""
        for root, name, _ in operations:
            self._writes[root, name].again = True

    def sent(self, frame: int, keys: Iterable[Key] | None = None) -> None:
        """Sync frame number `frame` of the connection carries these keys; None: it carries all."""
        for key in self._writes if keys is None else keys:
            if key in self._writes:
                self._writes[key].frame = frame

    def saved(self, frames: int) -> None:
        """The first `frames` sync frames of the connection are durable."""
        for key, write in list(self._writes.items()):
            if write.frame is not None and write.frame <= frames:
                del self._writes[key]

    def disconnected(self) -> None:
        """Frames of a closed connection count no more; the next step 2 carries everything."""
        for write in self._writes.values():
            write.frame = None

    def refuse(self, key: str) -> Json:
        """The server refused `root/name`. Returns what was to be written."""
        root, _, name = key.partition("/")
        write = self._writes.pop((root, name), None)
        return write.value if write is not None else None

    def again(self, state: Mirror) -> tuple[list[Operation], list[tuple[Refusal, Json]]]:
        """After a reset: what is to be written again on the server's `state`, and what is given up.

        "Resync and re-submit their own keys once, never the refused ones" (design 4).
        """
        operations: list[Operation] = []
        given_up: list[tuple[Refusal, Json]] = []
        for (root, name), write in list(self._writes.items()):
            if state.value(root, name) == write.value:
                del self._writes[root, name]
                continue
            lost = AGAIN if write.again else self._lost(state, root, name)
            if lost is not None:
                del self._writes[root, name]
                given_up.append((Refusal(f"{root}/{name}", lost.rule, lost.reason), write.value))
                continue
            operations.append((root, name, write.value))
        return operations, given_up

    def _lost(self, state: Mirror, root: str, name: str) -> Refusal | None:
        """Why writing this key on `state` would be refused, None where it would not."""
        if _is_gone(state, root, name):
            return GONE
        thread = name.partition("/")[0]
        known = (
            root in ("annotations", "closed", "page")
            or ("annotations", thread) in self._writes
            or state.value("annotations", thread) is not None
            or state.is_deleted(thread)
        )
        return None if known else UNKNOWN


def _is_gone(state: Mirror, root: str, name: str) -> bool:
    """Whether a write to this key is a write on something deleted, which the rules refuse."""
    parts = name.split("/")
    if root == "reactions":
        return state.is_deleted(parts[0]) or state.is_deleted("/".join(parts[:2]))
    return root in ("annotations", "comments", "resolved") and state.is_deleted(name)


def own_keys(before: Mirror, state: Mirror, user: str, escaped: str) -> list[Operation]:
    """After a new epoch: own keys that the new state lacks and does not list as deleted."""
    found: list[Operation] = []
    for root in ("annotations", "comments", "reactions"):
        for name, value in before.roots[root].items():
            mine = (
                name.endswith(f"/{escaped}")
                if root == "reactions"
                else isinstance(value, dict) and value.get("creator") == user
            )
            if mine and state.value(root, name) is None and not _is_gone(state, root, name):
                found.append((root, name, value))
    return found
