"""From changed keys to what happened: one event per thread and gesture, as legacy clients see it.

"one event per (annotation, broadcastId) in a commit" (design 10).
"""

from collections.abc import Iterable

from crdt_chat.client.mirror import Mirror
from crdt_chat.client.model import Event, EventType
from crdt_chat.page.verdict import Change

_ORDER: tuple[EventType, ...] = ("new-text-chat", "updated-text-chat", "deleted-text-chat")
"""Several gestures may come in one frame, whose keys have no order: birth first, death last."""


def events_of(changes: Iterable[Change], mirror: Mirror) -> list[Event]:
    """The text-chat events of these changes; `mirror` is the page after them."""
    threads: dict[str, list[Change]] = {}
    for change in changes:
        if change.root != "page" and change.name != "page":
            threads.setdefault(change.name.partition("/")[0], []).append(change)
    return [event for name, found in threads.items() for event in _of_thread(name, found, mirror)]


def _of_thread(name: str, changes: list[Change], mirror: Mirror) -> list[Event]:
    deletion = next((c for c in changes if c.root == "deleted" and c.after is not None), None)
    fallback = _broadcast_id(deletion) if deletion is not None else None
    kinds: dict[str | None, EventType] = {}
    for change in changes:
        gesture = _broadcast_id(change) or fallback
        kinds.setdefault(gesture, "updated-text-chat")
        if change.root == "annotations" and change.after is None:
            kinds[gesture] = "deleted-text-chat"
        elif change.root == "annotations" and change.before is None:
            kinds[gesture] = "new-text-chat"
    thread = mirror.annotation(name)
    if len(kinds) > 1 and None in kinds and kinds[None] == "updated-text-chat":
        # Removals carry no id of their own; beside a gesture that has one they belong to it.
        del kinds[None]
    found = sorted(kinds.items(), key=lambda item: _ORDER.index(item[1]))
    return [Event(kind, name, thread, gesture) for gesture, kind in found]


def _broadcast_id(change: Change) -> str | None:
    found = change.after.get("broadcastId") if isinstance(change.after, dict) else None
    return found if isinstance(found, str) else None
