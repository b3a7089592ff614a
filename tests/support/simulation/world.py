"""People's tabs, the network between them and the room, and how frames travel: all by one PRNG."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

from contents import Content
from yjs_peer import Operation, YjsPeers

from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits

from .judging import Judging
from .network import Connection
from .people import ATTACKER, CAST
from .replicas import PycrdtPeer, YjsTab
from .room import SimRoom
from .tabs import Tab


class World(Judging):
    """Tabs come, go, connect and hear each other; `deliver` moves one frame.

    counts: what happened, by name. log: a line for each thing, to be read when an assertion fails.
    """

    def __init__(self, peers: YjsPeers, seed: int) -> None:
        self.rng = random.Random(seed)
        self.peers = peers
        self.fresh: Iterator[int] = itertools.count(1)
        limits = PageLimits()
        if self.rng.random() < 0.15:
            limits = replace(limits, annotations=3, comments=6)
        super().__init__(limits)
        self.room = SimRoom(limits, self.inspect)
        self.grants = {
            user: Grant(tenant="t", user=user, name=user.title(), role=role)
            for user, role in CAST.items()
        }
        if self.rng.random() < 0.5:
            role = self.rng.choice([Role.VIEWER, Role.COMMENTER, Role.MODERATOR])
            self.grants[ATTACKER] = replace(self.grants[ATTACKER], role=role)
        for user in self.grants:
            for _ in range(self.rng.choice([1, 1, 2])):
                self.sit_down(user)

    # -- tabs ----------------------------------------------------------------------------------

    def client_id(self) -> int:
        """A random Yjs client id, now and then a big one."""
        return self.rng.randrange(2**16, 2 ** self.rng.choice([32, 32, 32, 53]))

    def sit_down(self, user: str) -> Tab:
        """A new tab, sometimes in a browser where this person (or another) has one already."""
        attacker = user == ATTACKER
        python = not attacker and self.rng.random() < 0.25
        beside = None if python or attacker else self.somebody_beside(user)
        own_rules = self.rng.random() < 0.7
        can_undo = not python and self.rng.random() < 0.3
        name = f"{user}-{next(self.fresh)}"
        gc = self.rng.random() < 0.7
        replica: YjsTab | PycrdtPeer = (
            PycrdtPeer(self.client_id(), gc=True, echoes=not own_rules)
            if python
            else YjsTab(self.peers, name, self.client_id(), gc=gc, undo=can_undo)
        )
        tab = Tab(
            name,
            replica,
            self.grants[user],
            beside.browser if beside else next(self.fresh),
            attacker=attacker,
            own_rules=own_rules,
            can_undo=can_undo,
            stubborn=attacker and self.rng.random() < 0.3,
        )
        self.tabs.append(tab)
        self.clients[replica.client] = user
        self.meet(tab)
        if self.rng.random() < 0.7:
            self.connect(tab)
        return tab

    def somebody_beside(self, user: str) -> Tab | None:
        """A tab in whose browser this person may open hers: rarely another person's."""
        able = [
            tab
            for tab in self.tabs
            if isinstance(tab.replica, YjsTab)
            and not tab.attacker
            and (tab.user == user or self.rng.random() < 0.03)
        ]
        return self.rng.choice(able) if able and self.rng.random() < 0.5 else None

    def meet(self, tab: Tab) -> None:
        """BroadcastChannel: a new tab and the others tell each other everything."""
        for other in self.neighbours(tab):
            if other.user != tab.user:
                for one in (*self.neighbours(tab), tab):
                    one.shared = True
            for flag in ("undid", "restored", "demoted"):
                either = getattr(tab, flag) or getattr(other, flag)
                setattr(tab, flag, either)
                setattr(other, flag, either)
            tab.replica.receive(other.replica.step2(tab.replica.state_vector()))
            other.replica.receive(tab.replica.step2(other.replica.state_vector()))

    def say(self, tab: Tab, updates: list[bytes]) -> None:
        """Local changes go to the server and to the other tabs of the browser."""
        tab.send(updates)
        for other in self.neighbours(tab):
            for update in updates:
                other.replica.receive(update)

    def leave(self, tab: Tab) -> None:
        """A tab is closed for good, with what it had not sent."""
        if tab.connection is not None:
            self.cut(tab)
        tab.replica.drop()
        self.tabs.remove(tab)

    def replace_replica(self, tab: Tab) -> None:
        """A fresh, empty replica under a new client id; the tab is offline afterwards."""
        if tab.connection is not None:
            self.cut(tab)
        tab.replica.drop()
        client = self.client_id()
        tab.replica = (
            PycrdtPeer(client, gc=True, echoes=not tab.own_rules)
            if isinstance(tab.replica, PycrdtPeer)
            else YjsTab(self.peers, tab.name, client, gc=True, undo=tab.can_undo)
        )
        self.clients[client] = tab.user
        tab.sent.clear()

    # -- network -------------------------------------------------------------------------------

    def connect(self, tab: Tab) -> None:
        """Dial the server."""
        connection = Connection(tab.name, self.grants[tab.user])
        tab.connect(connection)
        self.room.accept(connection)

    def cut(self, tab: Tab) -> None:
        """The tab's network is gone, with all that was under way."""
        assert tab.connection is not None
        self.room.lose(tab.connection)
        tab.connection = None

    def deliver(self) -> bool:
        """One frame of a random queue arrives; False if there is none anywhere."""
        waiting = [
            (tab, way)
            for tab in self.tabs
            if tab.connection is not None
            for way in (tab.connection.to_server, tab.connection.to_tab)
            if way
        ]
        if not waiting:
            return False
        tab, way = self.rng.choice(waiting)
        assert tab.connection is not None
        if way is tab.connection.to_server:
            self.room.take(tab.connection)
        else:
            self.receive(tab)
        return True

    def receive(self, tab: Tab) -> None:
        """A frame reaches a tab; a refused replica is thrown away with all its copies."""
        ending = tab.take()
        if ending is None:
            return
        self.counts[f"told to {ending}{': an offender' if tab.attacker else ''}"] += 1
        assert ending == "reset" or tab.attacker, "an honest update was malformed"
        if tab.stubborn and self.rng.random() < 0.7:
            self.cut(tab)
            tab.wants_reset = True
            return
        for one in (tab, *self.neighbours(tab)):
            self.start_anew(one)

    def start_anew(self, tab: Tab) -> None:
        """Drop the replica; our clients write their own lost comments again, once."""
        self.log.append(f"reset {tab.name}")
        connected = tab.connection is not None
        before = tab.replica.content() if tab.own_rules and not tab.attacker else {}
        self.replace_replica(tab)
        tab.wants_reset = False
        if connected:
            self.connect(tab)
        self.resubmit(tab, before)

    def resubmit(self, tab: Tab, before: Content) -> None:
        """What only the dropped replica had, as far as it was hers and not refused."""
        now = self.room.content()
        lost: list[Operation] = [
            ("set", "comments", name, value)
            for name, value in before.get("comments", {}).items()
            if value["creator"] == tab.user
            and name not in now.get("comments", {})
            and name.split("/")[0] in now.get("annotations", {})
            and f"comments/{name}" not in self.refused[tab.user]
        ]
        if lost:
            self.counts["comments re-submitted"] += len(lost)
            self.say(tab, tab.replica.transact(lost))

    # -- commits -------------------------------------------------------------------------------

    def commit(self) -> None:
        """The writer thread gets to it, and it works."""
        self.room.commit()
        self.remember()

    def fail_commit(self) -> None:
        """The writer thread gets to it, and it fails."""
        self.room.fail()
        self.forget()

    def settle(self) -> None:
        """Deliver and commit until nothing is under way and everybody is online."""
        for _ in range(20_000):
            self.room.now += 50  # who lacks another's unsent work is asked until patience is over
            if self.deliver():
                continue
            if not self.room.idle:
                self.commit()
                continue
            offline = [tab for tab in self.tabs if tab.connection is None]
            if not offline:
                return
            self.connect(offline[0])
        raise AssertionError("the network never comes to rest")
