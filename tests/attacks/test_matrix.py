"""Role x root x operation x own or foreign x live or offline batch, with stock yjs on a real server.

What becomes of each cell is written down here from the design alone (sections 3 and 4), not from the gate:
*accepted*, *rollback* (refused; her replica is mended and she stays), *reset* (refused; she is closed with
4403). tests/unit/page/test_role_matrix.py has the same with pycrdt, and the rule that refuses.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from entries import NOW, annotation, comment
from scene import Scene
from yjs_peer import Operation

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

ROLES = ("viewer", "commenter", "editor", "moderator", "admin")
OWNERS = ("eve", "ada")


class Cell(NamedTuple):
    """One operation of eve's. before: who makes what first; back: what the server brings back with it."""

    name: str
    verdict: str
    writes: list[Operation]
    before: list[tuple[str, list[Operation]]]
    back: list[Operation]


class May:
    """What a role may, in the words of design 3."""

    def __init__(self, role: str) -> None:
        self.writes = role != "viewer"
        self.annotates = role in ("editor", "moderator", "admin")
        self.moderates = role in ("moderator", "admin")

    def over(self, owner: str) -> bool:
        """Delete, resolve, restore what `owner` made."""
        return self.moderates or (self.writes and owner == "eve")


def verdict(allowed: bool, mends: bool) -> str:
    return "accepted" if allowed else "rollback" if mends else "reset"


