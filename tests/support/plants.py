"""Bugs to plant in a copy of the server: what nobody must be able to do to it without being noticed.

Each is a few edits of the source. Where the source moves to another file they still fit; where it changes
they have to be made anew: `found` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "crdt_chat"


class Misfit(AssertionError):
    """The source that a plant changes is not there, or more than once."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug: pieces of source and what replaces them."""

    name: str
    edits: Sequence[tuple[str, str]]

    def found(self, root: Path) -> list[tuple[Path, str, str]]:
        """Each edit with its file. Raises Misfit unless each fits exactly once below `root`."""
        files = {path: path.read_text("utf-8") for path in sorted((root / PACKAGE).rglob("*.py"))}
        where = []
        for old, new in self.edits:
            fits = [path for path, text in files.items() for _ in range(text.count(old))]
            if len(fits) != 1:
                raise Misfit(f"{self.name} fits {len(fits)} times: {old!r}")
            where.append((fits[0], old, new))
        return where

    def sow(self, root: Path) -> None:
        """Change the source below `root`. Raises Misfit."""
        for path, old, new in self.found(root):
            path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


PLANTS = (
    Plant(
        "shown to others before the commit",
        [
            (
                "        if admitted.steps:\n            self.states.clear()\n        return True\n",
                "        if admitted.steps:\n            self.states.clear()\n"
                "        for step in admitted.steps:\n"
                "            frame = wire.update(step.verdict.update)\n"
                "            seq = self._commits.seq\n"
                "            fan_out(self.peers.values(), frame, author.connection, seq)\n"
                "        return True\n",
            )
        ],
    ),
    Plant(
        "deletions left out of a diff",
        [("            deleted = column.deletions(client)\n", '            deleted = b""\n')],
    ),
    Plant(
        "a step 2 that does not wait for its commit",
        [
            (
                "        batch = self._commits.covering\n        if batch is None:\n"
                "            peer.answer(",
                "        batch = None\n        if batch is None:\n            peer.answer(",
            )
        ],
    ),
    Plant(
        "saved said before the commit",
        [
            (
                "batch = Batch(self.committed) if covering is None else covering",
                "batch, covering = Batch(self.committed), None",
            )
        ],
    ),
    Plant(
        "what waits survives a rebuilding",
        [
            (
                "        discarded, self._pending = self._pending, Batch(self._pending.seq)\n"
                "        self._services.queue.done(len(discarded.entries), discarded.size)\n"
                "        discarded.fail()\n",
                "",
            ),
            (
                "        self._pending = Batch(seq)\n        self._stopped = False\n",
                "        self._pending.seq = seq + len(self._pending.entries)\n"
                "        self._stopped = False\n",
            ),
        ],
    ),
    Plant(
        "a slow reader is not owed what was dropped",
        [
            (
                "        if self.size + len(frame) > self.limit and self.frames:\n"
                "            self.lagging = True\n            return\n        self.push(frame)\n",
                "        if self.size + len(frame) > self.limit and self.frames:\n"
                "            return\n        self.push(frame)\n",
            )
        ],
    ),
    Plant(
        "a shared step 2 is kept when the page changes",
        [
            (
                "        if admitted.steps:\n            self.states.clear()\n        return True\n",
                "        return True\n",
            )
        ],
    ),
    Plant(
        "events of a commit that only seemed to fail are not told",
        [
            (
                "        return await room.services.store.events("
                "room.key.tenant, room.key.page, room.last_event)\n",
                "        return []\n",
            )
        ],
    ),
    Plant(
        "a lost connection is counted for ever",
        [
            (
                "        self.depart(peer.id, lost=lost)\n",
                "        if not lost:\n            self.depart(peer.id, lost=False)\n",
            )
        ],
    ),
    Plant(
        "nobody's awareness is renewed",
        [("        self.presence.renew(self._services.stamps())\n", "")],
    ),
    Plant(
        "who sent what was refused keeps her copy",
        [
            (
                '        if verdict.repair == "reset" and not peer.speaks_control:\n',
                '        if verdict.repair == "never":\n',
            )
        ],
    ),
    Plant(
        "a page is touched while a big job has it",
        [
            (
                "        await self.turn.wait()\n        if self.page.rests and",
                "        if self.page.rests and",
            )
        ],
    ),
    Plant(
        "old replicas are not turned away after a new epoch",
        [
            ("        if self.loaded.retired:\n", "        if False:\n"),
            ("        if self.retired:\n", "        if False:\n"),
        ],
    ),
    Plant(
        "moderators are told before the commit",
        [
            (
                "        await self._room.settled()\n        if notes is not",
                "        if notes is not",
            )
        ],
    ),
    Plant(
        "a place in the intake is never given back",
        [("        self._keep(connection.whose, -1)\n", "")],
    ),
    Plant(
        "who does not answer pings is never found",
        [
            (
                '            self._tell({"type": "websocket.disconnect", "code": SILENT, "reason": reason})\n'
                "            self._transport.abort()\n",
                "            self.due = shared.next_ping(now)\n",
            )
        ],
    ),
    Plant(
        "what is discarded stays in the commit queue",
        [
            (
                "        self._services.queue.done(len(discarded.entries), discarded.size)\n",
                "",
            )
        ],
    ),
)
"""The first five are what a review of the spine was most afraid of."""
