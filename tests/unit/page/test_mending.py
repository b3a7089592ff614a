"""People who write whatever comes to their mind: what gets through is allowed, and a rollback mends for good.

Real replicas (pycrdt) of all roles overwrite, remove, delete, forge and misname at random, on line and
off, while a moderator hides and shows and the page restarts. After every step each replica that is on
line, those of refused writers included, shows what the page shows; only a reset makes a new one. The
rules are stated here once more, as what may have changed after an update, not as what may be sent.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from contents import plain
from handmade import NOW, Table, annotation, comment, entry, grant
from pycrdt import Doc, Map, TransactionEvent

from crdt_chat.identity import Grant, Role
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.update import Item, decode
from crdt_chat.page.verdict import Json, Sync, Verdict

Key = tuple[str, str]
Content = dict[Key, Json]
CAST = {
    "ada": Role.EDITOR,
    "bob@example.org": Role.COMMENTER,
    "mod": Role.MODERATOR,
    "eve": Role.EDITOR,
    "vic": Role.VIEWER,
}
MODERATOR = grant("mod", Role.MODERATOR)


def encoded(user: str) -> str:
    return quote(user, safe="!~*'()")


class Person:
    """A replica that does not know the rules."""

    def __init__(self, world: "World", user: str) -> None:
        self.world = world
        self.choice = world.choice
        self.grant = grant(user, CAST[user])
        self.count = 0
        self.start_anew()

    def start_anew(self) -> None:
        """A new document under a new client id, as after a reset."""
        top = self.choice.choice([2**20, 2**32, 2**53])
        self.doc: Doc[Any] = Doc(client_id=self.choice.randrange(10, top))
        self.maps = {root: self.doc.get(root, type=Map) for root in (*ROOTS, "else")}
        self.online = True
        self.announce()
        self.doc.apply_update(self.world.table.page.state())

    def announce(self) -> None:
        self.world.table.page.announce(self.doc.client_id, self.grant.user)

    def content(self) -> Content:
        return {
            (root, name): plain(value)
            for root in ROOTS
            for name, value in (self.maps[root].to_py() or {}).items()
        }

    def act(self) -> None:
        """Write a few entries in one transaction, and send them if there is a network."""
        sent: list[bytes] = []

        def note(event: TransactionEvent) -> None:
            sent.append(event.update)

        shown = self.content()
        subscription = self.doc.observe(note)
        with self.doc.transaction():
            for _ in range(self.choice.choice([1, 1, 2, 4])):
                self.write(shown)
        self.doc.unobserve(subscription)
        for update in sent if self.online else ():
            self.world.take(self, update, "update")

    def write(self, shown: Content) -> None:
        root = self.choice.choice([*ROOTS, "deleted", self.choice.choice(["comments", "else"])])
        name = self.name(root, [name for each, name in shown if each == root], shown)
        if self.choice.random() < 0.3:
            self.remove(root, name)
            return
        self.maps[root][name] = self.value(root, shown.get((root, name)))
        entity = name.rpartition("/")[0]
        if root == "deleted" and self.choice.random() < 0.8:
            self.remove("comments" if "/" in entity else "annotations", entity)
            for below, other in shown:
                if below != "deleted" and other.startswith(f"{entity}/"):
                    self.remove(below, other)

    def remove(self, root: str, name: str) -> None:
        if name in self.maps[root]:
            del self.maps[root][name]

    def name(self, root: str, names: Sequence[str], shown: Content) -> str:
        """Mostly of what is there; what is new has a name that nobody else ever uses."""
        pick = self.choice.choice
        self.count += 1
        mine = f"{self.doc.client_id}n{self.count}"
        if names and self.choice.random() < 0.5:
            return pick(names)
        ghost = f"ghost{self.doc.client_id}"
        threads = [name for each, name in shown if each == "annotations"] or [ghost]
        comments = [name for each, name in shown if each == "comments"] or [f"{ghost}/c"]
        user = encoded(self.someone())
        return {
            "annotations": mine,
            "comments": f"{pick(threads)}/{mine}",
            "resolved": pick(threads),
            "closed": pick([*threads, "page"]),
            "page": pick(["title", "title", "no"]),
            "reactions": f"{pick(comments)}/{pick('👍🎉')}/{user}",
            "deleted": f"{pick([*threads, *comments])}/{user}",
        }.get(root, "x")

    def someone(self) -> str:
        return self.grant.user if self.choice.random() < 0.85 else self.choice.choice(list(CAST))

    def value(self, root: str, old: Json) -> Json:
        if self.choice.random() < 0.05:
            return self.choice.choice([5, {}, [1], {"at": "x"}, {"body": None}])
        if isinstance(old, dict) and root in ("annotations", "comments"):
            more = "title" if root == "annotations" else "body"
            return old | {more: f"again {self.count}"}
        user = self.someone()
        values: dict[str, Json] = {
            "annotations": annotation(user),
            "comments": comment(user),
            "resolved": entry(user, resolved=self.choice.random() < 0.5),
            "closed": entry(user, closed=self.choice.random() < 0.2),
            "reactions": {"at": self.count},
            "deleted": entry(user, at=self.count),
        }
        return values.get(root, f"T{self.count}")


class World:
    """A page and its people; `past` is who made what, when, by the changes seen."""

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        few = self.choice.random() < 0.5
        limits = PageLimits(reactions_per_user=2)
        self.table = Table(replace(limits, annotations=4, comments=6) if few else limits)
        self.past: dict[str, tuple[str, int]] = {}
        self.held: dict[str, Json] = {}
        self.repairs: list[str] = []
        self.people = [Person(self, user) for user in [*CAST, "ada", "mod"]]

    def content(self) -> Content:
        return {
            (root, name): value for root in ROOTS for name, value in self.table.page.items(root)
        }

    def take(self, person: Person, update: bytes, sync: Sync) -> None:
        """An update reaches the server, and its verdict everybody."""
        before = self.content()
        verdict = self.table.page.receive(update, sync, person.grant, NOW)
        if verdict.kind == "gap":
            assert sync != "last", "no honest client lacks anything for ever"
            missing = person.doc.get_update(self.table.page.state_vector())
            self.take(person, missing, "step2" if sync == "update" else "last")
            return
        self.table.keep(verdict)
        self.audit(before, self.content(), verdict, person.grant)
        self.repairs.append(verdict.repair)
        self.tell(verdict, None if verdict.echo else person)
        if verdict.repair == "reset":
            person.start_anew()

    def tell(self, verdict: Verdict, author: Person | None) -> None:
        for person in self.people:
            if verdict.update and person.online and person is not author:
                person.doc.apply_update(verdict.update)

    def audit(self, before: Content, after: Content, verdict: Verdict, by: Grant) -> None:
        """Nothing has changed but what the changes say, and all of it was this person's to change."""
        changes = {(change.root, change.name): change for change in verdict.changes}
        for key in before.keys() | after.keys() | changes.keys():
            old, new = before.get(key), after.get(key)
            if key in changes:
                assert (changes[key].before, changes[key].after) == (old, new)
            else:
                assert old == new, key
        for name, creator, created in verdict.rows.entities:
            assert creator == by.user
            self.past.setdefault(name, (creator, created))
        for key, change in changes.items():
            if change.before != change.after:
                assert self.allowed(key, change.after, after, by), (change, by.user)
        sent = [
            item
            for run in (decode(verdict.update).structs.values() if verdict.update else ())
            for item in run
            if isinstance(item, Item) and item.values is not None
        ]
        for item in sent:
            assert item.values is not None
            assert plain(item.values[0]) in after.values(), "content that is nowhere to be seen"

    def allowed(self, key: Key, value: Json, after: Content, by: Grant) -> bool:
        """Whether this person may have brought this about."""
        root, name = key
        moderates = by.role >= Role.MODERATOR
        if by.role < Role.COMMENTER or root in ("closed", "page"):
            mine = root == "page" or value is None or value["by"] == by.user
            return moderates and mine
        if root in ("annotations", "comments") and value is not None:
            owner = value["creator"] == by.user or (moderates and root == "annotations")
            same = (value["creator"], value["created"]) == self.past[name]
            return owner and same and not self.standing(name, after)
        entity = name.rsplit("/", {"reactions": 2, "deleted": 1}.get(root, 0))[0]
        owns = moderates or self.past.get(entity, (by.user, 0))[0] == by.user
        own_key = name.rsplit("/", 1)[1:] == [encoded(by.user)]
        if root == "resolved":
            return owns and (value is None or value["by"] == by.user)
        if root == "deleted":
            own_entry = own_key and (value is None or (value["by"] == by.user and owns))
            return own_entry or (moderates and value is None)
        if root == "reactions" and own_key:
            return value is None or entity in self.past
        above = {entity, entity.partition("/")[0]}
        return value is None and any(
            self.standing(each, after) and (moderates or self.past[each][0] == by.user)
            for each in above
        )

    def standing(self, entity: str, after: Content) -> bool:
        return any(root == "deleted" and name.rpartition("/")[0] == entity for root, name in after)

    def moderate(self) -> None:
        """A moderator hides something, or shows it again."""
        live = [key for key in self.content() if key[0] in ("annotations", "comments")]
        hidden = [name for name in self.held if self.table.page.hidden(name)]
        if hidden and self.choice.random() < 0.5:
            name = self.choice.choice(hidden)
            root = "comments" if "/" in name else "annotations"
            back = [(root, name, self.held[name])]
            verdict = self.table.page.write(back, MODERATOR, NOW, keep_past=True, shows=[name])
        elif live:
            root, name = self.choice.choice(live)
            self.held[name] = self.table.page.value(root, name)
            verdict = self.table.page.write([(root, name, None)], MODERATOR, NOW, hides=[name])
        else:
            return
        self.tell(self.table.keep(verdict), None)

    def reconnect(self, person: Person) -> None:
        person.online = True
        missing = person.doc.get_update(self.table.page.state_vector())
        person.doc.apply_update(self.table.page.state())
        self.take(person, missing, "step2")

    def step(self) -> None:
        person = self.choice.choice(self.people)
        what = self.choice.random()
        if what < 0.1:
            person.online = False
        elif what < 0.25:
            self.reconnect(person)
        elif what < 0.28:
            self.table.restart()
            for each in self.people:
                each.announce()
        elif what < 0.33:
            self.moderate()
        else:
            person.act()

    def compare(self) -> None:
        expected = self.content()
        for person in self.people:
            if person.online:
                assert person.content() == expected, person.grant.user


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(40))
def test_a_rollback_mends_and_nothing_forbidden_happens(seed: int) -> None:
    world = World(seed)
    for _ in range(60):
        world.step()
        world.compare()
    for person in world.people:
        world.reconnect(person)
    world.compare()
    assert {"none", "rollback", "reset"} <= set(world.repairs)
