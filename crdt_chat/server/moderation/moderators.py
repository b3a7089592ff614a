"""What moderators are told on their sockets: open flags, what is hidden or closed, and what was decided.

Only clients that ask for it with `?caps=moderation.1` and whose grant moderates are told, at join and after
each change; whose power ends is told that it has ended. Everything in a frame is durable: it waits
for the commit that covers what it was made from. Changes that come together are told together.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import anyio

from crdt_chat.errors import PageBroken, TryLater
from crdt_chat.identity import PageKey
from crdt_chat.page.page import Page
from crdt_chat.page.powers import POWERS
from crdt_chat.protocol import wire
from crdt_chat.server.rooms.batch import Batch
from crdt_chat.server.rooms.peer import Peer, nobody
from crdt_chat.server.sockets.channel import binary_frame
from store.errors import StoreError
from store.moderation import ModerationEntry

if TYPE_CHECKING:
    from crdt_chat.server.rooms.room import Room
    from crdt_chat.server.rooms.services import Services

CAPABILITY = "moderation.1"
"""What a client names in `caps` that wants to be told."""

PAUSE_S = 0.25
"""Seconds between two frames to the moderators of a page, however much changes."""

AGAIN_S = 1.0
"""Seconds until it is tried again, where the page or the store cannot be read."""

EXCERPT = 200
"""Characters of what is hidden, so that moderators know which it is; the whole is asked for over HTTP."""

BIG = 64 * 1024
"""Characters of hidden content that are read beside the loop."""

ENDS_FLAGS = frozenset({"hide", "dismiss"})
"""What answers the flags of an annotation or comment."""

_ENDED = wire.control({"type": "moderation", "moderates": False})
_NOT_ASKED: AbstractContextManager[None] = nullcontext()

Entry = dict[str, Any]


class _Desk:
    """One page and the peers on it that asked to be told."""

    def __init__(self, room: "Room", services: "Services") -> None:
        self._room = room
        self._services = services
        self._peers: dict[int, Peer] = {}
        self._given: dict[int, bytes] = {}
        self._owed: set[int] = set()
        self._notes: list[ModerationEntry] | None = None
        self._changes = 0
        self._hidden: dict[str, tuple[str, Entry]] = {}
        self._last = -PAUSE_S
        self._telling = False

    def join(self, peer: Peer) -> None:
        """From now on it is told, as long as its grant moderates."""
        self._peers[peer.id] = peer
        peer.retell = partial(self._review, peer)
        self._review(peer)

    def leave(self, peer: Peer) -> bool:
        """It is told nothing more. Returns whether it was the last one."""
        peer.retell = nobody
        for of_peers in (self._peers, self._given):
            of_peers.pop(peer.id, None)
        self._owed.discard(peer.id)
        return not self._peers

    def _review(self, peer: Peer) -> None:
        """Another grant counts for it, or what it was told may be lost."""
        told = self._given.pop(peer.id, None) is not None
        if _moderates(peer):
            self._owe([peer.id])
        elif told:
            self._owed.discard(peer.id)
            peer.send(_ENDED)

    def reread(self) -> None:
        """What was noted beside the page has changed."""
        self._notes = None
        self._changes += 1
        self._owe(self._peers)

    def changed(self) -> None:
        """A commit is durable, or the page was loaded again."""
        self._owe(self._peers)

    def _owe(self, peers: Iterable[int]) -> None:
        self._owed.update(peers)
        if not self._telling:
            self._telling = True
            self._services.start(self._tell)

    async def _tell(self) -> None:
        clock = self._services.clock
        try:
            while any(_moderates(self._peers[number]) for number in self._owed):
                pause = self._last + PAUSE_S - clock.monotonic()
                if pause > 0:
                    await anyio.sleep(pause)
                self._last = clock.monotonic()
                try:
                    await self._tell_now()
                except PageBroken as fault:
                    # As whoever else comes across it: once it is loaded again all of them are told.
                    self._room.break_down(fault)
                    await anyio.sleep(AGAIN_S)
                except (TryLater, StoreError):
                    # The page is being rebuilt, or the disk does not answer: nothing is lost by waiting.
                    await anyio.sleep(AGAIN_S)
        finally:
            self._telling = False

    async def _tell_now(self) -> None:
        notes = await self._read()
        await self._read_hidden()
        await self._room.awake()
        owed, body = set(self._owed), self._body(notes)
        await self._room.settled()
        if notes is not self._notes:
            # Something was noted or erased meanwhile: made anew.
            return
        self._owed -= owed
        frame = wire.control(body)
        encoded = binary_frame(frame)
        for number in owed & self._peers.keys():
            peer = self._peers[number]
            if _moderates(peer) and peer.closing is None and self._given.get(number) != frame:
                self._given[number] = frame
                peer.presence(frame, encoded)

    async def _read(self) -> list[ModerationEntry]:
        """What was noted. Read anew after each change: what an erasure took away must not stay here."""
        while self._notes is None:
            key, changes = self._room.key, self._changes
            entries = await self._services.store.moderation.of(key.tenant, key.page)
            if changes == self._changes:
                self._notes = entries
        return self._notes

    async def _read_hidden(self) -> None:
        """Look into what is hidden and was not looked into: a thread may be megabytes."""
        held = self._room.held
        self._hidden = {name: seen for name, seen in self._hidden.items() if name in held}
        for name, content in list(held.items()):
            seen = self._hidden.get(name)
            if seen is None or seen[0] is not content:
                job = partial(_summary, name, content)
                if len(content) > BIG:
                    aside = self._services.aside
                    told = await aside(job, tenant=self._room.key.tenant, reads=len(content))
                else:
                    told = job()
                self._hidden[name] = content, told

    def _body(self, notes: Sequence[ModerationEntry]) -> Entry:
        flags = [_flag(entry) for entry in open_flags(notes)]
        # What was hidden this very moment comes with the next frame.
        hidden = [self._hidden[name][1] for name in self._room.held if name in self._hidden]
        closed = closings(self._room.page, notes)
        ruled = [entry for entry in notes if entry.action != "flag"]
        limits = self._services.limits
        most = limits.moderation_entries
        for entries in (hidden, closed):
            entries.sort(key=lambda entry: _time(entry["at"]), reverse=True)
        return {
            "type": "moderation",
            "moderates": True,
            "counts": {
                "flags": len(flags),
                "hidden": len(hidden),
                "closed": len(closed),
                "rulings": len(ruled),
            },
            "flags": flags[:most],
            "hidden": hidden[:most],
            "closed": closed[:most],
            "rulings": _newest(ruled, limits.moderation_rulings),
        }


class Moderators:
    """The desks of all pages where somebody asked to be told."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._desks: dict[PageKey, _Desk] = {}

    def __len__(self) -> int:
        return len(self._desks)

    def told(self, room: "Room", peer: Peer, *, asked: bool) -> AbstractContextManager[None]:
        """Tell this peer of a room for the length of a block, if it `asked` for it."""
        return self._told(room, peer) if asked else _NOT_ASKED

    @contextmanager
    def _told(self, room: "Room", peer: Peer) -> Iterator[None]:
        desk = self._desks.get(room.key)
        if desk is None:
            desk = self._desks[room.key] = _Desk(room, self._services)
        desk.join(peer)
        try:
            yield
        finally:
            if desk.leave(peer):
                del self._desks[room.key]

    def settled(self, room: "Room", batch: Batch) -> None:
        """A commit of this page is durable: tell of it, and of what was noted with it."""
        if batch.moderated:
            self.noted(room.key)
        else:
            self.changed(room.key)

    def changed(self, key: PageKey) -> None:
        """Something on this page has changed, and is durable."""
        desk = self._desks.get(key)
        if desk is not None:
            desk.changed()

    def noted(self, key: PageKey) -> None:
        """Somebody flagged something on this page, or a moderator did something; it is durable."""
        desk = self._desks.get(key)
        if desk is not None:
            desk.reread()

    def erased(self, tenant: str) -> None:
        """Something of this tenant was erased, perhaps of what moderators were told."""
        for key, desk in self._desks.items():
            if key.tenant == tenant:
                desk.reread()


