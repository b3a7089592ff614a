"""What is big goes to Yjs and comes from it in pieces, and says the same."""

import random

import pytest
from pycrdt._pycrdt import Doc

from crdt_chat.identity import Grant, Role
from crdt_chat.page import content, outgoing, pieces
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.update import Item, Ranges, Struct, decode, encode
from crdt_chat.page.vector import encode_vector
from crdt_chat.page.verdict import GateRows

ADA = Grant("t", "ada", "Ada", Role.EDITOR)


def comment(client: int, clock: int, name: str, text: str = "text") -> Item:
    value = {"creator": "ada", "created": 1, "body": text}
    return Item(client, clock, 1, None, "comments", name, (value,))


def batch(seed: random.Random) -> tuple[dict[int, list[Struct]], Ranges]:
    """Items of five clients that hang on each other's; some are deleted."""
    structs: dict[int, list[Struct]] = {client: [] for client in range(70, 75)}
    units: list[tuple[int, int]] = []
    for number in range(60):
        client = seed.choice(list(structs))
        clock = len(structs[client])
        item = comment(client, clock, f"a/{number}")
        if units and seed.random() < 0.5:
            item = item._replace(origin=seed.choice(units), root="", name="")
        structs[client].append(item)
        units.append((client, clock))
    deleted: Ranges = {}
    for client, clock in sorted(seed.sample(units, 15)):
        deleted.setdefault(client, []).append((clock, clock + 1))
    return {client: run for client, run in structs.items() if run}, deleted


def shown(*updates: bytes) -> dict[str, object]:
    doc = Doc(0, None, None)
    for update in updates:
        transaction = doc.create_transaction()
        doc.apply_update(transaction, update)
        transaction.drop()
    transaction = doc.create_transaction()
    root = doc.get_or_insert_map(transaction, "comments")
    found = {name: root.get(transaction, name) for name in root.keys(transaction)}  # type: ignore[attr-defined]
    transaction.drop()
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_of_an_update_say_what_it_says(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "STRUCTS", 4)
    structs, deleted = batch(random.Random(seed))
    found = list(pieces.pieces(structs, deleted))
    assert len(found) >= 60 / 4 + 15 / 4
    assert shown(*found) == shown(encode(structs, deleted))


def test_a_long_range_is_deleted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "STRUCTS", 4)
    found = [decode(update).deleted for update in pieces.pieces({}, {5: [(0, 9)], 6: [(1, 3)]})]
    assert found == [{5: [(0, 4)]}, {5: [(4, 8)]}, {5: [(8, 9)], 6: [(1, 3)]}]
    assert len(list(pieces.pieces({}, {5: [(0, 2**31 - 1)]}))) <= pieces.PARTS + 1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as big."""
    monkeypatch.setattr(pieces, "STRUCTS", 2)
    monkeypatch.setattr(pieces, "ENCODED", 3)
    monkeypatch.setattr(outgoing, "STRUCTS", 0)
    monkeypatch.setattr(content, "SMALL", 0)


def page_of(structs: dict[int, list[Struct]]) -> tuple[Page, GateRows, list[bytes]]:
    """A page that has received this, annotation and all, with its log."""
    page, rows, updates = Page(PageLimits(), 9), GateRows(), []
    value = {"creator": "ada", "created": 1, "target": {"selector": []}}
    above = encode({5: [Item(5, 0, 1, None, "annotations", "a", (value,))]}, {})
    for update in (above, encode(structs, {})):
        verdict = page.receive(update, "step2", ADA, 1)
        assert verdict.kind == "accepted"
        updates.append(verdict.update)
        rows.owners += verdict.rows.owners
        rows.entities += verdict.rows.entities
    return page, rows, updates


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(10))
def test_a_page_in_pieces_is_the_page_as_a_whole(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    structs, _ = batch(random.Random(seed))
    page, rows, updates = page_of(structs)
    known = encode_vector({5: 1, 70: 2, 73: 1})
    in_pieces = (page.state(), page.diff(known), dict(page.items("comments")))
    loaded = Page.load(None, updates, rows, PageLimits(), 9)
    assert loaded.state_vector() == page.state_vector()
    assert dict(loaded.items("comments")) == in_pieces[2]
    monkeypatch.undo()
    whole, _, _ = page_of(structs)
    # Yjs writes the properties of a value in any order: what is said is compared, not the bytes.
    assert shown(in_pieces[0]) == shown(whole.state())
    assert ends(in_pieces[1]) == ends(whole.diff(known))
    assert in_pieces[2] == dict(whole.items("comments"))
    again = Page.load(in_pieces[0], (), rows, PageLimits(), 9)
    assert again.state_vector() == whole.state_vector()
    assert shown(again.state()) == shown(whole.state())


def ends(update: bytes) -> tuple[dict[int, tuple[int, int]], Ranges]:
    """Which clocks an update brings, and which it deletes."""
    structs, deleted, _ = decode(update)
    return {
        client: (run[0].clock, run[-1].clock + run[-1].length) for client, run in structs.items()
    }, deleted


def test_a_page_of_several_clients_reads_back_as_its_snapshot() -> None:
    """The verification compared state vectors whose clients stood in the order of their arrival."""
    page = page_of({client: [comment(client, 0, f"a/{client}")] for client in (70, 500, 80)})[0]
    again = Page.load(page.state(), (), GateRows(), PageLimits(), 1)
    assert again.state_vector() == page.state_vector()
