"""When a page's log outweighs its snapshot, replace it: verified by reloading before rows go."""

import logging
from functools import partial

from crdt_chat.errors import PageBroken
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows
from crdt_chat.page.yjs import shown
from crdt_chat.server.rooms.loading import SPARE_CLIENT
from crdt_chat.server.rooms.room import Room

log = logging.getLogger(__name__)

ROWS = 1_000
"""A page in use gets a new snapshot after this many rows at least, an idle one when it has any."""

IDLE_ROWS = 50
"""Fewer rows than this are cheaper to replay than to snapshot again."""


PAUSE_S, LONG_PAUSE_S = 3.0, 60.0
"""Before the next try after the store took none, and after one that does not read back."""


def _due(page: Page) -> int:
    """After how many rows to write all of the page again: three quarters as many as it has entries.

    To write and read back an entry costs half as much as to judge an update. To load a row costs what loading
    an entry does: the page takes less than twice as long to load as if it had just been written.
    """
    counts = page.counts()
    return max(ROWS, (counts.annotations + counts.comments) * 3 // 4)


def _verified(page: Page) -> bytes | None:
    """The page's state, if a page that is loaded from it says the same."""
    data = page.state()
    return data if reads_back(page, data) else None


def reads_back(page: Page, data: bytes) -> bool:
    """Whether a fresh page of `data` says the same, and Yjs shows the same of it, entry by entry.

    Raises PageBroken if `page` itself is broken.
    """
    vector, counts = page.state_vector(), page.counts()
    left: dict[str, int] = {root: len(page.names(root)) for root in ROOTS}
    try:
        copy = Page.load(data, (), GateRows(), page.limits, SPARE_CLIENT)
        if copy.state_vector() != vector or copy.counts() != counts:
            return False
        for root, name, value in shown(data):
            left[root] -= 1
            if page.value(root, name) != value:
                return False
    except PageBroken:
        return False
    return not any(left.values())


async def snapshot(room: Room, *, leaving: bool = False) -> bool:
    """Write a snapshot of a clean room if it is due. Returns whether one was written.

    leaving: the room is about to be evicted. The bytes are loaded into a fresh page and compared
    with the one in memory first: rows that a snapshot replaces are gone for good.
    """
    await room.turn.wait()
    rows, now = room.committed - room.snapshot_seq, room.services.clock.monotonic()
    if room.dirty or rows < (IDLE_ROWS if leaving else _due(room.page)):
        return False
    if now < room.snapshot_not_before and not leaving:
        return False
    seq, page = room.committed, room.page
    big = page.size > room.services.slices.judged
    data = await room.turn.run(partial(_verified, page), big=big)
    if data is None:
        where = {"tenant": room.key.tenant, "page": room.key.page, "seq": seq}
        room.snapshot_not_before = now + LONG_PAUSE_S
        room.services.metrics.unverified()
        log.error("a snapshot does not read back as written: the log is kept", extra=where)
        return False
    room.snapshot_not_before = now + PAUSE_S
    written = await room.services.store.snapshot(room.key.tenant, room.key.page, seq, data)
    if written:
        room.snapshot_seq = max(room.snapshot_seq, seq)
        room.snapshot_not_before = 0.0
    return written
