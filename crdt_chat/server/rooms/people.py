"""Who is on one page, told to its peers: joins, losses with their grace, coalesced frames.

The rules are protocol/presence.py's; this is their clock and their tasks. Changes are told at once
when the page is quiet and gathered for a while when many come together, so that N people who join
cost O(N) frames each, not O(N^2) in all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import anyio

from crdt_chat.identity import Grant
from crdt_chat.protocol import wire
from crdt_chat.protocol.presence import Presence, PresentUser
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.sockets.channel import binary_frame

SIGN_OF_LIFE = wire.awareness_of(())
"""An awareness frame without entries."""

PAUSE_S, PAUSE_PER_PEER_S, LONGEST_PAUSE_S = 0.05, 0.0025, 0.25
"""Seconds for which further changes are gathered after a frame went out, the more for a large audience:
to tell it takes some 10 us each, less than a hundredth of the time then."""


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """What listeners (the legacy bridge) are told: who came, who left, how many are here now."""

    joined: tuple[str, ...]
    left: tuple[str, ...]
    count: int


PresenceListener = Callable[[PresenceChange], None]


class People:
    """The people of one page."""

    def __init__(self, services: Services, peers: Mapping[int, Peer]) -> None:
        self.presence = Presence(services.limits.awareness_bytes)
        self.listeners: set[PresenceListener] = set()
        self._services = services
        self._peers = peers
        self._entries: dict[int, tuple[int, bytes]] = {}
        self._joined: dict[str, None] = {}
        self._left: dict[str, None] = {}
        self._recount = False
        self._telling = False
        self._last_told = -1.0

    def join(self, peer: Peer) -> None:
        """A connection is here from now on; it hears at once who else is."""
        new = self.arrive(peer.id, peer.grant)
        self.send_states(peer)
        if not new:
            self._count_for(peer)

    @property
    def empty(self) -> bool:
        """Whether nobody is here, also nobody whose socket was lost a moment ago."""
        return not self.presence.attendances

    def leave(self, peer: Peer, *, lost: bool) -> None:
        """A connection is gone: a clean close at once, a lost socket after its grace."""
        self.depart(peer.id, lost=lost)

    def arrive(self, connection: int, grant: Grant) -> bool:
        """Count in a connection that is told of others elsewhere. Returns whether its user is new."""
        new = self.presence.join(connection, grant)
        if new:
            self._came(grant.user)
            self._services.metrics.users_changed(1)
        return new

    def depart(self, connection: int, *, lost: bool) -> None:
        """Count a connection out: after a clean close at once, a lost socket after its grace."""
        if lost:
            self._services.start(self._depart_later, connection)
        else:
            self._depart_now(connection)

    async def _depart_later(self, connection: int) -> None:
        await anyio.sleep(self._services.limits.presence_grace_s)
        self._depart_now(connection)

    def _depart_now(self, connection: int) -> None:
        attendance = self.presence.attendances[connection]
        left, entry = self.presence.leave(connection, self._services.stamps())
        if entry is not None and attendance.client is not None:
            self._change(attendance.client, connection, entry)
        if left:
            self._went(attendance.grant.user)
            self._services.metrics.users_changed(-1)

    def hear(self, peer: Peer, entries: Iterable[wire.AwarenessEntry]) -> None:
        """A connection says something about itself. Raises Malformed."""
        entry = self.presence.accept(peer.id, entries, self._services.stamps())
        client = self.presence.attendances[peer.id].client
        if entry is not None and client is not None:
            self._change(client, peer.id, entry)

    def send_states(self, peer: Peer) -> None:
        """Send all live states to one peer."""
        frame = self.presence.states(peer.id)
        peer.outbox.stale_presence = False
        if frame is not None:
            peer.send(frame)

    def refresh(self, peer: Peer) -> None:
        """Tell a peer that was too slow for presence who is here now, and what else it may have missed."""
        self.send_states(peer)
        self._count_for(peer)
        peer.retell()

    def renew(self) -> None:
        """Give stock clients one combined renewal: they drop whoever is silent for 30 s.

        Everybody gets a frame: a y-websocket that hears nothing for 30 s, not even its own awareness,
        takes the server for dead, and a browser cannot see pings.
        """
        self.presence.renew(self._services.stamps())
        for peer in self._peers.values():
            states = None if peer.speaks_control else self.presence.states(peer.id)
            frame = SIGN_OF_LIFE if states is None else states
            peer.presence(frame, binary_frame(frame))

    def _came(self, user: str) -> None:
        self._recount = True
        if user in self._left:
            # Never an id in both lists; listeners that saw them leave have not been told yet.
            del self._left[user]
        else:
            self._joined[user] = None
        self._tell_soon()

    def _went(self, user: str) -> None:
        self._recount = True
        if user in self._joined:
            del self._joined[user]
        else:
            self._left[user] = None
        self._tell_soon()

    def _change(self, client: int, connection: int, entry: bytes) -> None:
        self._entries[client] = (connection, entry)
        self._tell_soon()

    def _tell_soon(self) -> None:
        if self._telling:
            return
        self._telling = True
        self._services.start(self._tell)

    async def _tell(self) -> None:
        clock = self._services.clock
        try:
            while self._entries or self._recount:
                apart = max(PAUSE_S, PAUSE_PER_PEER_S * len(self._peers))
                pause = self._last_told + min(apart, LONGEST_PAUSE_S) - clock.monotonic()
                if pause > 0:
                    await anyio.sleep(pause)
                self._last_told = clock.monotonic()
                self._tell_now()
        finally:
            self._telling = False

    def _tell_now(self) -> None:
        entries, self._entries = self._entries, {}
        if entries:
            self._forward(entries)
        if self._recount:
            self._recount = False
            self._tell_count()

    def _tell_count(self) -> None:
        joined, left = tuple(self._joined), tuple(self._left)
        self._joined.clear()
        self._left.clear()
        change = PresenceChange(joined, left, self.presence.count)
        listening = [peer for peer in self._peers.values() if peer.speaks_control]
        if listening:
            frame = wire.control(self.message())
            encoded = binary_frame(frame)
            for peer in listening:
                peer.presence(frame, encoded)
        for listener in tuple(self.listeners):
            listener(change)

    def _forward(self, entries: Mapping[int, tuple[int, bytes]]) -> None:
        """One awareness frame for all, but nobody is sent its own entry: it knows better."""
        everybody = wire.awareness_of(entry for _, entry in entries.values())
        encoded = binary_frame(everybody)
        own = {connection for connection, _ in entries.values()}
        self._services.metrics.awareness(forwarded=len(entries))
        for peer in self._peers.values():
            if peer.id not in own:
                peer.presence(everybody, encoded)
                continue
            others = [entry for connection, entry in entries.values() if connection != peer.id]
            if others:
                frame = wire.awareness_of(others)
                peer.presence(frame, binary_frame(frame))

    def _count_for(self, peer: Peer) -> None:
        if peer.speaks_control:
            peer.control(self.message())

    def message(self, *, everybody: bool = False) -> dict[str, object]:
        """The presence control frame: a count, and the list where it is short or was asked for."""
        body: dict[str, object] = {"type": "presence", "count": self.presence.count}
        if everybody or self.presence.count <= self._services.limits.presence_list_users:
            body["users"] = [_user(user) for user in self.presence.users()]
        return body


def _user(user: PresentUser) -> dict[str, object]:
    said: dict[str, object] = {"id": user.id, "name": user.name, "tabs": user.tabs}
    if user.avatar:
        said["avatar"] = user.avatar
    return said
