"""Updates written by hand, struct by struct: what the tests of the gate send it."""

from collections.abc import Sequence
from typing import Any

from witness import look_in_late

from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.merge import merged
from crdt_chat.page.outgoing import Outgoing
from crdt_chat.page.page import SHORT, Page
from crdt_chat.page.update import Gc, Id, Item, Struct, Update, decode, encode
from crdt_chat.page.verdict import GateRows, Sync, Verdict

NOW = 1_763_000_000_000
SERVER = 9


def grant(user: str, role: Role = Role.EDITOR) -> Grant:
    """A grant of tenant `t`."""
    return Grant("t", user, user.title(), role)


def annotation(user: str, created: int = 1, **more: Any) -> dict[str, Any]:
    """A good value for `annotations`."""
    selector = [{"type": "TextQuoteSelector", "exact": "a note"}]
    return {"creator": user, "created": created, "target": {"selector": selector}} | more


def comment(user: str, body: str = "hello", created: int = 2, **more: Any) -> dict[str, Any]:
    """A good value for `comments`."""
    return {"creator": user, "created": created, "body": body} | more


def entry(user: str, at: int = 3, **more: Any) -> dict[str, Any]:
    """A good value for `deleted`, and with one more property for `resolved` and `closed`."""
    return {"by": user, "at": at} | more


class Table:
    """A page with a restart button, and the people around it."""

    def __init__(self, limits: PageLimits | None = None) -> None:
        self.limits = limits or PageLimits()
        self.page = Page(self.limits, SERVER)
        self.rows = GateRows()
        self.journal: list[bytes] = []
        self.applied: list[Outgoing | Update] = []

    def keep(self, verdict: Verdict) -> Verdict:
        """Keep what the store would keep. Yjs must show the same."""
        if verdict.update:
            self.journal.append(verdict.update)
            short = len(verdict.update) <= SHORT
            assert (verdict.applied is not None) == short
            self.applied.append(verdict.applied or decode(verdict.update))
            assert merged(self.applied[-1:]) == verdict.update
        look_in_late(self.page)
        for name in ("owners", "entities", "refused", "held", "released"):
            getattr(self.rows, name).extend(getattr(verdict.rows, name))
        self.rows.owners += self.page.announced
        self.page.announced.clear()
        return verdict

    def restart(self) -> None:
        """Reload from the snapshot and the rows."""
        self.rows.owners += self.page.announced
        self.page = Page.load(self.page.state(), (), self.rows, self.limits, SERVER)

    def content(self) -> dict[str, Any]:
        """All live entries, as `root/name`."""
        roots = ("annotations", "comments", "resolved", "reactions", "deleted", "closed", "page")
        return {f"{root}/{name}": value for root in roots for name, value in self.page.items(root)}


class Hand:
    """One Yjs client of one person: writes structs in the order of its clock."""

    def __init__(
        self, table: Table, user: str, client: int, role: Role = Role.EDITOR, *, known: bool = True
    ) -> None:
        self.table = table
        self.grant = grant(user, role)
        self.client = client
        self.clock = 0
        self.structs: list[Struct] = []
        self.deleted: dict[int, list[tuple[int, int]]] = {}
        if known:
            assert table.page.announce(client, user)

    def set(self, root: str, name: str, value: Any, over: Id | None = None) -> Id:
        """Write a value; `over` is the unit it hangs on, which it also deletes."""
        return self.item(root, name, [value], over)

    def item(
        self,
        root: str,
        name: str,
        values: Sequence[Any] | None,
        over: Id | None = None,
        length: int = 1,
    ) -> Id:
        """Any item; returns its last unit."""
        length = length if values is None else len(values)
        place = ("", "") if over else (root, name)
        self.structs.append(Item(self.client, self.clock, length, over, *place, values))
        if over:
            self.drop(over)
        if values is None:
            self.deleted.setdefault(self.client, []).append((self.clock, self.clock + length))
        self.clock += length
        return self.client, self.clock - 1

    def gc(self, length: int) -> None:
        """Clocks without content."""
        self.structs.append(Gc(self.client, self.clock, length))
        self.clock += length

    def drop(self, unit: Id, length: int = 1) -> None:
        """Name units in the delete set."""
        self.deleted.setdefault(unit[0], []).append((unit[1], unit[1] + length))

    def data(self) -> bytes:
        """The update with all that was written since the last one."""
        data = encode({self.client: self.structs} if self.structs else {}, self.deleted)
        self.structs, self.deleted = [], {}
        return data

    def send(self, sync: Sync = "update", data: bytes | None = None) -> Verdict:
        """Send it; returns the verdict, of which the table keeps what a store would keep."""
        data = self.data() if data is None else data
        return self.table.keep(self.table.page.receive(data, sync, self.grant, NOW))


def thread(table: Table, user: str = "ada", client: int = 1_000_000) -> tuple[Hand, Id, Id]:
    """`user` annotates (a1) and comments (a1/c1); returns her and the two units."""
    hand = Hand(table, user, client)
    made = (
        hand.set("annotations", "a1", annotation(user)),
        hand.set("comments", "a1/c1", comment(user)),
    )
    assert hand.send().kind == "accepted"
    return hand, *made
