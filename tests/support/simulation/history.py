"""One random history: people, tabs, a bad network, a room that fails now and then; all from a seed."""

from collections.abc import Callable
from dataclasses import replace

from contents import canonical
from yjs_peer import Operation, YjsPeers

from crdt_chat.errors import CrdtChatError
from crdt_chat.identity import Grant, Role

from . import attacks, people
from .ending import compare, listen, search
from .forgery import clocks, forged_update
from .replicas import YjsTab
from .tabs import Tab
from .world import World


class History(World):
    """A seeded run of `steps` steps; `run` ends with everybody healed, equal and searched."""

    def __init__(self, peers: YjsPeers, seed: int, steps: int = 60) -> None:
        super().__init__(peers, seed)
        self.seed = seed
        self.steps = steps

    def run(self) -> None:
        """The whole history. Raises AssertionError with the seed and the end of the log."""
        self.peers.complaints()  # what an earlier history left unread
        try:
            for _ in range(self.steps):
                self.step()
            self.heal()
            compare(self)
            search(self)
            listen(self)
        except (AssertionError, CrdtChatError) as error:
            story = "\n".join(self.log[-200:])
            raise AssertionError(f"seed {self.seed}\n{story}\n{error!r}") from error
        finally:
            for tab in self.tabs:
                tab.replica.drop()

    def step(self) -> None:
        """One random thing happens, then some frames arrive."""
        does, weights = zip(*self.choices(), strict=True)
        self.room.now += self.rng.randrange(1, 2_000)
        self.rng.choices(does, weights)[0]()
        for _ in range(self.rng.randrange(14)):
            self.deliver()
        if not self.room.idle and self.rng.random() < 0.6:
            self.commit()

    def choices(self) -> list[tuple[Callable[[], None], int]]:
        """What may happen, and how often."""
        return [
            (self.act, 50),
            (self.attack, 14),
            (self.undo, 6),
            (self.toggle, 14),
            (self.drain, 10),
            (self.pause, 2),
            (self.repeat, 4),
            (self.crash, 2),
            (self.fail, 3),
            (self.reload, 3),
            (self.come_or_go, 3),
            (self.reload_tab, 3),
            (self.legacy, 4),
            (self.hide_or_show, 3),
            (self.change_role, 2),
        ]

    # -- people ----------------------------------------------------------------------------------

    def desk(self, tab: Tab) -> people.Desk:
        """Where a gesture of this tab is made."""
        view = people.believable(tab.replica.content())
        known = frozenset(self.durable_past)
        return people.Desk(tab.believed, view, self.room.now, self.rng, self.fresh, known)

    def act(self) -> None:
        """Somebody does something honest, sometimes several things in one transaction."""
        able = [tab for tab in self.tabs if not tab.wants_reset and tab.believed.role > Role.VIEWER]
        tab = self.rng.choice(able)
        desk = self.desk(tab)
        operations: list[Operation] = []
        names = []
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            name, writes = people.gesture(desk)
            if writes:
                names.append(name)
                operations += writes
                desk.did(writes)
        if not operations:
            return
        self.log.append(f"{tab.name} {'+'.join(names)} {operations}")
        self.counts["gestures"] += len(names)
        if "restore" in names:
            for one in (tab, *self.neighbours(tab)):
                one.restored = True
        deletes = any(operation[1] == "deleted" for operation in operations)
        tracked = not (deletes and tab.own_rules)
        self.say(tab, tab.replica.transact(operations, tracked=tracked))

    def undo(self) -> None:
        """Somebody takes something back, or takes that back."""
        able = [tab for tab in self.tabs if tab.can_undo and not tab.wants_reset]
        if not able:
            return
        tab = self.rng.choice(able)
        backwards = self.rng.random() < 0.7
        updates = tab.replica.undo() if backwards else tab.replica.redo()
        if not updates:
            return
        self.counts["undone" if backwards else "redone"] += 1
        self.log.append(f"{tab.name} {'undo' if backwards else 'redo'}")
        for one in (tab, *self.neighbours(tab)):
            one.undid = True
        self.say(tab, updates)

    def attack(self) -> None:
        """The attacker does something forbidden, by her own replica or by hand."""
        able = [tab for tab in self.tabs if tab.attacker]
        if not able:
            return
        tab = self.rng.choice(able)
        if self.rng.random() < 0.25:
            self.forge(tab)
            return
        plotted = attacks.plot(self.desk(tab))
        if plotted is None:
            return
        name, attack = plotted
        self.log.append(f"{tab.name} ATTACKS {name} {attack.transactions}")
        self.counts["attacks"] += 1
        self.counts[f"attack {name}"] += 1
        for operations in attack.transactions:
            self.say(tab, tab.replica.transact(operations))

    def forge(self, tab: Tab) -> None:
        """Bytes made by hand; what her own replica holds is worth nothing afterwards."""
        if tab.connection is None:
            return
        mine = {one.replica.client for one in self.tabs if one.attacker}
        announced = {one.connection.announced for one in self.tabs if one.connection is not None}
        seen = {client for client in announced if client is not None}
        seen |= set(clocks(tab.replica.state_vector()))
        update = forged_update(self.rng, sorted(seen - mine), tab.replica)
        self.log.append(f"{tab.name} FORGES {update.hex()}")
        self.counts["attacks"] += 1
        self.counts["attack by hand"] += 1
        tab.wants_reset = True
        tab.send([update])

    def legacy(self) -> None:
        """Somebody writes through the legacy HTTP interface: a server-made operation."""
        grant = self.grants[self.rng.choice(["ada", "bob", "mod@example.org"])]
        desk = people.Desk(grant, self.room.content(), self.room.now, self.rng, self.fresh)
        makes = (people.annotate, people.reply, people.edit, people.delete_comment)
        operations = self.rng.choice(makes)(desk)
        writes = [(root, name, rest[0] if rest else None) for _, root, name, *rest in operations]
        if writes:
            self.log.append(f"server writes {writes}")
            self.room.write(writes, grant)

    def hide_or_show(self) -> None:
        """A moderator hides a comment, or takes that back."""
        grant = Grant(tenant="t", user="mod@example.org", name="Mod", role=Role.MODERATOR)
        live = sorted(self.room.content().get("comments", {}))
        if self.room.held and self.rng.random() < 0.5:
            name = self.rng.choice(sorted(self.room.held))
            verdict = self.room.show(name, grant)
            self.log.append(f"show {name}: {verdict.kind} {dict(verdict.keys)}")
            self.counts[f"shown again {verdict.kind}"] += 1
        elif live:
            name = self.rng.choice(live)
            verdict = self.room.hide(name, grant)
            self.log.append(f"hide {name}: {verdict.kind} {dict(verdict.keys)}")
            assert verdict.kind == "accepted", verdict
            self.counts["hidden"] += 1

    def change_role(self) -> None:
        """A role changes on the server; tabs learn it when they connect."""
        user = self.rng.choice(["bob", "mod@example.org"])
        old = self.grants[user]
        role = self.rng.choice([Role.COMMENTER, Role.EDITOR, Role.MODERATOR])
        self.grants[user] = replace(old, role=role)
        self.log.append(f"{user} is {role.name} now")
        for tab in self.tabs:
            if tab.user == user:
                tab.demoted |= role < old.role
                if tab.connection is not None:
                    self.cut(tab)

    # -- network and machine ---------------------------------------------------------------------

    def toggle(self) -> None:
        """A tab goes offline or comes back."""
        tab = self.rng.choice(self.tabs)
        if tab.connection is None:
            self.connect(tab)
        else:
            self.cut(tab)
        self.log.append(f"{tab.name} {'offline' if tab.connection is None else 'online'}")

    def drain(self) -> None:
        """The network is quick for once."""
        for _ in range(300):
            if not self.deliver():
                self.commit()
                if not self.deliver():
                    return

    def pause(self) -> None:
        """Time passes: sometimes more than the patience with gaps."""
        self.room.now += self.rng.choice([5_000, 61_000])

    def repeat(self) -> None:
        """A frame arrives twice."""
        able = [tab for tab in self.tabs if tab.connection is not None and tab.sent]
        if able:
            tab = self.rng.choice(able)
            assert tab.connection is not None
            tab.connection.to_server.append(self.rng.choice(tab.sent))
            self.counts["repeated"] += 1

    def crash(self) -> None:
        """kill -9: every connection is gone and all that was not committed."""
        self.log.append("kill -9")
        self.counts["crashes"] += 1
        for tab in self.tabs:
            if tab.connection is not None:
                self.cut(tab)
        self.fail_commit()
        for tab in self.tabs:
            if self.rng.random() < 0.7:
                self.connect(tab)

    def fail(self) -> None:
        """The disk says no: the page is rebuilt and everybody asked again."""
        if not self.room.idle:
            self.log.append("commit failed")
            self.counts["failed commits"] += 1
            self.fail_commit()

    def reload(self) -> None:
        """The page is evicted and loaded again: nothing changes."""
        self.commit()
        before = canonical(self.room.content())
        self.room.rebuild(squash=self.rng.random() < 0.5)
        assert canonical(self.room.content()) == before, "a reload changed the page"
        self.counts["reloads"] += 1

    def come_or_go(self) -> None:
        """A tab more, or one less."""
        if self.rng.random() < 0.6 or len(self.tabs) < 4:
            self.sit_down(self.rng.choice(sorted(self.grants)))
        else:
            # Another's unsent work in a shared browser is hers to send: she must come back.
            able = [tab for tab in self.tabs if not tab.shared]
            if able:
                self.leave(self.rng.choice(able))

    def reload_tab(self) -> None:
        """A page load: the replica comes back from IndexedDB under a new client id."""
        able = [tab for tab in self.tabs if isinstance(tab.replica, YjsTab) and not tab.attacker]
        if not able:
            return
        tab = self.rng.choice(able)
        kept = tab.replica.step2()
        self.replace_replica(tab)
        tab.replica.receive(kept)
        self.meet(tab)
        self.counts["page loads"] += 1
        self.log.append(f"{tab.name} reloads")

    # -- the end ---------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everybody online, every frame delivered, every commit done, patience over."""
        self.log.append("heal")
        for tab in [tab for tab in self.tabs if tab.wants_reset]:
            self.start_anew(tab)
        for tab in self.tabs:
            tab.stubborn = False
        for _ in range(3):
            for tab in self.tabs:
                if tab.connection is not None:
                    self.cut(tab)
                self.connect(tab)
            self.settle()
            self.room.now += 70_000
