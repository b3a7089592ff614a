"""Who may do what, from the table of design 3 alone: root x operation x own or foreign x role.

Every cell says what the design says of it; nothing here looks at how the gate comes to its verdict. In
every cell nothing forbidden leaves the page, bystanders and late joiners show what the page shows, and
so does the sender if she was only rolled back, also after the next honest write on the same key.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from handmade import NOW, SERVER, annotation, comment, entry, grant
from pycrdt import Doc, Map, TransactionEvent

from crdt_chat.identity import Grant, Role
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows, Json, Sync, Verdict

Key = tuple[str, str]
Content = dict[Key, Json]
EVIL = "EVIL"
LIMITS = PageLimits()


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


def plain(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def content(page: Page) -> Content:
    return {(root, name): value for root in ROOTS for name, value in page.items(root)}


def keep(rows: GateRows, verdict: Verdict, page: Page) -> None:
    for name in ("owners", "entities", "refused", "held", "released"):
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


class Cell(NamedTuple):
    """What eve does, and what becomes of it: rule "" is accepted; `gone` goes with it."""

    writes: list[tuple[str, str, Json]]
    rules: list[str]
    repair: str
    gone: tuple[Key, ...] = ()


def entities(role: Role, thread: str, user: str) -> Iterator[Cell]:
    """Annotations and comments: `user` made them."""
    mine = user == "eve"
    moderates = role >= Role.MODERATOR
    viewer = role == Role.VIEWER
    for root, name in (("annotations", thread), ("comments", f"{thread}/c")):
        make: Callable[..., dict[str, Any]] = annotation if root == "annotations" else comment
        created = 1 if root == "annotations" else 2
        value = make(user, created=created, broadcastId=EVIL)
        may_edit = mine or (moderates and root == "annotations")
        may_delete = mine or moderates
        owner = "role" if viewer else "owner"
        away = "reset" if viewer or not may_delete else "rollback"
        # over what lives
        good = may_edit and not viewer
        yield Cell([(root, name, value)], ["" if good else owner], "none" if good else "reset")
        for past in ({"created": created + 1}, {"creator": "zoe"}):
            rule = "fixed" if good else owner
            yield Cell([(root, name, value | past)], [rule], "rollback" if good else "reset")
        # bare, and with an entry
        rule = "role" if viewer else "bare" if may_delete else "owner"
        yield Cell([(root, name, None)], [rule], away)
        entered = ("deleted", f"{name}/eve", entry("eve", broadcastId=EVIL))
        deletes = may_delete and not viewer
        yield Cell(
            [entered, (root, name, None)],
            ["", ""] if deletes else [owner, owner],
            "none" if deletes else "reset",
        )
        yield Cell(
            [entered], [""] if deletes else [owner], "none" if deletes else "reset", ((root, name),)
        )
        # what is deleted, by its maker or by a moderator, stays so
        maker = thread.split("-")[1]
        for gone in ("gone", "taken"):
            other = f"{gone}-{maker}" if root == "annotations" else f"{thread}/{gone}"
            rule = "deleted" if may_edit else "owner"
            yield Cell([(root, other, value)], ["role" if viewer else rule], away)


def fresh(role: Role) -> Iterator[Cell]:
    """What is new: annotations, comments, reactions, names that are none."""
    viewer, moderates = role == Role.VIEWER, role >= Role.MODERATOR
    annotates = role >= Role.EDITOR
    for creator in ("eve", "ada"):
        own = creator == "eve"
        new = annotation(creator, broadcastId=EVIL)
        rule = "role" if not annotates else "" if own else "identity"
        yield Cell([("annotations", "new", new)], [rule], "rollback" if rule else "none")
        for thread in ("live-ada", "live-eve", "gone-ada", "shut-ada"):
            said = comment(creator, broadcastId=EVIL)
            rule = "role" if viewer else "" if own else "identity"
            if not rule and thread == "shut-ada" and not moderates:
                rule = "closed"
            repair = "rollback" if rule else "none"
            yield Cell([("comments", f"{thread}/new", said)], [rule], repair)
    for name in ("page", "__proto__", "x y", "a" * 65, "-a", "a/b", ""):
        rule = "role" if viewer else "key"
        bad = annotation("eve", broadcastId=EVIL)
        yield Cell([("annotations", name, bad)], [rule], "rollback")
    yield Cell([("else", "x", EVIL)], ["role" if viewer else "root"], "rollback")
    yield Cell([("page", "else", EVIL)], ["role" if viewer else "key"], "rollback")


def facts(role: Role, user: str) -> Iterator[Cell]:
    """Facts about what `user` made."""
    mine = user == "eve"
    moderates = role >= Role.MODERATOR
    viewer = role == Role.VIEWER
    may_delete = mine or moderates
    live, shut = f"live-{user}", f"shut-{user}"

    def refused(rule: str, *, mends: bool) -> tuple[list[str], str]:
        if viewer:
            return ["role"], "reset"
        return ([rule], "rollback" if mends else "reset") if rule else ([""], "none")

    for name, lives in ((live, True), (f"bare-{user}", False)):
        value = entry("eve", resolved=False, broadcastId=EVIL)
        rule = "" if may_delete else "owner"
        yield Cell([("resolved", name, value)], *refused(rule, mends=False))
        forged = value | {"by": "ada"}
        yield Cell([("resolved", name, forged)], *refused("identity", mends=may_delete))
        if lives:
            yield Cell([("resolved", name, None)], *refused(rule, mends=False))
    said = entry("eve", resolved=True, broadcastId=EVIL)
    rule = "closed" if mine else "owner"
    yield Cell([("resolved", shut, said)], *refused("" if moderates else rule, mends=mine))
    rule = "deleted" if may_delete else "owner"
    yield Cell([("resolved", f"gone-{user}", said)], *refused(rule, mends=may_delete))

    like = {"at": 1, "broadcastId": EVIL}
    yield Cell([("reactions", f"{live}/c/🎉/eve", like)], *refused("", mends=True))
    yield Cell([("reactions", f"{live}/gone/🎉/eve", like)], *refused("deleted", mends=True))
    rule = "" if moderates else "closed"
    yield Cell([("reactions", f"{shut}/c/🎉/eve", like)], *refused(rule, mends=True))
    for other in ("ada", "%65ve"):
        key = f"{live}/c/🎉/{other}"
        yield Cell([("reactions", key, like)], *refused("identity", mends=may_delete))
    own = f"{live}/c/👍/{user}"
    yield Cell([("reactions", own, like)], *refused("" if mine else "identity", mends=False))
    rule = "" if mine else "bare" if moderates else "owner"
    yield Cell([("reactions", own, None)], *refused(rule, mends=moderates))

    for other in (live, f"{live}/c"):
        for by, under in (("ada", "ada"), ("ada", "eve"), ("eve", "ada")):
            value = entry(by, broadcastId=EVIL)
            name = f"{other}/{under}"
            mends = moderates or (mine and under == "eve")
            yield Cell([("deleted", name, value)], *refused("identity", mends=mends))
    for other in (f"gone-{user}", f"{live}/gone"):
        rule = "" if may_delete else "owner"
        yield Cell([("deleted", f"{other}/{user}", None)], *refused(rule, mends=False))
        value = entry("eve", at=9, broadcastId=EVIL)
        rule = "" if mine else "identity"
        yield Cell([("deleted", f"{other}/{user}", value)], *refused(rule, mends=False))
    for other in (f"taken-{user}", f"{live}/taken"):
        rule = "" if moderates else "owner"
        yield Cell([("deleted", f"{other}/mod", None)], *refused(rule, mends=False))

    for name in ("page", live, shut):
        value = entry("eve", closed=True, broadcastId=EVIL)
        rule = "" if moderates else "role"
        yield Cell([("closed", name, value)], *refused(rule, mends=False))
        forged = value | {"by": "ada"}
        rule = "identity" if moderates else "role"
        yield Cell([("closed", name, forged)], *refused(rule, mends=moderates))
        if name == shut:
            rule = "" if moderates else "role"
            yield Cell([("closed", name, None)], *refused(rule, mends=False))


def others_below(role: Role) -> Iterator[Cell]:
    """What somebody else wrote below eve's own thread."""
    viewer, moderates = role == Role.VIEWER, role >= Role.MODERATOR
    answer = "live-eve/ada"
    owner, reset = "role" if viewer else "owner", "reset"
    edited = comment("ada", broadcastId=EVIL)
    yield Cell([("comments", answer, edited)], [owner], reset)
    rule, repair = ("role", reset) if viewer else ("bare", "rollback")
    yield Cell([("comments", answer, None)], [rule], repair)
    yield Cell([("reactions", "live-eve/c/👍/ada", None)], [rule], repair)
    entered = ("deleted", f"{answer}/eve", entry("eve", broadcastId=EVIL))
    rule, repair = (owner, reset) if not moderates else ("", "none")
    yield Cell(
        [entered, ("comments", answer, None)], [rule, rule if rule != "owner" else "bare"], repair
    )
    thread = [
        ("deleted", "live-eve/eve", entry("eve", broadcastId=EVIL)),
        ("annotations", "live-eve", None),
        ("comments", "live-eve/c", None),
        ("comments", answer, None),
        ("reactions", "live-eve/c/👍/ada", None),
        ("reactions", "live-eve/c/👍/eve", None),
        ("resolved", "live-eve", None),
    ]
    yield Cell(thread, ["role" if viewer else ""] * len(thread), "reset" if viewer else "none")
    too_far = [
        *thread[:2],
        ("closed", "shut-eve", None),
        ("deleted", "live-eve/taken/mod", None),
    ]
    rules = ["role"] * 4 if viewer else ["", "", "role", "owner"]
    if not moderates:
        yield Cell(too_far, rules, "reset")


def title(role: Role) -> Iterator[Cell]:
    moderates = role >= Role.MODERATOR
    rules, repair = ([""], "none") if moderates else (["role"], "reset")
    yield Cell([("page", "title", EVIL)], rules, repair)
    yield Cell([("page", "title", None)], rules, repair)


def cells(role: Role) -> Iterator[Cell]:
    for user in ("eve", "ada"):
        yield from entities(role, f"live-{user}", user)
        yield from facts(role, user)
    yield from fresh(role)
    yield from others_below(role)
    yield from title(role)


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


ROWS = ("owners", "entities", "refused", "held", "released")
MODERATOR = grant("mod", Role.MODERATOR)


RESTARTS = ("never", "snapshot", "journal")
SYNCS: tuple[Sync, ...] = ("update", "step2", "last")


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