class Table:
    """The cells of one role; each has a thread `t<number>` of its own, made by its owner."""

    def __init__(self, role: str, marker: str) -> None:
        self.may, self.marker = May(role), marker
        self.cells: list[Cell] = []
        for owner in OWNERS:
            self.annotations(owner)
            self.comments(owner)
            self.resolved(owner)
            self.reactions(owner)
            self.deleted(owner)
            self.closed(owner)
        self.new()

    def thread(self, owner: str) -> tuple[str, list[tuple[str, list[Operation]]]]:
        name = f"t{len(self.cells)}"
        made: list[Operation] = [
            ("set", "annotations", name, annotation(owner)),
            ("set", "comments", f"{name}/c", comment(owner)),
        ]
        return name, [(owner, made)]

    def add(
        self,
        name: str,
        owner: str,
        allowed: bool,
        mends: bool,
        make: Callable[[str, str], list[Operation]],
        before: Callable[[str], list[tuple[str, list[Operation]]]] = lambda _thread: [],
        back: Callable[[str], list[Operation]] = lambda _thread: [],
    ) -> None:
        """make is given the thread and a word: the forbidden one if it is to be refused."""
        thread, made = self.thread(owner)
        said = verdict(allowed, mends)
        writes = make(thread, "fine" if allowed else self.marker)
        self.cells.append(
            Cell(
                f"{name} of {owner}",
                said,
                writes,
                made + before(thread),
                back(thread) if allowed else [],
            )
        )

    def annotations(self, owner: str) -> None:
        over = self.may.over(owner)
        self.add(
            "move the annotation", owner, over, False,
            lambda t, word: [("set", "annotations", t, annotation(owner, title=word))],
        )  # fmt: skip
        for change in ({"created": 5}, {"creator": "zoe"}):
            self.add(
                f"change {next(iter(change))} of the annotation", owner, False, over,
                lambda t, word, change=change: [
                    ("set", "annotations", t, annotation(owner, title=word) | change)
                ],
            )  # fmt: skip
        self.add(
            "remove the annotation", owner, False, over, lambda t, _: [("delete", "annotations", t)]
        )
        self.add(
            "delete the annotation", owner, over, False,
            lambda t, word: [entry(f"{t}/eve", "eve", word), ("delete", "annotations", t)],
        )  # fmt: skip

    def comments(self, owner: str) -> None:
        mine, over = self.may.writes and owner == "eve", self.may.over(owner)
        self.add(
            "answer in the thread", owner, self.may.writes, True,
            lambda t, word: [("set", "comments", f"{t}/n", comment("eve", word))],
        )  # fmt: skip
        self.add(
            "answer as ada in the thread", owner, False, True,
            lambda t, word: [("set", "comments", f"{t}/n", comment("ada", word))],
        )  # fmt: skip
        self.add(
            "edit the comment", owner, mine, False,
            lambda t, word: [("set", "comments", f"{t}/c", comment(owner, word))],
        )  # fmt: skip
        for change in ({"created": 5}, {"creator": "zoe"}):
            self.add(
                f"change {next(iter(change))} of the comment", owner, False, mine,
                lambda t, word, change=change: [("set", "comments", f"{t}/c", comment(owner, word) | change)],
            )  # fmt: skip
        self.add(
            "remove the comment",
            owner,
            False,
            over,
            lambda t, _: [("delete", "comments", f"{t}/c")],
        )
        self.add(
            "delete the comment", owner, over, False,
            lambda t, word: [entry(f"{t}/c/eve", "eve", word), ("delete", "comments", f"{t}/c")],
        )  # fmt: skip

    def resolved(self, owner: str) -> None:
        over = self.may.over(owner)

        def said(t: str, by: str, word: str) -> list[Operation]:
            value = {"by": by, "at": NOW, "resolved": True, "broadcastId": word}
            return [("set", "resolved", t, value)]

        self.add("resolve the thread", owner, over, False, lambda t, word: said(t, "eve", word))
        self.add(
            "resolve as ada the thread", owner, False, over, lambda t, word: said(t, "ada", word)
        )
        self.add(
            "remove the resolution", owner, over, False,
            lambda t, _: [("delete", "resolved", t)], lambda t: [(owner, said(t, owner, "done"))],
        )  # fmt: skip

    def reactions(self, owner: str) -> None:
        writes, over = self.may.writes, self.may.over(owner)

        def react(t: str, user: str, word: str) -> list[Operation]:
            return [("set", "reactions", f"{t}/c/🎉/{user}", {"at": NOW, "broadcastId": word})]

        def reacted(user: str) -> Callable[[str], list[tuple[str, list[Operation]]]]:
            return lambda t: [(user, react(t, user, "first"))]

        self.add("react to a comment", owner, writes, False, lambda t, word: react(t, "eve", word))
        self.add(
            "react as ada to a comment", owner, False, over, lambda t, word: react(t, "ada", word)
        )
        self.add(
            "react anew to a comment",
            owner,
            writes,
            False,
            lambda t, word: react(t, "eve", word),
            reacted("eve"),
        )
        self.add(
            "write over ada's reaction on a comment", owner, False, False,
            lambda t, word: react(t, "ada", word), reacted("ada"),
        )  # fmt: skip
        for user in OWNERS:
            self.add(
                f"remove {user}'s reaction on a comment", owner, writes and user == "eve", over,
                lambda t, _, user=user: [("delete", "reactions", f"{t}/c/🎉/{user}")], reacted(user),
            )  # fmt: skip

    def deleted(self, owner: str) -> None:
        over = self.may.over(owner)
        self.add(
            "say that ada deletes a comment", owner, False, over,
            lambda t, word: [entry(f"{t}/c/eve", "ada", word)],
        )  # fmt: skip
        for user in (owner, "mod"):
            self.add(
                f"lift {user}'s deletion of a comment", owner,
                self.may.moderates if user == "mod" else over, False,
                lambda t, _, user=user: [("delete", "deleted", f"{t}/c/{user}")],
                lambda t, user=user: [
                    (user, [entry(f"{t}/c/{user}", user, "gone"), ("delete", "comments", f"{t}/c")])
                ],
                lambda t: [("set", "comments", f"{t}/c", comment(owner))],
            )  # fmt: skip
        self.add(
            "write again a comment that mod deleted", owner, False, over,
            lambda t, word: [("set", "comments", f"{t}/c", comment(owner, word))],
            lambda t: [("mod", [entry(f"{t}/c/mod", "mod", "gone"), ("delete", "comments", f"{t}/c")])],
        )  # fmt: skip

    def closed(self, owner: str) -> None:
        allowed = self.may.moderates

        def shut(t: str, by: str, word: str) -> list[Operation]:
            return [
                ("set", "closed", t, {"by": by, "at": NOW, "closed": True, "broadcastId": word})
            ]

        self.add("close the thread", owner, allowed, False, lambda t, word: shut(t, "eve", word))
        self.add(
            "close as ada the thread", owner, False, allowed, lambda t, word: shut(t, "ada", word)
        )
        self.add(
            "open the closed thread", owner, allowed, False,
            lambda t, _: [("delete", "closed", t)], lambda t: [("mod", shut(t, "mod", "shut"))],
        )  # fmt: skip
        self.add(
            "answer in the closed thread", owner, allowed, True,
            lambda t, word: [("set", "comments", f"{t}/n", comment("eve", word))],
            lambda t: [("mod", shut(t, "mod", "shut"))],
        )  # fmt: skip

    def new(self) -> None:
        may, word = self.may, self.marker

        def alone(name: str, said: str, *writes: Operation) -> None:
            self.cells.append(Cell(name, said, list(writes), [], []))

        good = annotation("eve", title="fine" if may.annotates else word)
        alone(
            "start a discussion", verdict(may.annotates, True), ("set", "annotations", "n1", good)
        )
        alone(
            "start a discussion as ada", "rollback",
            ("set", "annotations", "n2", annotation("ada", title=word)),
        )  # fmt: skip
        title = "fine" if may.moderates else word
        alone("name the page", verdict(may.moderates, False), ("set", "page", "title", title))
        for root, name in (
            ("else", "x"), ("page", "else"), ("annotations", "page"), ("comments", "no slash"),
            ("closed", "a/b"), ("annotations", "__proto__"), ("reactions", "a/b/c/d"),
        ):  # fmt: skip
            alone(f"write {root}/{name}", "rollback", ("set", root, name, word))


