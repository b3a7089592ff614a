"""Random honest and hostile structs: a page that restarts, or rests, judges like one that never does."""

import random
import zlib
from dataclasses import replace
from typing import Any

import pytest
from handmade import NOW, SERVER, Hand, Table, annotation, comment, entry, grant

from crdt_chat.errors import Malformed
from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.resting import Resting
from crdt_chat.page.update import Id, Item, decode, encode
from crdt_chat.page.verdict import Verdict

USERS = {"ada": Role.EDITOR, "bob": Role.COMMENTER, "mod": Role.MODERATOR, "eve": Role.EDITOR}
EMPTY_VECTOR, EMPTY_UPDATE = b"\x00", b"\x00\x00"
LIMITS = PageLimits(annotations=3, comments=4, body=40, reactions_per_user=2, state=6_000)


class Chaos:
    """People who write anything anywhere, over anything they may have heard of."""

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        self.table = Table(LIMITS)
        self.units: list[Id] = []
        self.hands = [
            Hand(
                self.table,
                user,
                self.choice.choice([7, 700, 70_000]) * 10 + number,
                role,
                known=number % 3 > 0,
            )
            for number, (user, role) in enumerate([*USERS.items()] * 2)
        ]

    def name(self, user: str) -> tuple[str, str]:
        annotation_id = self.choice.choice(["a1", "a2", "a3", "a4"])
        entity = self.choice.choice([annotation_id, f"{annotation_id}/c{self.choice.randrange(3)}"])
        user = user if self.choice.random() < 0.8 else self.choice.choice(list(USERS))
        return self.choice.choice(
            [
                ("annotations", annotation_id),
                ("annotations", annotation_id),
                ("comments", f"{annotation_id}/c{self.choice.randrange(3)}"),
                ("comments", f"{annotation_id}/c{self.choice.randrange(3)}"),
                ("resolved", annotation_id),
                ("reactions", f"{annotation_id}/c0/{self.choice.choice('👍👎🎉')}/{user}"),
                ("deleted", f"{entity}/{user}"),
                ("closed", self.choice.choice([annotation_id, "page"])),
                ("page", "title"),
                self.choice.choice(
                    [("page", "no"), ("no", "x"), ("comments", "a1"), ("deleted", "a1")]
                ),
            ]
        )

    def value(self, root: str, user: str) -> Any:
        if self.choice.random() < 0.1:
            return self.choice.choice([None, 5, {}, comment(user, "x" * 50), {"at": 1}, [1]])
        user = user if self.choice.random() < 0.85 else self.choice.choice(list(USERS))
        values = {
            "annotations": annotation(user, self.choice.choice([1, 1, 1, 2])),
            "comments": comment(user, f"v{self.choice.randrange(99)}"),
            "resolved": entry(user, resolved=True),
            "reactions": {"at": self.choice.randrange(9)},
            "deleted": entry(user),
            "closed": entry(user, closed=self.choice.random() < 0.3),
        }
        return values.get(root, "T")

    def write(self, hand: Hand) -> None:
        """A few structs of this client, and a few ranges of anybody's."""
        for _ in range(self.choice.randrange(4)):
            if self.choice.random() < 0.04:
                hand.gc(self.choice.randrange(1, 4))
                continue
            over = (
                self.choice.choice(self.units[-8:])
                if self.units and self.choice.random() < 0.5
                else None
            )
            root, name = self.name(hand.grant.user)
            kind = root if over is None else self.choice.choice(["annotations", "comments", root])
            values = [self.value(kind, hand.grant.user)]
            if self.choice.random() < 0.2:
                values *= 2
            length = self.choice.randrange(1, 4)
            place = ("", "") if over else (root, name)
            deleted = self.choice.random() < 0.15
            size = length if deleted else len(values)
            item = Item(hand.client, hand.clock, size, over, *place, None if deleted else values)
            hand.structs.append(item)
            self.units += [(hand.client, hand.clock + unit) for unit in range(size)]
            hand.clock += size
            if over and self.choice.random() < 0.8:
                hand.drop(over)
        for _ in range(self.choice.choice([0, 0, 1, 3])):
            if self.units:
                client, clock = self.choice.choice(self.units)
                hand.drop((client, max(0, clock - 1)), self.choice.randrange(1, 3))

    def data(self, hand: Hand) -> bytes:
        """Its update; sometimes with another's structs in it, or all it ever wrote once more."""
        structs = {hand.client: hand.structs} if hand.structs else {}
        other = self.choice.choice(self.hands)
        if self.choice.random() < 0.1 and other is not hand:
            forged = Item(other.client, other.clock, 1, None, *self.name("eve"), ({"EVIL": 1},))
            structs[other.client] = [forged]
        data = encode(structs, hand.deleted)
        hand.structs, hand.deleted = [], {}
        return data


def meaning(update: bytes) -> Any:
    """The update without the order of properties, which yrs does not keep."""
    if not update:
        return None
    found = decode(update)
    plain = {
        client: [
            replace(struct, raw=None) if isinstance(struct, Item) else struct for struct in run
        ]
        for client, run in found.structs.items()
    }
    return plain, found.deleted


