"""Clients on simulated links: stock ones (y-websocket's manners) and ours (`caps`), on pycrdt Docs."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.forgery import clocks
from simulation.people import ATTACKER
from simulation.replicas import PycrdtPeer
from yjs_peer import Operation

from crdt_chat.errors import EpochChanged, Forbidden
from crdt_chat.identity import Grant
from crdt_chat.page.update import Item, Update, decode
from crdt_chat.protocol import wire

from .link import Link

if TYPE_CHECKING:
    from .world import World

RENEW_S = 15.0
OUTDATED_S = 30.0
"""y-protocols: own state is said anew after half of this, others' are dropped after all of it."""

GOES_AWAY_S = 30.0
"""y-websocket: a server that says nothing for so long is gone."""


@lru_cache(maxsize=4_096)
def decoded(update: bytes) -> Update:
    """The parts of an update that the server sent, or an honest client."""
    return decode(update)


class Client:
    """One tab or program: a replica, perhaps a connection, and what it was told."""

    def __init__(
        self, world: "World", name: str, grant: Grant, *, caps: bool, echoes: bool
    ) -> None:
        self.world = world
        self.rng: Random = world.rng
        self.name = name
        self.grant = grant
        self.caps = caps
        self.attacker = grant.user == ATTACKER
        self.link: Link | None = None
        self.browser: list[Client] = [self]
        self.wanted = True
        self.resets = 0
        self.echoes = echoes
        self._retry = 0
        self._asked: set[str] = set()
        self._heard_at = 0.0
        self._clock = self.cursor = 0
        self._others: dict[int, tuple[int, str | None, float]] = {}
        self.start_anew()
        world.loop.call_later(self.rng.uniform(0, RENEW_S), self._beat)

    # The replica

    def start_anew(self, kept: bytes | None = None) -> None:
        """A page load: a new client id, with what was kept on this machine or nothing."""
        self.client = self.rng.randrange(1 << 16, 1 << 32)
        self.replica = PycrdtPeer(self.client, gc=True, echoes=self.echoes)
        self.clocks: dict[int, int] = {}
        self._waiting: list[bytes] = []
        self.count: int | None = None
        self.desk: dict[str, Any] | None = None
        self.synced = False
        if kept is not None:
            self.replica.receive(kept)
            self.clocks = clocks(self.replica.state_vector())

    def reload(self) -> None:
        """The person reloads the page; her copy lies in IndexedDB."""
        self.hang_up()
        waiting = self._waiting
        self.start_anew(self.replica.step2())
        self._waiting = waiting
        self.dial()

    def transact(self, operations: Sequence[Operation]) -> None:
        """Write, and send it if there is a connection."""
        self.cursor += 1
        for update in self.replica.transact(operations):
            self._learn(decode(update))
            self._say(update)
            for tab in self.browser:
                if tab is not self:
                    tab.overhear(update)

    def overhear(self, update: bytes) -> None:
        """Another tab of this browser did something: it is hers to send (BroadcastChannel).

        What builds on what this tab lacks waits for that, as in yjs. A pycrdt Doc would take it, and keep
        entries that were deleted once the rest has come; no tab of a browser is one.
        """
        self._waiting.append(update)
        self._take_waiting()

    def _take_waiting(self) -> None:
        while ready := [update for update in self._waiting if self._may_take(decoded(update))]:
            for update in ready:
                self._waiting.remove(update)
                self.replica.receive(update)
                self.clocks = clocks(self.replica.state_vector())

    def _may_take(self, update: Update) -> bool:
        known = Counter(self.clocks)
        for client, run in update.structs.items():
            if run[0].clock > known[client]:
                return False
            known[client] = max(known[client], run[-1].clock + run[-1].length)
        items = [item for run in update.structs.values() for item in run if isinstance(item, Item)]
        return all(item.origin is None or item.origin[1] < known[item.origin[0]] for item in items)

    def share(self, other: "Client") -> None:
        """Open in the browser where `other` is open: both tell each other everything."""
        other.browser.append(self)
        self.browser = other.browser
        self.overhear(other.replica.step2(self.replica.state_vector()))

    def _learn(self, update: Update) -> None:
        for client, run in update.structs.items():
            first = self.clocks.get(client, 0)
            assert run[0].clock <= first, (
                f"{self.name} is given {client}:{run[0].clock} and has it up to {first} only"
            )
            self.clocks[client] = max(first, run[-1].clock + run[-1].length)

    # The connection

    @property
    def online(self) -> bool:
        return self.link is not None

    def dial(self) -> None:
        """Connect, if this client wants to be online and is not."""
        if not self.wanted or self.link is not None:
            return
        self.link = self.world.connect(self)
        if self.link is None:
            self._dial_later()
            return
        self._heard_at = self.world.loop.time()
        self._asked.clear()
        self.synced = False
        step1 = wire.step1(self.replica.state_vector())
        if self.caps:
            self.renew()
            self.link.send(step1)
        else:
            self.link.send(step1)
            self.renew()

    def _dial_later(self) -> None:
        self._retry = min(self._retry + 1, 5)
        pause = min(2.5, 0.1 * 2**self._retry) * self.rng.uniform(0.5, 1.0)
        self.world.loop.call_later(pause, self.dial)

    def hang_up(self) -> None:
        """Close politely."""
        if self.link is not None:
            self.link.close()
            self._forget_link()

    def _forget_link(self) -> None:
        self.link = None
        self.synced = False
        self.count = self.desk = None
        # y-websocket on close: the others are gone, their clocks are remembered.
        self._others = {
            client: (clock, None, at) for client, (clock, _, at) in self._others.items()
        }

    def ended(self, link: Link, code: int) -> None:
        if link is not self.link:
            return
        self._forget_link()
        self.world.told(self, code)
        if code in (Forbidden.close_code, EpochChanged.close_code):
            self.reset()
        self._dial_later()

    def reset(self) -> None:
        """The document is dropped, in all tabs of the browser."""
        for tab in self.browser:
            tab.resets += 1
            tab.hang_up()
            tab.start_anew()
            tab._dial_later()

    def renew(self) -> None:
        """Say that we are here."""
        self._clock += 1
        # As long as she does nothing it is always the same: the server must keep it alive for others.
        state = json.dumps({"user": {"name": self.name}, "cursor": self.cursor})
        entry = wire.AwarenessEntry(self.client, self._clock, state)
        if self.link is not None:
            self.link.send(wire.awareness_of([wire.encode_entry(entry)]))

    def _beat(self) -> None:
        now = self.world.loop.time()
        if self.link is not None:
            if now - self._heard_at > GOES_AWAY_S:
                self.link.vanish(None)
                self._forget_link()
                self.dial()
            else:
                self.renew()
        self.world.loop.call_later(RENEW_S, self._beat)

    # Frames

    def _say(self, update: bytes) -> None:
        # Ours waits for the server's first step 1: what answers it carries everything.
        if self.link is not None and (not self.caps or self._asked):
            self._sync(wire.update(update), update)

    def _sync(self, frame: bytes, update: bytes) -> None:
        assert self.link is not None
        self.link.sent.append(update)
        self.link.send(frame)

    def took(self, link: Link, frame: bytes) -> None:
        if link is not self.link:
            return
        self._retry = 0
        self._heard_at = self.world.loop.time()
        match wire.decode(frame):
            case wire.SyncStep1(vector):
                self._asked.add("step1")
                update = self.replica.step2(vector)
                self._sync(wire.step2(update), update)
            case wire.SyncStep2(update):
                self.synced = True
                self._apply(update)
            case wire.Update(update):
                assert self.synced, f"{self.name} is given an increment before its step 2"
                self._apply(update)
            case wire.Awareness(entries):
                self._meet(entries)
            case wire.Control(body):
                assert self.caps, f"{self.name} did not ask for control frames"
                self._heed(body)

    def _apply(self, update: bytes) -> None:
        self._learn(decoded(update))
        for echo in self.replica.receive(update):
            self._say(echo)
        self._take_waiting()

    def _meet(self, entries: Sequence[wire.AwarenessEntry]) -> None:
        now = self.world.loop.time()
        for entry in entries:
            if entry.client == self.client:
                continue
            state = None if entry.state == "null" else entry.state
            clock, known, _ = self._others.get(entry.client, (-1, None, 0.0))
            if clock < entry.clock or (clock == entry.clock and state is None and known):
                self._others[entry.client] = (entry.clock, state, now)

    def _heed(self, body: Any) -> None:
        if body["type"] == "presence":
            self.count = body["count"]
        elif body["type"] == "moderation":
            self.desk = body
        elif body["type"] == "refused" and body["reset"]:
            self.reset()

    def sees(self) -> set[int]:
        """The client ids that its awareness shows now, its own left out."""
        now = self.world.loop.time()
        return {
            client
            for client, (_, state, at) in self._others.items()
            if state is not None and now - at < OUTDATED_S
        }
