"""Every page in memory: opened once, kept while somebody is there, evicted when idle and clean."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

from crdt_chat.errors import LocalFault, NotFound, RemoteFault, TryLater
from crdt_chat.identity import PageKey
from crdt_chat.server.rooms.loading import load_page
from crdt_chat.server.rooms.owners import keep_owners
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.rooms.snapshots import snapshot
from crdt_chat.server.rooms.turn import thaw
from crdt_chat.server.rooms.words import broken
from store.errors import StoreError

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often housekeeping looks at the rooms."""


@dataclass(slots=True)
class Place:
    """A page's place: somebody loads the room, others wait for `ready`, None since; `guests` pin it."""

    ready: anyio.Event | None = field(default_factory=anyio.Event)
    room: Room | None = None
    guests: int = 0
    idle_since: float = 0.0


class Stay:
    """A room that is pinned for the length of a block, often the whole life of a connection."""

    __slots__ = ("_key", "_place", "_rooms")

    def __init__(self, rooms: "Rooms", key: PageKey) -> None:
        self._rooms = rooms
        self._key = key

    async def __aenter__(self) -> Room:
        self._place = await self._rooms.enter(self._key)
        if self._place.room is None:
            self._rooms.leave(self._place)
            raise TryLater("the page cannot be opened at the moment")
        return self._place.room

    async def __aexit__(self, *_error: object) -> None:
        self._rooms.leave(self._place)


class Rooms:
    """PageKey -> Room."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._places: dict[PageKey, Place] = {}
        services.metrics.follow_lagging(self._lagging)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Room]:
        return iter([place.room for place in self._places.values() if place.room is not None])

    def _lagging(self) -> int:
        return sum(peer.outbox.lagging for room in self for peer in room.peers.values())

    def find(self, key: PageKey) -> Room | None:
        """The room of `key`, if it is in memory now."""
        place = self._places.get(key)
        return place.room if place is not None else None

    def open(self, key: PageKey) -> "Stay":
        """The room of `key`, loaded if need be and pinned in memory for the length of a block.

        Raises NotFound for an unknown tenant, TryLater for a page that is damaged or unreadable.
        """
        return Stay(self, key)

    async def enter(self, key: PageKey) -> Place:
        """Pin the place of `key`, until `leave`. Raises as `open` does."""
        place = self._places.get(key)
        if place is None:
            # No await between the look and the entry: two who come at once get the same room.
            place = self._places[key] = Place()
            place.guests += 1
            await self._load(key, place)
        else:
            place.guests += 1
            if place.ready is not None:
                await self._wait(place, place.ready)
        return place

    def leave(self, place: Place) -> None:
        """One guest fewer."""
        place.guests -= 1
        place.idle_since = self.services.clock.monotonic()

    async def _wait(self, place: Place, ready: anyio.Event) -> None:
        try:
            await ready.wait()
        except BaseException:
            place.guests -= 1
            raise

    async def _load(self, key: PageKey, place: Place) -> None:
        services = self.services
        tenant = services.config.tenant(key.tenant)
        try:
            if tenant is None:
                raise NotFound("there is no such tenant here")
            # Shielded: others wait for this room, whatever becomes of the one who came first.
            with anyio.CancelScope(shield=True):
                loaded = await load_page(
                    services.store,
                    key,
                    tenant.page,
                    services.ids.client(),
                    services.aside,
                    services.slices.judged,
                )
            place.room = Room(key, loaded, services)
            services.metrics.pages_changed(1)
        except (StoreError, LocalFault) as fault:
            # Damaged, or the disk does not answer: never "not found, so start empty".
            where = {"tenant": key.tenant, "page": key.page}
            log.exception("page cannot be loaded", extra=where)
            raise TryLater("the page cannot be opened at the moment") from fault
        finally:
            if place.room is None:
                del self._places[key]
                place.guests -= 1
            ready, place.ready = place.ready, None
            if ready is not None:
                ready.set()

    async def housekeep(self) -> None:
        """Renew awareness, snapshot and evict, for as long as the server runs."""
        async with anyio.create_task_group() as tasks:
            # On its own: a snapshot waits for its turn, and what has to be done in time does not.
            tasks.start_soon(self._put_away)
            await self._keep_time()

    async def _keep_time(self) -> None:
        """What awaits nothing: renew awareness, cut off who takes nothing, put pages to rest."""
        clock, limits = self.services.clock, self.services.limits
        renewed = clock.monotonic()
        while True:
            await anyio.sleep(TICK_S)
            now = clock.monotonic()
            renewing = now - renewed >= limits.presence_renewal_s
            # Now and then also where there is no quiet moment: what is hidden is never collected.
            if renewing or not self.services.queue.updates:
                thaw()
            renewed = now if renewing else renewed
            for room in self:
                try:
                    if renewing:
                        room.people.renew()
                    room.drop_stuck(now)
                    room.rest(now)
                except Exception as fault:  # noqa: BLE001 - this page's trouble, logged as such
                    room.break_down(broken(fault))

    async def _put_away(self) -> None:
        """Write snapshots that are due and let go of pages where nobody is, one at a time."""
        clock, limits = self.services.clock, self.services.limits
        while True:
            await anyio.sleep(TICK_S)
            for key, place in list(self._places.items()):
                room = place.room
                if room is None or room.turn.busy:
                    continue
                idle_s = clock.monotonic() - place.idle_since
                idle = not place.guests and idle_s >= limits.page_idle_s
                try:
                    await (self._evict(key, place) if idle else snapshot(room))
                except StoreError:
                    # This page's trouble: the others are looked after, and it is tried again.
                    where = {"tenant": key.tenant, "page": key.page}
                    log.exception("page cannot be put away", extra=where)
                except Exception as fault:  # noqa: BLE001 - as well, and it can't be trusted
                    room.break_down(broken(fault))

    async def _evict(self, key: PageKey, place: Place) -> None:
        room = place.room
        if room is None or room.dirty or not room.people.empty:
            return
        if not await keep_owners(room):
            return
        await snapshot(room, leaving=True)
        # Somebody may have come while the snapshot was written.
        if not (place.guests or room.dirty) and self._places.get(key) is place:
            del self._places[key]
            self.services.metrics.pages_changed(-1)

    async def close(self) -> None:
        """Let every room finish what it has applied."""
        for room in self:
            await room.finish()

    async def dismiss(self, fault: RemoteFault) -> None:
        """Close every connection with this fault; returns when all of them are gone."""
        rooms = list(self)
        for room in rooms:
            for peer in room.peers.values():
                peer.close(fault)
        for room in rooms:
            await room.deserted()
