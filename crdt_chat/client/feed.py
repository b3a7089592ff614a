"""Events that wait for their reader: a queue per reader, the oldest dropped when it is full."""

import weakref
from collections import deque
from collections.abc import Collection
from typing import Self

import anyio

from crdt_chat.client.model import Event, EventType
from crdt_chat.client.peer import Peer
from crdt_chat.client.wake import Wake

TEXT_CHAT: tuple[EventType, ...] = ("new-text-chat", "updated-text-chat", "deleted-text-chat")
"""What a reader gets who names no types: what the others did on the page."""

MOST_WAITING = 10_000
"""Events kept for a reader who does not read; `dropped` counts what went beyond."""


class Feed:
    """A listener (Peer.listen) that keeps the events of some types."""

    def __init__(self, types: Collection[EventType] = ()) -> None:
        self.types = frozenset(types or TEXT_CHAT)
        self.waiting: deque[Event] = deque()
        self.dropped = 0
        self.closed = False

    def __call__(self, event: Event) -> None:
        """Keep the event, if it is of a type that is read."""
        if event.type not in self.types or self.closed:
            return
        if len(self.waiting) >= MOST_WAITING:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(event)


class Events:
    """What happens on a page, for `async for`. Reading ends when the page is closed."""

    def __init__(self, peer: Peer, wake: Wake, feed: Feed, timeout: float | None) -> None:
        self._peer, self._wake, self._feed, self._timeout = peer, wake, feed, timeout
        weakref.finalize(self, peer.listen(feed))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        waiting = self._feed.waiting
        with anyio.move_on_after(self._timeout):
            await self._wake.until(lambda: bool(waiting) or self._peer.ended)
        if not waiting:
            raise StopAsyncIteration
        return waiting.popleft()
