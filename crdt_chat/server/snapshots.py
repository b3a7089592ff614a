"""When a page's log outweighs its snapshot, replace it: verified by reloading before rows go."""

import logging

from crdt_chat.page.layout import ROOTS
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows
from crdt_chat.server.loading import SPARE_CLIENT
from crdt_chat.server.room import Room

log = logging.getLogger(__name__)

ROWS = 500
"""A page in use gets a new snapshot after this many rows at least, an idle one when it has any."""

IDLE_ROWS = 50
"""Fewer rows than this are cheaper to replay than to snapshot again."""


def _due(page: Page) -> int:
    """After how many rows to write all of the page again: as many as half of what is on it.

    A busy page would be written and read back whole every second otherwise.
    """
    counts = page.counts()
    return max(ROWS, (counts.annotations + counts.comments) // 2)


def _reads_back(page: Page, data: bytes) -> bool:
    copy = Page.load(data, (), GateRows(), page.limits, SPARE_CLIENT)
    return copy.state_vector() == page.state_vector() and all(
        dict(copy.items(root)) == dict(page.items(root)) for root in ROOTS
    )


async def snapshot(room: Room, *, leaving: bool = False) -> bool:
    """Write a snapshot of a clean room if it is due. Returns whether one was written.

    leaving: the room is about to be evicted. The bytes are loaded into a fresh page and compared
    with the one in memory first: rows that a snapshot replaces are gone for good.
    """
    rows = room.committed - room.snapshot_seq
    if room.dirty or rows < (IDLE_ROWS if leaving else _due(room.page)):
        return False
    seq, data = room.committed, room.page.state()
    if not _reads_back(room.page, data):
        where = {"tenant": room.key.tenant, "page": room.key.page, "seq": seq}
        log.error("a snapshot does not read back as written: the log is kept", extra=where)
        return False
    written = await room.services.store.snapshot(room.key.tenant, room.key.page, seq, data)
    if written:
        room.snapshot_seq = max(room.snapshot_seq, seq)
    return written
