"""When a page can't be trusted, or not be saved: forget what is not durable, load it again, go on.

Any exception out of `apply` and any failed commit end here (design 4). Readers stay connected; whoever
wrote is asked with step 1 for what was lost. While the store takes nothing, nothing is shown or
acknowledged, and it is tried again with growing pauses.
"""

import logging
from collections.abc import Callable, Set
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crdt_chat.errors import (
    EpochChanged,
    LocalFault,
    Malformed,
    RemoteFault,
    StoreUnavailable,
    TryLater,
)
from crdt_chat.page.limits import PageLimits
from crdt_chat.protocol import wire
from crdt_chat.server.rooms.commits import Commits
from crdt_chat.server.rooms.epochs import OLD_EPOCH
from crdt_chat.server.rooms.loading import LoadedPage, load_page
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.words import broken, failure
from store.errors import Closed, Quarantined, Unavailable
from store.records import CommitResult, EventRow, Failed, PageCommit, Rewrite, Rewritten, StoredPage

if TYPE_CHECKING:
    from crdt_chat.server.rooms.room import Room

log = logging.getLogger(__name__)

RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to rebuild a page or to find space again; the last one repeats."""


STRIKES = 3
"""So often in a row a connection may bring what the store does not take."""

PASSING = (Unavailable, Closed, Quarantined)
"""What a store raises that is not the fault of what was to be written."""

Make = Callable[[StoredPage], Rewrite]
"""From a page as the store has it to what replaces it."""


class Recovery:
    """Rebuilds one room from the store. under_way: until then nothing can be read or written."""

    def __init__(self, room: "Room", commits: Commits) -> None:
        self.under_way = False
        self._room = room
        self._commits = commits
        self._failures = 0
        self._strikes: dict[int, int] = {}

    def succeeded(self, authors: Set[int]) -> None:
        """A commit of these connections went well: the next trouble is a new one."""
        self._failures = 0
        for author in authors & self._strikes.keys():
            del self._strikes[author]

    def failed(self, result: CommitResult, authors: Set[int]) -> None:
        """A commit failed; whoever alone made it is asked again a few times only.

        What the disk refuses may pass. What the store itself refuses comes back with every step 2, and
        the whole page would be rebuilt for it for ever.
        """
        lasting = isinstance(result, Failed) and not isinstance(result.error, PASSING)
        if lasting and len(authors) == 1:
            (author,) = authors
            strikes = self._strikes[author] = self._strikes.get(author, 0) + 1
            peer = self._room.peers.get(author)
            if strikes >= STRIKES and peer is not None:
                del self._strikes[author]
                peer.close(Malformed("an update that cannot be saved"))
        self.begin(failure(result))

    def begin(self, fault: LocalFault) -> None:
        """Forget all that is not durable; the rebuilding goes on in the background."""
        # Before anything else: what waits builds on what is lost, also while a page is rewritten.
        self._commits.halt()
        if self.under_way:
            return
        log.error("page is rebuilt from the store", extra=self._where(), exc_info=fault)
        self.under_way = True
        self._room.services.start(self._rebuild, fail=self._again)

    def _where(self) -> dict[str, str]:
        return {"tenant": self._room.key.tenant, "page": self._room.key.page}

    def _again(self, fault: LocalFault) -> None:
        self.under_way = False
        self.begin(fault)

    async def _rebuild(self) -> None:
        await self._commits.finish()
        await self._room.turn.wait()
        while True:
            await anyio.sleep(RETRY_S[min(self._failures, len(RETRY_S) - 1)])
            self._failures += 1
            try:
                if await self._reload():
                    break
            except Exception:
                # Whatever it is, it is this page's: the others go on, and it is tried again.
                log.exception("page cannot be rebuilt yet", extra=self._where())
        self._room.services.metrics.page_rebuilt()
        self.under_way = False
        for peer in tuple(self._room.peers.values()):
            # While one is answered another may bring a big batch, break the page again, or leave.
            await self._room.turn.wait()
            if self.under_way:
                return
            if peer.id not in self._room.peers:
                continue
            try:
                await self._resume(peer)
            except RemoteFault as fault:
                # Its state vector had waited unread.
                peer.close(fault)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is this page's
                self.begin(broken(fault))
                return

    async def _reload(self) -> bool:
        """Whether the store takes a write again and the page could be loaded from it."""
        room = self._room
        key, services = room.key, room.services
        probe = PageCommit(key.tenant, key.page, room.committed, usage=[("pageRebuilds", 1)])
        result = (await services.store.commit([probe]))[0]
        if isinstance(result, Failed):
            return False
        # A Conflict is as good: the store works, and has rows that this room does not know of.
        tenant = services.config.tenant(key.tenant)
        limits = services.config.page if tenant is None else tenant.page
        loaded = await self._load(limits)
        missed = await self._missed(loaded)
        self._adopt(loaded, missed)
        return True

    async def _load(self, limits: PageLimits) -> LoadedPage:
        key, services = self._room.key, self._room.services
        client, at_once = services.ids.client(), services.slices.judged
        return await load_page(services.store, key, limits, client, services.aside, at_once)

    def _adopt(self, loaded: LoadedPage, missed: list[EventRow]) -> None:
        room = self._room
        rewritten = loaded.epoch != room.epoch
        room.adopt(loaded)
        for row in missed:
            room.tell_event(row)
        if rewritten:
            for peer in room.peers.values():
                # What still waits for a slow reader may be what was just erased.
                peer.outbox.clear()
                peer.relieve()
                peer.close(EpochChanged(OLD_EPOCH))

    async def rewrite(self, make: Make) -> Rewritten:
        """Replace the page in the store by what `make` makes of it, then in memory.

        Meanwhile nothing is received: whoever is here is closed with EpochChanged in the end.
        """
        if self.under_way:
            raise TryLater("the page is being rebuilt")
        self.under_way = True
        try:
            await self._commits.finish()
            await self._room.turn.wait()
            result = await self._replace(make)
            loaded = await self._load(self._room.page.limits)
            self._adopt(loaded, await self._missed(loaded))
        except BaseException as error:
            self.under_way = False
            self.begin(StoreUnavailable(f"the page could not be rewritten: {error}"))
            raise
        self.under_way = False
        return result

    async def _replace(self, make: Make) -> Rewritten:
        store, key = self._room.services.store, self._room.key
        while True:
            stored = await store.load(key.tenant, key.page) or StoredPage(0, 0, None, 0)
            made = await self._room.services.aside(partial(make, stored), tenant=key.tenant)
            result = await store.rewrite(key.tenant, key.page, stored.seq, made)
            if isinstance(result, Rewritten):
                return result

    async def _missed(self, loaded: LoadedPage) -> list[EventRow]:
        """Events that are durable though this room was told that their commit had failed."""
        room = self._room
        if loaded.last_event <= room.last_event:
            return []
        return await room.services.store.events(room.key.tenant, room.key.page, room.last_event)

    async def _resume(self, peer: Peer) -> None:
        room = self._room
        peer.catching_up = False
        peer.gapped = peer.batch_expected = True
        client = room.people.presence.attendances[peer.id].client
        announced = peer.announcing if client is None else client
        if announced is not None:
            # And tell it of a reset that a commit held back which stands, though it was called failed.
            room.announce(peer, announced)
        # Whatever is still under way from it may be older than what was lost.
        peer.asked += 1
        peer.send(wire.step1(room.page.state_vector()))
        owed, peer.owed = peer.owed, 0
        for _ in range(owed):
            await room.answer(peer, peer.vector)
        if not owed and peer.outbox.ready and peer.outbox.seq < room.committed:
            # Durable, and not shown to it: it is read from the store.
            peer.outbox.lagging = True
            peer.wake()