def open_flags(entries: Iterable[ModerationEntry]) -> list[ModerationEntry]:
    """The flags among a page's entries, oldest first, that no moderator has answered yet."""
    found: dict[str, list[ModerationEntry]] = {}
    for entry in entries:
        if entry.action == "flag":
            found.setdefault(entry.entity, []).append(entry)
        elif entry.action in ENDS_FLAGS:
            found.pop(entry.entity, None)
    return sorted((flag for flags in found.values() for flag in flags), key=lambda flag: flag.id)


def closings(page: Page, entries: Iterable[ModerationEntry]) -> list[Entry]:
    """What is closed on a page, by whom, since when (ms), and why as far as the entries know it."""
    last = {entry.entity: entry for entry in entries if entry.action in ("close", "reopen")}
    return [
        {"entity": name, "by": value["by"], "at": _time(value["at"]),
         "reason": _why(last.get(name), value)}
        for name, value in page.items("closed")
        if value["closed"]
    ]  # fmt: skip


def _moderates(peer: Peer) -> bool:
    return POWERS[peer.grant.role].moderates


def _time(at: object) -> int:
    """A time in ms; from a document it may come as a float."""
    return int(at) if isinstance(at, int | float) else 0


def _why(last: ModerationEntry | None, closed: Entry) -> str:
    """The reason of this very closing; "" where a CRDT client made it, which gives none."""
    if last is None or last.action != "close" or last.user != closed["by"]:
        return ""
    return last.reason if _time(closed["at"]) <= last.at else ""


def _flag(entry: ModerationEntry) -> Entry:
    return {"entity": entry.entity, "user": entry.user, "at": entry.at, "reason": entry.reason}


def _newest(ruled: Sequence[ModerationEntry], most: int) -> list[Entry]:
    """What moderators decided last, newest first: also what put things back, of which nothing else shows."""
    return [
        {"entity": each.entity, "action": each.action, "by": each.user, "at": each.at,
         "reason": each.reason}
        for each in islice(reversed(ruled), most)
    ]  # fmt: skip


def _summary(name: str, content: str) -> Entry:
    """What moderators are told of hidden content (server/moderation/moderation.py wrote it)."""
    held = json.loads(content)
    _, _, value = held["content"][0]
    words = value.get("body") or _quote(value)
    return {
        "entity": name,
        "by": held["by"],
        "at": held["at"],
        "reason": held["reason"],
        "creator": value["creator"],
        "excerpt": words[:EXCERPT],
    }


def _quote(annotation: Entry) -> str:
    """The words that an annotation is about."""
    found = (selector.get("exact") for selector in annotation["target"]["selector"])
    return next((words for words in found if isinstance(words, str)), "")
