"""Who listens to a page over `/sub`: each frame encoded once for all, and a bounded queue for each.

One whose queue is full is not dropped: what happened it is told from the event log when it has drained,
and who came and went from the room.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from crdt_chat.errors import RemoteFault, TryLater
from crdt_chat.identity import Grant
from crdt_chat.protocol import text_chat
from crdt_chat.server.rooms.people import PresenceChange
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.services import Services
from store.records import EventRow

CATCH_UP_ROWS = 50
"""Events that a lagging subscriber is told in one go; with the longest texts about 1 MiB."""

MISSED_PEOPLE = 1_000
"""People whose going is kept for one slow subscriber; of more it hears when it connects again."""


@dataclass(slots=True, eq=False)
class Subscriber:
    """One socket's queue; over `limit` bytes it lags: it is told from the log once it has drained.

    cursor: timestamp (ms) of the last event queued. missed: an event was left out since the log was
    last read. stale: it was not told who came or went, `left` are those who went. closing: why it
    was given up.
    """

    limit: int
    size: int = 0
    cursor: int = 0
    lagging: bool = False
    missed: bool = False
    stale: bool = False
    left: set[str] = field(default_factory=set)
    closing: RemoteFault | None = None
    frames: deque[tuple[str, int]] = field(default_factory=deque)
    work: anyio.Event = field(default_factory=anyio.Event)

    def event(self, timestamp: int, frame: str, size: int) -> None:
        """Queue an event, or leave it to the log."""
        if self.lagging or self._full(size):
            self.lagging = self.missed = True
        else:
            self.cursor = timestamp
            self.push(frame, size)

    def presence(self, frame: str, size: int, left: Iterable[str]) -> None:
        """Queue who came and went, or keep in mind who went: the log does not have it."""
        if not self._full(size):
            self.push(frame, size)
            return
        self.stale = True
        self.left.update(left)
        if len(self.left) > MISSED_PEOPLE:
            self.closing = TryLater("too slow: reconnect and catch up")
            self.left.clear()

    def _full(self, size: int) -> bool:
        return bool(self.frames) and self.size + size > self.limit

    def push(self, frame: str, size: int) -> None:
        """Queue a frame of `size` bytes."""
        self.frames.append((frame, size))
        self.size += size
        self.work.set()

    def caught_up(self, rows: Sequence[EventRow]) -> None:
        """Queue what the log had after `cursor`; live again if that was all."""
        for row in rows:
            frame = text_chat.frame(row.timestamp, row.body)
            self.push(frame, len(frame.encode()))
            self.cursor = row.timestamp
        self.lagging = self.missed or len(rows) == CATCH_UP_ROWS


@dataclass(slots=True, eq=False)
class Listener:
    """A subscriber as the guard sees it: somebody whose grant may end."""

    grant: Grant
    subscriber: Subscriber

    def regrant(self, grant: Grant) -> None:
        """It only listens: a role changes nothing for it."""
        self.grant = grant

    def close(self, fault: RemoteFault) -> None:
        """Tell it nothing more and end it with this fault."""
        self.subscriber.closing = fault
        self.subscriber.frames.clear()
        self.subscriber.work.set()


class Feed:
    """The subscribers of one page."""

    def __init__(self, room: Room, services: Services) -> None:
        self.subscribers: set[Subscriber] = set()
        self._room = room
        self._services = services

    def join(self, subscriber: Subscriber) -> None:
        """From now on it is told everything; at once, who is here: it counts one until it hears."""
        if not self.subscribers:
            self._room.listeners.add(self._event)
            self._room.people.listeners.add(self._presence)
        self.subscribers.add(subscriber)
        self.refresh(subscriber)

    def refresh(self, subscriber: Subscriber) -> None:
        """Tell a subscriber who is here now, and who went while it took nothing."""
        here = [user.id for user in self._room.people.presence.users()]
        shown = here[: self._services.limits.presence_list_users]
        now, left = self._services.clock.now(), subscriber.left.difference(here)
        frame = text_chat.presence(now, max(1, len(here)), joined=shown, left=sorted(left))
        subscriber.stale = False
        subscriber.left.clear()
        subscriber.push(frame, len(frame.encode()))

    def leave(self, subscriber: Subscriber) -> None:
        """It is told nothing more."""
        self.subscribers.discard(subscriber)
        if not self.subscribers:
            self._room.listeners.discard(self._event)
            self._room.people.listeners.discard(self._presence)

    def _event(self, row: EventRow) -> None:
        frame = text_chat.frame(row.timestamp, row.body)
        size = len(frame.encode())
        for subscriber in self.subscribers:
            subscriber.event(row.timestamp, frame, size)

    def _presence(self, change: PresenceChange) -> None:
        now = self._services.clock.now()
        frame = text_chat.presence(now, max(1, change.count), change.joined, change.left)
        size = len(frame.encode())
        for subscriber in self.subscribers:
            subscriber.presence(frame, size, change.left)
