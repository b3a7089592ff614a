"""One page of a crowd: its people's tabs (in Node or pycrdt), a bad network, and the gate with a room."""

import base64
import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from contents import canonical
from simulation import people
from simulation.network import Connection, Message
from simulation.races import explain
from simulation.replicas import PycrdtPeer
from simulation.room import SimRoom, content_of
from traffic.oddities import oddities

from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.update import decode
from crdt_chat.page.verdict import Verdict

ROUNDS = 24
HEALS = 3
CAST = {
    "ada": Role.EDITOR,
    "bob": Role.EDITOR,
    "cat|7": Role.COMMENTER,
    "mod@example.org": Role.MODERATOR,
    "vera": Role.VIEWER,
}
EMPTY = b"\x00\x00"

Frame = list[Any]


@dataclass(slots=True, eq=False)
class Tab:
    """One tab, or one Python program; the flags say what may explain a refusal (see simulation.tabs).

    number: its place in the Node process's list, -1 for a Python program, which has a `replica`.
    """

    name: str
    believed: Grant
    browser: int
    number: int = -1
    replica: PycrdtPeer | None = None
    gc: bool = True
    can_undo: bool = False
    connection: Connection | None = None
    undid: bool = False
    demoted: bool = False
    restored: bool = False
    shared: bool = False
    spoiled: bool = False

    @property
    def user(self) -> str:
        """Whose tab it is."""
        return self.believed.user


