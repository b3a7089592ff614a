"""The handlers of a sync page: called one after the other, in a thread that may use the page."""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from crdt_chat.client.model import Event, EventType

log = logging.getLogger(__name__)

Handler = Callable[[Event], Any]

MOST_WAITING = 10_000
"""Events that wait for slow handlers; beyond it the newest are dropped, and the log says so."""


class Handlers:
    """One thread for all handlers of a page, started with the first."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[Handler, Event] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def add(self, kind: EventType, handler: Handler) -> Callable[[Event], None]:
        """A listener (Peer.listen) that has `handler` called with the events of one type."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=_work,
                args=(self._waiting, self._ended),
                name="crdt-chat handlers",
                daemon=True,
            )
            self._thread.start()

        def deliver(event: Event) -> None:
            if event.type == kind:
                self._put((handler, event))

        return deliver

    def close(self) -> None:
        """No more handlers are called; one that is at work goes on to its end."""
        self._ended.set()
        # Where the queue is full the thread does not wait on it.
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _put(self, item: tuple[Handler, Event]) -> None:
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            log.warning("handlers of page events are too slow: an event is dropped")


def _work(waiting: "queue.Queue[tuple[Handler, Event] | None]", ended: threading.Event) -> None:
    while (item := waiting.get()) is not None and not ended.is_set():
        handler, event = item
        try:
            handler(event)
        except Exception:
            log.exception("a handler of page events failed")
