"""The page's state for those who do not follow it: who asks with step 1, and who was too slow.

Nothing derived from the document leaves before the commit that covers it (design 4, "one watermark
per page"): a state made while updates are uncommitted waits in the batch that covers it.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from crdt_chat.errors import PageBroken
from crdt_chat.page.merge import merge
from crdt_chat.page.page import EMPTY_VECTOR
from crdt_chat.protocol import wire
from crdt_chat.server.rooms.commits import Commits
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.sockets.channel import binary_frame
from store.errors import StoreError
from store.records import LogRow

if TYPE_CHECKING:
    from crdt_chat.server.rooms.room import Room

log = logging.getLogger(__name__)

CATCH_UP_ROWS = 4_096
"""A lagging reader that lacks more rows than this gets the full state."""

SHARED = 32
"""How many encoded states are kept until the page changes, for those who ask the same."""

SHARED_BYTES = 1024 * 1024
"""How much they may weigh together, the first one exempt: a big page is the one worth sharing."""


class States:
    """Gives the readers of one room its state."""

    def __init__(self, room: "Room", commits: Commits) -> None:
        self._room = room
        self._commits = commits
        self._shared: dict[bytes, bytes] = {}
        self._size = 0

    def clear(self) -> None:
        """The page has changed: what is shared is old."""
        if self._shared:
            self._shared.clear()
            self._size = 0

    async def answer(self, peer: Peer, state_vector: bytes) -> None:
        """Answer a step 1 with what the peer lacks, at the commit that covers it.

        While the page is being rebuilt the peer is owed the answer. Raises Malformed for a
        state vector beyond reason.
        """
        peer.vector = state_vector
        peer.owed += 1
        frame = await self._encoded(state_vector)
        if frame is None:
            return
        # Nothing is awaited from here on: the page is as it was encoded.
        batch = self._commits.covering
        if batch is None:
            peer.answer(frame, self._room.committed)
        else:
            batch.answers.append((peer, frame, self._commits.seq))

    async def catch_up(self, peer: Peer) -> None:
        """Give a drained reader that lagged what was committed since its last row, in one piece.

        What is committed meanwhile it is given next, or once it has drained again.
        """
        while await self._gave_rows(peer) and peer.outbox.seq < self._room.committed:
            peer.outbox.lagging = True
            if peer.outbox.frames:
                return

    async def _gave_rows(self, peer: Peer) -> bool:
        """Give it one merge of the rows that it lacks. False: it is given the full state instead."""
        room, seq = self._room, peer.outbox.seq
        rows = await self._rows_after(seq)
        complete = bool(rows) and rows[0].seq == seq + 1 and rows[-1].seq >= room.committed
        size = sum(len(row.update) for row in rows)
        if complete and size <= peer.outbox.limit:
            await self._merged(peer, rows, size)
            return True
        frame = await self._encoded(EMPTY_VECTOR)
        if frame is None:
            return False
        batch = self._commits.covering
        if batch is None:
            peer.state(frame, room.committed)
        else:
            peer.catching_up = True
            batch.states.append((peer, frame, self._commits.seq))
        return False

    async def _merged(self, peer: Peer, rows: Sequence[LogRow], size: int) -> None:
        services = self._room.services
        merging = partial(merge, [row.update for row in rows])
        big, tenant = size > services.slices.judged, self._room.key.tenant
        missed = await services.aside(merging, tenant=tenant, reads=size) if big else merging()
        peer.state(binary_frame(wire.update(missed)), rows[-1].seq)

    async def _rows_after(self, seq: int) -> list[LogRow]:
        key = self._room.key
        try:
            return await self._room.services.store.read(key.tenant, key.page, seq, CATCH_UP_ROWS)
        except StoreError:
            # The page in memory says it, too.
            log.exception("rows cannot be read", extra={"tenant": key.tenant, "page": key.page})
            return []

    async def _encoded(self, state_vector: bytes) -> bytes | None:
        """The step 2 for this state vector as a whole WebSocket frame; None during a rebuild."""
        room = self._room
        await room.awake()
        if room.suspended:
            return None
        frame = self._shared.get(state_vector)
        if frame is None:
            page, services = room.page, room.services

            def encode() -> bytes:
                missing = page.diff(state_vector, services.limits.unknown_client_ids)
                return binary_frame(wire.step2(missing))

            slices, size = services.slices, page.size
            # To encode is less work than to read.
            reads = size * slices.judged // slices.encoded
            try:
                frame = await room.turn.run(encode, big=size > slices.encoded, reads=reads)
            except PageBroken as fault:
                room.break_down(fault)
            if frame is None or not room.lives(page):
                return None
            self._share(state_vector, frame)
        return frame

    def _share(self, state_vector: bytes, frame: bytes) -> None:
        size = len(state_vector) + len(frame)
        fits = len(self._shared) < SHARED and self._size + size <= SHARED_BYTES
        if fits or not self._shared:
            self._shared[state_vector] = frame
            self._size += size