class CrowdPage:
    """A page from a seed. `ask` is what to tell Node next, `hear` takes its answer.

    counts: updates, verdicts, races, oddities, gestures. Raises AssertionError if anybody honest is
    refused for no race that design 4 names, told off, or left with another page than the others.
    """

    def __init__(self, seed: int, number: int) -> None:
        self.rng = rng = random.Random(f"crowd/{seed}/{number}")
        self.name = f"{seed}/{number}"
        self.counts: Counter[str] = Counter()
        limits = PageLimits()
        if rng.random() < 0.1:
            limits = replace(limits, annotations=4, comments=12)
        self.room = SimRoom(limits, self._inspect)
        self.grants = {user: Grant("t", user, user.title(), role) for user, role in CAST.items()}
        self.tabs: list[Tab] = []
        self._begin: dict[str, Any] | None = {"seed": rng.getrandbits(31), "tabs": self._seats()}
        self._frames: list[tuple[int, Frame]] = []
        self._refused: dict[str, set[str]] = {user: set() for user in CAST}
        self._fresh = itertools.count(10**6)  # Node's tabs count from 0
        self._demotes = rng.random() < 0.15
        self._round = 0
        self._heals = 0
        self._judging: Tab | None = None
        self._ends = False

    # -- people ------------------------------------------------------------------------------------

    def _seats(self) -> list[dict[str, Any]]:
        rng, seats = self.rng, []
        for browser, user in enumerate(CAST):
            if user == "vera" and rng.random() < 0.8:
                continue
            if rng.random() < 0.15 and user != "vera":
                self._sit(user, browser)
                continue
            for _ in range(2 if rng.random() < 0.3 else 1):
                seats.append(self._seat(user, browser, len(seats)))
        return seats

    def _sit(self, user: str, browser: int) -> None:
        """A Python program."""
        replica = PycrdtPeer(self._client(), gc=True, echoes=self.rng.random() < 0.5)
        self.tabs.append(Tab(f"{user}/py", self.grants[user], browser, replica=replica))

    def _seat(self, user: str, browser: int, number: int) -> dict[str, Any]:
        """A tab in Node."""
        gc, undo = self.rng.random() < 0.7, self.rng.random() < 0.25
        grant = self.grants[user]
        self.tabs.append(Tab(f"{user}/{number}", grant, browser, number, gc=gc, can_undo=undo))
        return {
            "user": user,
            "role": int(grant.role),
            "browser": browser,
            "client": self._client(),
            "gc": gc,
            "undo": undo,
            "ownRules": self.rng.random() < 0.7,
        }

    def _client(self) -> int:
        return self.rng.randrange(2**16, 2 ** self.rng.choice([32, 32, 32, 53]))

    def _browser(self, tab: Tab) -> list[Tab]:
        return [one for one in self.tabs if one.browser == tab.browser]

    # -- a round -----------------------------------------------------------------------------------

    def ask(self) -> dict[str, Any]:
        """What Node is to do in the next round."""
        self._frames = []
        self.room.now += self.rng.randrange(50, 3_000)
        acts = 0
        if self._round < ROUNDS:
            self._roam()
            acts = self.rng.randrange(3, 9)
        elif self._round == ROUNDS or self._rests():
            self._heal()
        else:
            for tab in self.tabs:
                if tab.connection is None:  # it was reset meanwhile
                    self._connect(tab)
        self._deliver(everything=self._round >= ROUNDS)
        self._round += 1
        begin, self._begin = self._begin, None
        return {
            "page": self.name, "begin": begin, "end": self._ends, "now": self.room.now,
            "acts": acts, "frames": self._frames,
        }  # fmt: skip

    def _rests(self) -> bool:
        assert self._round < ROUNDS + 200, "the network never comes to rest"
        ways = [
            way
            for tab in self.tabs
            for way in (tab.connection and (tab.connection.to_tab or tab.connection.to_server),)
        ]
        return self.room.idle and all(way is not None and not way for way in ways)

    def _heal(self) -> None:
        """Everybody online, three times from new connections, patience over; then it ends."""
        self._ends = self._heals == HEALS
        if self._ends:
            return
        self._heals += 1
        self.room.now += 70_000
        for tab in self.tabs:
            if tab.connection is not None:
                self._cut(tab)
            self._connect(tab)

    def _roam(self) -> None:
        """People come online and go, load their page anew, change their roles."""
        for tab in self.tabs:
            dice = self.rng.random()
            if tab.connection is None:
                if dice < 0.35 or self._round == 0:
                    self._connect(tab)
            elif dice < 0.1:
                self._cut(tab)
        if self._demotes and self.rng.random() < 0.1:
            self._change_role(self.rng.choice(["bob", "mod@example.org"]))

    def _change_role(self, user: str) -> None:
        old = self.grants[user]
        role = self.rng.choice([Role.COMMENTER, Role.EDITOR, Role.MODERATOR])
        self.grants[user] = replace(old, role=role)
        for tab in self.tabs:
            if tab.user == user:
                tab.demoted |= role < old.role
                if tab.connection is not None:
                    self._cut(tab)

    def _tell(self, tab: Tab, *frame: Any) -> None:
        self._frames.append((tab.number, list(frame)))

    def _connect(self, tab: Tab) -> None:
        grant = self.grants[tab.user]
        tab.believed = grant
        tab.connection = connection = Connection(tab.name, grant)
        self.room.accept(connection)
        if tab.replica is not None:
            connection.to_server.append(Message("step1", tab.replica.state_vector()))
            connection.to_server.append(Message("announce", client=tab.replica.client))
            return
        if tab.spoiled:
            # The server knows such a replica by the ids of what it refused; loaded anew since then it
            # would not be told again (docs/testing.md, "What the counts leave out").
            self.counts["missed resets"] += 1
            for one in self._browser(tab):
                one.spoiled = False
                self._tell(one, "fresh", self._client())
        elif self.rng.random() < 0.1:
            self.counts["page loads"] += 1
            self._tell(tab, "load", self._client())
        self._tell(tab, "meet")
        self._tell(tab, "role", int(grant.role))
        self._tell(tab, "connect")

    def _cut(self, tab: Tab) -> None:
        assert tab.connection is not None
        self.room.lose(tab.connection)
        tab.connection = None
        if tab.replica is None:
            self._tell(tab, "cut")

    # -- to the tabs -------------------------------------------------------------------------------

    def _deliver(self, *, everything: bool) -> None:
        for tab in list(self.tabs):
            if tab.connection is None or (not everything and self.rng.random() < 0.3):
                continue
            waiting = tab.connection.to_tab
            while waiting and tab.connection is not None:
                self._receive(tab, waiting.popleft())

    def _receive(self, tab: Tab, message: Message) -> None:
        assert message.kind != "close", f"{tab.name}: an honest update was malformed"
        assert tab.connection is not None
        if message.kind == "reset":
            self._reset(tab)
        elif tab.replica is None:
            self._tell(tab, message.kind, base64.b64encode(message.body).decode())
        elif message.kind == "step1":
            answer = tab.replica.step2(message.body)
            tab.connection.to_server.append(Message("step2", answer))
        else:
            for echo in tab.replica.receive(message.body):
                self.counts["oddity: echo of what came from the server"] += 1
                tab.connection.to_server.append(Message("update", echo))

    def _reset(self, tab: Tab) -> None:
        """The replica is thrown away with all its copies, as by 4403 and a fresh Y.Doc."""
        self.counts["resets"] += 1
        for one in self._browser(tab):
            one.spoiled = False
            if one.connection is not None:
                self._cut(one)
            if one.replica is not None:
                one.replica.drop()
                one.replica = PycrdtPeer(self._client(), gc=True, echoes=False)
            else:
                self._tell(one, "fresh", self._client())

    # -- from the tabs -----------------------------------------------------------------------------

    def hear(self, answer: dict[str, Any]) -> bool:
        """Take what Node's tabs say, let the Python programs act, judge, commit; whether it goes on."""
        for name, count in answer["counts"].items():
            self.counts[f"gesture {name}"] += count
        for tab in self.tabs:
            if tab.replica is None:
                self._hear_tab(tab, *answer["tabs"][tab.number])
            elif self._round <= ROUNDS:
                self._act(tab)
        self._judge_all()
        if self._ends:
            self._compare(answer)
        return not self._ends

    def _hear_tab(self, tab: Tab, out: list[Frame], flags: list[str]) -> None:
        for flag in flags:
            for one in self._browser(tab):
                setattr(one, flag, True)
        if tab.connection is None:
            return
        for kind, body in out:
            message = (
                Message("announce", client=body)
                if kind == "announce"
                else Message(kind, base64.b64decode(body))
            )
            tab.connection.to_server.append(message)

    def _act(self, tab: Tab) -> None:
        assert tab.replica is not None
        if self.rng.random() < 0.5:
            return
        view = tab.replica.content()
        desk = people.Desk(tab.believed, view, self.room.now, self.rng, self._fresh)
        name, operations = people.gesture(desk)
        if not operations:
            return
        self.counts[f"gesture {name} (Python)"] += 1
        if name == "restore":
            tab.restored = True
        updates = tab.replica.transact(operations)
        if tab.connection is not None:
            tab.connection.to_server.extend(Message("update", update) for update in updates)

    def _judge_all(self) -> None:
        """Frames arrive in some order, each tab's own kept; some stay on their way."""
        rng = self.rng
        able = [tab for tab in self.tabs if tab.connection is not None and tab.connection.to_server]
        while able:
            tab = rng.choice(able)
            assert tab.connection is not None
            for _ in range(rng.randrange(1, 4)):
                if tab.connection.to_server:
                    self._judge(tab)
            if not tab.connection.to_server or (self._round < ROUNDS and rng.random() < 0.02):
                able.remove(tab)
            if rng.random() < 0.1:
                self.room.commit()
        if self._round >= ROUNDS or rng.random() < 0.8:
            self.room.commit()

    def _judge(self, tab: Tab) -> None:
        assert tab.connection is not None
        message = tab.connection.to_server[0]
        self._judging = tab
        self.room.take(tab.connection)
        self._judging = None
        if message.kind not in ("update", "step2") or message.body == EMPTY:
            return
        self.counts["updates"] += 1
        self.counts[f"updates of {'pycrdt' if tab.replica else 'yjs'}"] += 1
        self.counts[f"updates as {tab.believed.role.name.lower()}"] += 1
        if not tab.gc:
            self.counts["oddity: gc: false"] += 1
        if len(self._browser(tab)) > 1:
            self.counts["oddity: second tab"] += 1
        sync = "update" if message.kind == "update" else "step2"
        for oddity in oddities(decode(message.body), message.body, sync):
            self.counts[f"oddity: {oddity}"] += 1

    def _inspect(
        self, connection: Connection | None, _grant: Grant, _update: bytes, verdict: Verdict
    ) -> None:
        """See SimRoom: every verdict, before it is committed."""
        tab = self._judging
        if connection is None or tab is None:
            return
        self.counts[f"verdict {verdict.kind}"] += 1
        self.counts["keys accepted"] += sum(one == "accepted" for one in verdict.keys.values())
        for refusal in verdict.refusals:
            race = explain(refusal, verdict, tab, self.room, self._refused[tab.user])  # type: ignore[arg-type]
            self.counts[f"race {race}"] += 1
            self._refused[tab.user].add(refusal.key)
        if verdict.repair == "reset":
            assert tab.undid or tab.demoted, f"an honest client is reset: {verdict}"
            for one in self._browser(tab):
                one.spoiled = True

    def _compare(self, answer: dict[str, Any]) -> None:
        """Everybody shows the same, a reload of the page too."""
        assert not answer["pending"], "somebody waits for something"
        expected = canonical(self.room.content())
        for text in set(answer["content"]):
            assert canonical(json.loads(text)) == expected, "a tab differs"
        for tab in self.tabs:
            if tab.replica is not None:
                assert canonical(tab.replica.content()) == expected, f"{tab.name} differs"
                tab.replica.drop()
        assert canonical(content_of(self.room.reloaded())) == expected, "a reload differs"
        self.counts["replicas equal at the end"] += len(self.tabs)
        self.counts["pages"] += 1
