"""Who may do what, from the table of design 3 alone: root x operation x own or foreign x role.

The cells are in tests/support/role_cells.py. In each of them nothing forbidden leaves the page,
bystanders and late joiners show what the page shows, and so does the sender if she was only rolled
back, also after the next honest write on the same key.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from contents import plain
from handmade import NOW, SERVER, annotation, comment, entry, grant
from pycrdt import Doc, Map, TransactionEvent
from role_cells import EVIL, Cell, Key, cells

from crdt_chat.identity import Grant, Role
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows, Json, Sync, Verdict

Content = dict[Key, Json]
LIMITS = PageLimits()
SYNCS: tuple[Sync, ...] = ("update", "step2", "last")
RESTARTS = ("never", "snapshot", "journal")
MODERATOR = grant("mod", Role.MODERATOR)
ROWS = ("owners", "entities", "refused", "held", "released")


class Base(NamedTuple):
    """A page to begin with: its state, the gate's rows and its updates, one by one."""

    state: bytes
    rows: GateRows
    journal: list[bytes]


class Replica:
    """A Y.Doc of pycrdt that notes what it sends."""

    def __init__(self, client: int, state: bytes = b"\x00\x00") -> None:
        self.doc: Doc[Any] = Doc(client_id=client)
        self.maps = {root: self.doc.get(root, type=Map) for root in (*ROOTS, "else")}
        self.doc.apply_update(state)
        self.sent: list[bytes] = []

    def do(self, *writes: tuple[str, str, Json]) -> bytes:
        """One transaction (None removes); the update it sends."""
        sent: list[bytes] = []

        def note(event: TransactionEvent) -> None:
            sent.append(event.update)

        subscription = self.doc.observe(note)
        with self.doc.transaction():
            for root, name, value in writes:
                if value is None:
                    del self.maps[root][name]
                else:
                    self.maps[root][name] = value
        self.doc.unobserve(subscription)
        return sent[0]

    def content(self) -> Content:
        return {
            (root, name): plain(value)
            for root in ROOTS
            for name, value in (self.maps[root].to_py() or {}).items()
        }


def content(page: Page) -> Content:
    return {(root, name): value for root in ROOTS for name, value in page.items(root)}


def keep(rows: GateRows, verdict: Verdict, page: Page) -> None:
    for name in ROWS:
        getattr(rows, name).extend(getattr(verdict.rows, name))
    rows.owners.extend(page.announced)
    page.announced.clear()


def people() -> Iterator[tuple[str, Role, int, list[list[tuple[str, str, Json]]]]]:
    """Who wrote the page: ada and eve the same things, and a moderator who deleted and closed."""
    for client, user in ((1_000_000, "ada"), (2_000_000, "eve")):
        threads = [f"{kind}-{user}" for kind in ("live", "gone", "taken", "shut", "bare")]
        made = [("annotations", name, annotation(user)) for name in threads]
        said = [("comments", f"{name}/c", comment(user)) for name in threads if name[0] != "b"]
        facts = [
            ("reactions", f"live-{user}/c/👍/{user}", {"at": 1}),
            ("resolved", f"live-{user}", entry(user, resolved=True)),
            ("comments", f"live-{user}/gone", comment(user)),
            ("comments", f"live-{user}/taken", comment(user)),
        ]
        ends: list[tuple[str, str, Json]] = []
        for name in (f"gone-{user}", f"live-{user}/gone"):
            root = "comments" if "/" in name else "annotations"
            ends += [("deleted", f"{name}/{user}", entry(user)), (root, name, None)]
        yield user, Role.EDITOR, client, [made, [*said, *facts], ends]
    yield "ada", Role.EDITOR, 1_100_000, [[("comments", "live-eve/ada", comment("ada"))]]
    yield "ada", Role.EDITOR, 1_200_000, [[("reactions", "live-eve/c/👍/ada", {"at": 1})]]
    ends = [("page", "title", "Title")]
    for user in ("ada", "eve"):
        ends += [("closed", f"shut-{user}", entry("mod", closed=True))]
        for name in (f"taken-{user}", f"live-{user}/taken"):
            root = "comments" if "/" in name else "annotations"
            ends += [("deleted", f"{name}/mod", entry("mod")), (root, name, None)]
    yield "mod", Role.MODERATOR, 3_000_000, [ends]