def outcome(page: Page, data: bytes, sync: Any, hand: Hand) -> Verdict | None:
    try:
        return page.receive(data, sync, hand.grant, NOW)
    except Malformed:
        return None


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(60))
def test_a_restart_at_any_step_changes_nothing(seed: int) -> None:
    chaos = Chaos(seed)
    table = chaos.table
    for _ in range(40):
        hand = chaos.choice.choice(chaos.hands)
        chaos.write(hand)
        data, clock = chaos.data(hand), hand.clock
        sync = chaos.choice.choice(["update", "step2", "last"])
        table.rows.owners += table.page.announced
        table.page.announced.clear()
        twins = [
            Page.load(table.page.state(), (), table.rows, LIMITS, SERVER),
            Page.load(None, table.journal, table.rows, LIMITS, SERVER),
        ]
        verdict = outcome(table.page, data, sync, hand)
        for twin in twins:
            again = outcome(twin, data, sync, hand)
            if verdict is None or again is None:
                assert verdict is again
                continue
            for name in ("kind", "keys", "repair", "echo", "changes", "refusals", "operations"):
                assert getattr(again, name) == getattr(verdict, name), name
            assert meaning(again.update) == meaning(verdict.update)
            assert again.rows.refused == verdict.rows.refused
            assert again.rows.entities == verdict.rows.entities
            assert {root: dict(twin.items(root)) for root in ("comments", "deleted")} == {
                root: dict(table.page.items(root)) for root in ("comments", "deleted")
            }
            assert twin.counts() == table.page.counts()
        if verdict is None or verdict.kind == "gap":
            # Start anew where the server is, as a client that was closed or answered with step 1 does.
            hand.clock = dict(_vector(table.page)).get(hand.client, 0)
        else:
            table.keep(verdict)
            assert b"EVIL" not in table.page.state()
        assert clock >= hand.clock or not hand.structs


def _vector(page: Page) -> list[tuple[int, int]]:
    return [(client, runs.end) for client, runs in page._content.index.runs.items()]


def test_gcs_of_two_repairs_side_by_side_come_back_apart() -> None:
    table = Table(PageLimits(comments=1))
    ada = Hand(table, "ada", 1_000_000)
    ada.set("annotations", "a1", annotation("ada"))
    ada.set("comments", "a1/c1", comment("ada"))
    ada.send()
    eve = Hand(table, "eve", 5_000_000)
    fresh = eve.set("comments", "a1/e1", comment("eve"))
    others = eve.set("comments", "a1/c1", comment("ada", "EVIL"), (ada.client, 1))
    eve.gc(2)
    verdict = eve.send("step2")
    assert verdict.update.count(bytes([4])) >= 1
    assert [row[3] for row in verdict.rows.refused] == ["rollback", "reset"]
    table.restart()
    for unit, repair in ((fresh, "rollback"), (others, "reset"), ((eve.client, 3), "reset")):
        eve.set("", "", comment("eve"), unit)
        assert eve.send().repair == repair
    assert grant("eve").user == "eve"


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(30))
def test_a_page_that_rests_at_every_step_judges_like_one_that_never_does(seed: int) -> None:
    chaos = Chaos(seed)
    table = chaos.table
    sleeper = Page(LIMITS, SERVER)
    luck = random.Random(seed)
    for _ in range(40):
        hand = chaos.choice.choice(chaos.hands)
        chaos.write(hand)
        data = chaos.data(hand)
        sync = chaos.choice.choice(["update", "step2", "last"])
        for client, user in table.page.announced:
            assert sleeper.announce(client, user)
        table.page.announced.clear()
        if luck.random() < 0.8:
            sleeper.rest()
            assert sleeper.rests
        verdict = outcome(table.page, data, sync, hand)
        again = outcome(sleeper, data, sync, hand)
        if verdict is None or again is None:
            assert verdict is again
        else:
            assert again.keys == verdict.keys
            assert again.repair == verdict.repair
            assert again.rows == verdict.rows
        if verdict is None or verdict.kind == "gap":
            hand.clock = dict(_vector(table.page)).get(hand.client, 0)
        assert sleeper.counts() == table.page.counts()
        assert all(
            dict(sleeper.items(root)) == dict(table.page.items(root))
            for root in ("annotations", "comments", "deleted", "reactions")
        )


def test_who_joins_does_not_wake_a_page() -> None:
    chaos = Chaos(3)
    for _ in range(60):
        hand = chaos.choice.choice(chaos.hands)
        chaos.write(hand)
        outcome(chaos.table.page, chaos.data(hand), "last", hand)
    page = chaos.table.page
    before = page.state(), page.state_vector(), page.counts()
    assert len(before[0]) > 100
    page.rest()
    assert (page.state(), page.state_vector(), page.counts()) == before
    assert page.diff(EMPTY_VECTOR) == before[0]
    assert page.receive(EMPTY_UPDATE, "step2", chaos.hands[0].grant, 0).kind == "trimmed"
    assert page.announce(4_000_000_000, "ada")
    assert not page.announce(4_000_000_000, "bob")
    assert page.rests
    assert list(page.items("annotations")) is not None
    assert not page.rests


def test_a_page_at_rest_is_its_packed_state() -> None:
    page = Page(PageLimits(), 1)
    page.rest()
    page.rest()
    assert isinstance(page._being, Resting)
    assert zlib.decompress(page._being._packed) == page.state() == EMPTY_UPDATE
