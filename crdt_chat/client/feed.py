"""Events that wait for their reader: a queue per reader, the oldest dropped when it is full."""

from collections import deque
from collections.abc import Collection

from crdt_chat.client.model import Event, EventType

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