@pytest.fixture(scope="module")
def base() -> Base:
    page, rows, journal = Page(LIMITS, SERVER), GateRows(), []
    for user, role, client, transactions in people():
        replica = Replica(client, page.state())
        page.announce(client, user)
        for writes in transactions:
            verdict = page.receive(replica.do(*writes), "update", grant(user, role), NOW)
            assert verdict.kind == "accepted", verdict
            keep(rows, verdict, page)
            journal.append(verdict.update)
    return Base(page.state(), rows, journal)


class Trial:
    """One cell on a page of its own."""

    def __init__(self, base: Base, role: Role, client: int, restarts: str) -> None:
        self.base = base
        self.grant: Grant = grant("eve", role)
        self.rows = GateRows(**{name: list(getattr(base.rows, name)) for name in ROWS})
        self.journal = list(base.journal)
        self.page = Page.load(base.state, (), self.rows, LIMITS, SERVER)
        self.restarts = restarts
        self.page.announce(client, "eve")
        self.eve = Replica(client, base.state)
        self.watcher = Replica(5, base.state)

    def restart(self) -> None:
        snapshot, updates = (
            (self.page.state(), []) if self.restarts == "snapshot" else (None, self.journal)
        )
        if self.restarts != "never":
            self.page = Page.load(snapshot, updates, self.rows, LIMITS, SERVER)

    def keep(self, verdict: Verdict) -> None:
        keep(self.rows, verdict, self.page)
        if verdict.update:
            self.journal.append(verdict.update)
            self.watcher.doc.apply_update(verdict.update)
            self.eve.doc.apply_update(verdict.update)

    def run(self, cell: Cell, sync: Sync) -> None:
        before = content(self.page)
        update = self.eve.do(*cell.writes)
        if sync != "update":
            update = self.eve.doc.get_update(self.page.state_vector())
        verdict = self.page.receive(update, sync, self.grant, NOW)
        self.keep(verdict)
        expected = {
            f"{root}/{name}": f"refused:{rule}" if rule else "accepted"
            for (root, name, _value), rule in zip(cell.writes, cell.rules, strict=True)
        }
        assert (dict(verdict.keys), verdict.repair) == (expected, cell.repair), cell
        self.check(cell, before, verdict)

    def check(self, cell: Cell, before: Content, verdict: Verdict) -> None:
        after = dict(before)
        for (root, name, value), rule in zip(cell.writes, cell.rules, strict=True):
            if not rule:
                after.pop((root, name), None)
                after.update({} if value is None else {(root, name): value})
        accepted = not any(cell.rules)
        for key in cell.gone if accepted else ():
            after.pop(key, None)
        for _ in range(2):
            assert content(self.page) == after, cell
            assert self.watcher.content() == after, cell
            assert Replica(6, self.page.state()).content() == after, cell
            if cell.repair != "reset":
                assert self.eve.content() == after, cell
            if not accepted and not all(rule == "" for rule in cell.rules[:1]):
                kept = verdict.update + self.page.state() + repr(self.rows).encode()
                assert EVIL.encode() not in kept, cell
            self.restart()

    def follow(self, cell: Cell) -> None:
        """Somebody who may writes the same keys: who was rolled back sees it like everybody."""
        known = {name for name, _creator, _created in self.rows.entities}
        for root, name, value in cell.writes:
            old = self.page.value(root, name)
            good = old if old is not None and root in ("annotations", "comments") else value or old
            if good is None or (root in ("annotations", "comments") and name not in known):
                continue  # an id that nobody else ever has
            self.keep(self.page.write([(root, name, good)], MODERATOR, NOW, keep_past=True))
        assert self.watcher.content() == content(self.page), cell
        if cell.repair != "reset":
            assert self.eve.content() == content(self.page), cell


@pytest.mark.no_cover
@pytest.mark.parametrize("sync", SYNCS)
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.name.lower())
def test_the_table(base: Base, role: Role, sync: Sync) -> None:
    for number, cell in enumerate(cells(role), SYNCS.index(sync)):
        # Each way to restart, a low and a high client id fall to each cell in one of the ways to send it.
        client = (70_000, 4_000_000_000)[number % 2]
        trial = Trial(base, role, client, RESTARTS[number % 3])
        trial.run(cell, sync)
        trial.follow(cell)


def test_the_table_is_long_enough() -> None:
    assert sum(len(list(cells(role))) for role in Role) > 400
