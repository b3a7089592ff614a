"""What one connection says about itself, at most so often: of what comes too fast only the newest counts."""

from collections.abc import Callable

import anyio

from crdt_chat.errors import RemoteFault
from crdt_chat.protocol import wire
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.sockets.rate import Bucket


class Awareness:
    """The awareness frames of one connection; made with the first of them. start starts its tasks."""

    __slots__ = ("_latest", "_pace", "_peer", "_room", "_services", "_start")

    def __init__(
        self, peer: Peer, room: Room, services: Services, start: Callable[..., object]
    ) -> None:
        rate = services.limits.awareness_per_s
        self._peer = peer
        self._room = room
        self._services = services
        self._start = start
        self._pace = Bucket(rate, max(1.0, rate))
        self._latest: tuple[wire.AwarenessEntry, ...] | None = None

    def hear(self, entries: tuple[wire.AwarenessEntry, ...]) -> None:
        """Take a frame, now or as soon as the rate allows; until bound in the page's turn.

        Raises Malformed.
        """
        if not self.bound and len(entries) == 1:
            # Its first awareness frame names one id: its own (design 4, ownership).
            self._room.announce(self._peer, entries[0].client)
        waiting = self._latest is not None
        mine = [entry for entry in entries if entry.client == self._client]
        if not mine:
            return
        self._latest = (mine[-1],)
        if waiting:
            self._services.metrics.awareness(dropped=1)
            return
        delay = self._pace.take(1, self._services.clock.monotonic())
        if delay > 0:
            self._start(self._hear_later, delay)
        else:
            self._hear_now()

    @property
    def bound(self) -> bool:
        """Whether its Yjs client id is known."""
        return self._client is not None

    @property
    def _client(self) -> int | None:
        return self._room.people.presence.attendances[self._peer.id].client

    async def _hear_later(self, delay: float) -> None:
        await anyio.sleep(delay)
        try:
            self._hear_now()
        except RemoteFault as fault:
            self._peer.close(fault)

    def _hear_now(self) -> None:
        entries, self._latest = self._latest, None
        if entries is not None:
            self._room.people.hear(self._peer, entries)
