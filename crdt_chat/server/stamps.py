"""Awareness clocks: they rise whatever the time of day does, also from one process to the next.

A stock client ignores an awareness state whose clock is not above the last one it saw of that Yjs client
id, and keeps that clock for as long as its page is open, restarts of the server included.
"""

import logging

import anyio

from crdt_chat.server.rooms.services import Clock
from store.errors import StoreError
from store.protocol import Store

log = logging.getLogger(__name__)

AHEAD_MS = 300_000
"""So far ahead clocks are reserved in the store; a process that was killed may have used them all."""

RENEWED_S = 120.0
"""How often more are reserved."""


class Stamps:
    """Milliseconds since the epoch, at first; then what a steady clock says has passed."""

    def __init__(self, clock: Clock, floor: int = 0) -> None:
        """floor: no clock (ms) above it was ever used before."""
        self._monotonic = clock.monotonic
        self._began = clock.monotonic()
        self._first = max(clock.now(), floor + 1)

    def __call__(self) -> int:
        """The clock (ms) of this moment: never below an earlier answer."""
        return self._first + int((self._monotonic() - self._began) * 1000)


async def stamps_above(store: Store, clock: Clock) -> Stamps:
    """Stamps above all that any process on this store has used. Raises StoreError."""
    stamps = Stamps(clock, await store.reserve_clock(0))
    await _reserve(store, stamps)
    return stamps


async def keep_reserved(store: Store, stamps: Stamps) -> None:
    """Reserve more in time, for as long as the server runs."""
    while True:
        await anyio.sleep(RENEWED_S)
        await _reserve(store, stamps)


async def _reserve(store: Store, stamps: Stamps) -> None:
    try:
        await store.reserve_clock(stamps() + AHEAD_MS)
    except StoreError as error:
        # A full disk must not keep anybody from reading; only a clock set back could show it.
        log.warning("awareness clocks cannot be reserved now", exc_info=error)
