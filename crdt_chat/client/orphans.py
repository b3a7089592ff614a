"""Own replies and reactions that a rewritten page lacks, together with what they belong to.

After a restored backup the author of a thread may come back later than those who answered it. What
they wrote waits here for the thread, since the server refuses what belongs to nothing.
"""

from collections.abc import Sequence

from crdt_chat.client.mirror import Mirror
from crdt_chat.client.replica import Operation
from crdt_chat.client.unsaved import UNKNOWN
from crdt_chat.page.layout import annotation_of, entity_of
from crdt_chat.page.verdict import Json, Refusal


class Orphans:
    """What waits, in the order in which it was written."""

    def __init__(self) -> None:
        self._waiting: list[Operation] = []

    def sort_out(self, operations: Sequence[Operation], mirror: Mirror) -> list[Operation]:
        """The operations that can be written on the page as `mirror` shows it; the others wait."""
        there = {(root, name) for root, name, _ in operations}
        ready = [one for one in operations if _belongs(one, mirror, there)]
        self._waiting += [one for one in operations if one not in ready]
        return ready

    def adopt(self, given_up: Sequence[tuple[Refusal, Json]]) -> list[tuple[Refusal, Json]]:
        """Let what was given up as belonging to nothing wait, too; returns the rest."""
        for refusal, value in given_up:
            if refusal.rule == UNKNOWN.rule:
                root, _, name = refusal.key.partition("/")
                self._waiting.append((root, name, value))
        return [one for one in given_up if one[0].rule != UNKNOWN.rule]

    def found(self, mirror: Mirror) -> list[Operation]:
        """Those whose thread is there now: they wait no longer."""
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, []
        return self.sort_out(waiting, mirror)


def _belongs(operation: Operation, mirror: Mirror, there: set[tuple[str, str]]) -> bool:
    """Whether what this is about is on the page, or among what is written with it."""
    root, name, _ = operation
    if root not in ("comments", "reactions"):
        return True
    above = [("annotations", annotation_of(name))]
    if root == "reactions":
        above.append(("comments", entity_of(root, name)))
    return all(key in there or mirror.value(*key) is not None for key in above)