def entry(name: str, by: str, word: str) -> Operation:
    return ("set", "deleted", name, {"by": by, "at": NOW, "broadcastId": word})


def prepare(scene: Scene, table: Table) -> None:
    """Everybody writes what the cells need, each kind of thing after the other."""
    writers = {
        "ada": scene.ada, "eve": scene.person("eve"), "mod": scene.person("mod", role="moderator"),
    }  # fmt: skip
    for step in range(2):
        for user, browser in writers.items():
            chosen = [
                write
                for cell in table.cells
                for name, writes in cell.before[step : step + 1]
                if name == user
                for write in writes
            ]
            if chosen:
                browser.transact(chosen)
                scene.settle(browser)
                last = [write[:3] for write in chosen if write[0] == "set"][-1]
                for other in (*writers.values(), scene.eve, scene.bob):
                    other.wait(has=[last[1:]])
    for browser in (writers["eve"], writers["mod"]):
        browser.disconnect()
    scene.sync()


def resets(scene: Scene, cells: list[Cell]) -> Iterator[str]:
    """Each on a replica of its own, which must be closed; the names of those that were not."""
    for cell in cells:
        browser = scene.person("eve", role=scene.role)
        if scene.offline:
            browser.disconnect()
        browser.transact(cell.writes)
        if scene.offline:
            browser.connect()
        try:
            browser.wait(denied=True)
        except AssertionError:
            yield cell.name
            continue
        if browser.status().denied["code"] != 4403:
            yield cell.name


@pytest.mark.parametrize("way", ["live", "offline"])
@pytest.mark.parametrize("role", ROLES)
def test_the_table(
    stage: Callable[..., Scene], role: str, way: str, record_property: Callable[[str, object], None]
) -> None:
    scene = stage(role=role, offline=way == "offline", tenant="roomy")
    table = Table(role, scene.marker)
    scene.attacks = len(table.cells)
    prepare(scene, table)
    stays = [cell for cell in table.cells if cell.verdict != "reset"]
    allowed = [cell for cell in stays if cell.verdict == "accepted"]
    accepted = [write for cell in allowed for write in (*cell.writes, *cell.back)]
    with scene.attack(accepted=accepted) as eve:
        for cell in stays:
            eve.transact(cell.writes)
        wrong = list(resets(scene, [cell for cell in table.cells if cell.verdict == "reset"]))
        assert wrong == []
    record_property("matrix: cells with stock yjs", len(table.cells))


def test_the_table_is_as_long_as_it_says() -> None:
    assert sum(len(Table(role, "x").cells) for role in ROLES) * 2 > 500
