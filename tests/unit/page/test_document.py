"""Structs as they are written: kept in order, given from any clock on; and what Yjs makes of them."""

import random
from dataclasses import replace
from typing import Any

import pytest
from pycrdt import Doc, Map

from crdt_chat.errors import UpdateBroken
from crdt_chat.identity import Grant, Role
from crdt_chat.page import arrival, document, yjs
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
            item = replace(item, origin=seed.choice(units), root="", name="")
        structs[client].append(item)
        units.append((client, clock))
    deleted: Ranges = {}
    for client, clock in sorted(seed.sample(units, 15)):
        deleted.setdefault(client, []).append((clock, clock + 1))
    return {client: run for client, run in structs.items() if run}, deleted


def as_shown(*updates: bytes) -> dict[str, object]:
    """What the comments are to a Y.Doc that is told these updates."""
    doc: Doc[Any] = Doc()
    for update in updates:
        doc.apply_update(update)
    return doc.get("comments", type=Map).to_py() or {}


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_of_an_update_say_what_it_says(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yjs, "STRUCTS", 4)
    structs, deleted = batch(random.Random(seed))
    found = list(yjs.pieces(structs, deleted))
    assert len(found) >= 60 / 4 + 15 / 4
    assert as_shown(*found) == as_shown(encode(structs, deleted))
    comments = {name: value for _, name, value in yjs.shown(encode(structs, deleted))}
    assert comments == as_shown(encode(structs, deleted))


def test_a_long_range_is_deleted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yjs, "STRUCTS", 4)
    found = [decode(update).deleted for update in yjs.pieces({}, {5: [(0, 9)], 6: [(1, 3)]})]
    assert found == [{5: [(0, 4)]}, {5: [(4, 8)]}, {5: [(8, 9)], 6: [(1, 3)]}]
    assert len(list(yjs.pieces({}, {5: [(0, 2**31 - 1)]}))) <= yjs.PARTS + 1


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


@pytest.mark.parametrize("seed", range(20))
def test_a_peer_that_knows_any_part_is_given_the_rest(seed: int) -> None:
    """Whatever state vector it has: from the middle of a run of deleted units, too."""
    luck = random.Random(seed)
    structs, _ = batch(luck)
    page, rows, updates = page_of(structs)
    ends = {client: runs.end for client, runs in page._content.index.runs.items()}
    whole = as_shown(page.state())
    assert whole == dict(page.items("comments"))
    assert as_shown(*updates) == whole
    loaded = Page.load(None, updates, rows, PageLimits(), 9)
    assert loaded.state_vector() == page.state_vector()
    assert dict(loaded.items("comments")) == whole
    for _ in range(10):
        known = {client: luck.randrange(end + 1) for client, end in ends.items()}
        known = {client: clock for client, clock in known.items() if clock}
        diff = page.diff(encode_vector(known))
        update = decode(diff)
        found, deleted = update.structs, update.deleted
        assert {client: run[0].clock for client, run in found.items()} == {
            client: known.get(client, 0) for client, end in ends.items() if known.get(client) != end
        }
        assert all(run[-1].clock + run[-1].length == ends[client] for client, run in found.items())
        assert deleted == decode(page.state()).deleted


@pytest.mark.parametrize("seed", range(20))
def test_a_peer_that_was_there_until_some_moment_is_told_the_rest(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    luck = random.Random(seed)
    structs, _ = batch(luck)
    page = page_of(structs)[0]
    monkeypatch.setattr(yjs, "STRUCTS", 7)
    doc: Doc[Any] = Doc()
    whole = decode(page.state())
    for piece in yjs.pieces(whole.structs, whole.deleted):
        late: Doc[Any] = Doc()
        late.apply_update(doc.get_update())
        late.apply_update(page.diff(late.get_state()))
        assert (late.get("comments", type=Map).to_py() or {}) == dict(page.items("comments"))
        assert sorted(late.get_state()) == sorted(page.state_vector())
        doc.apply_update(piece)


def test_who_edits_a_comment_again_and_again_leaves_one_struct_behind() -> None:
    page = page_of({70: [comment(70, 0, "a/1")]})[0]
    for clock in range(1, 40):
        edit = replace(comment(70, clock, "", f"text {clock}"), origin=(70, clock - 1))
        update = encode({70: [edit]}, {70: [(clock - 1, clock)]})
        assert page.receive(update, "update", ADA, 1).kind == "accepted"
    update = decode(page.state())
    structs, deleted = update.structs, update.deleted
    assert [(struct.clock, struct.length) for struct in structs[70]] == [(0, 39), (39, 1)]
    assert deleted == {70: [(0, 39)]}
    assert b"text 38" not in page.state()
    assert as_shown(page.state()) == dict(page.items("comments"))
    middle = decode(page.diff(encode_vector({70: 20}))).structs[70][0]
    assert replace(middle, raw=None) == Item(70, 20, 19, (70, 19), "", "", None)


def test_many_values_that_go_at_once_leave_what_each_by_itself_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Comments of two clients, every third not edited; of one of them some stay."""
    structs: dict[int, list[Struct]] = {70: [], 80: []}
    for client, run in structs.items():
        for clock in range(0, 60, 2):
            second = replace(comment(client, clock + 1, ""), origin=(client, clock))
            if clock % 3 == 0:
                second = comment(client, clock + 1, f"a/{client}.{clock + 1}")
            run += [comment(client, clock, f"a/{client}.{clock}"), second]
    entry = Item(90, 0, 1, None, "deleted", "a/ada", ({"by": "ada", "at": 1},))
    update = encode({90: [entry]}, {70: [(0, 40)], 80: [(3, 60)]})
    states = []
    for many in (0, 100):
        monkeypatch.setattr(document, "DROPPED_SINGLY", many)
        page = page_of(structs)[0]
        assert page.receive(update, "update", ADA, 1).kind == "accepted"
        assert as_shown(page.state()) == dict(page.items("comments")) != {}
        states.append(page.state())
    assert states[0] == states[1]
    deleted = decode(states[0]).deleted
    assert (deleted[70][0], deleted[80]) == ((0, 41), [(2, 60)])


def test_a_page_of_several_clients_reads_back_as_its_snapshot() -> None:
    """The verification compared state vectors whose clients stood in the order of their arrival."""
    page = page_of({client: [comment(client, 0, f"a/{client}")] for client in (70, 500, 80)})[0]
    again = Page.load(page.state(), (), GateRows(), PageLimits(), 1)
    assert again.state_vector() == page.state_vector()


def test_a_big_batch_and_a_big_page_leave_nothing_of_what_they_were_read_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To drop 60,000 drafts and structs in one go held the interpreter for 44 ms."""
    monkeypatch.setattr(arrival, "FREED_AT_ONCE", 3)
    emptied: list[tuple[int, int, int]] = []
    drop = arrival.Arrival.drop

    def watched(each: arrival.Arrival) -> None:
        drop(each)
        emptied.append((len(each.drafts), len(each.placed), len(each.update.structs)))

    monkeypatch.setattr(arrival.Arrival, "drop", watched)
    page, rows, updates = page_of(batch(random.Random(1))[0])
    again = Page.load(None, updates, rows, PageLimits(), 9)
    assert emptied == [(1, 1, 1), (0, 0, 0), (0, 0, 0)]
    assert dict(again.items("comments")) == dict(page.items("comments"))
    assert again.counts() == page.counts()


def test_what_was_used_last_is_recalled_without_decoding_and_no_more_than_that() -> None:
    held = document.Document()
    items = [comment(70, clock, f"a/{clock}", f"text {clock}") for clock in range(40)]
    held.append(70, items)
    for item in items:
        assert item.values is not None
        assert held.recall((70, item.clock)) == held.read((70, item.clock)) == item.values[0]
    hot = held.recall((70, 0))
    for item in items[1 : document.RECALLED]:
        held.recall((70, item.clock))
    assert held.recall((70, 0)) is hot, "it is among the last ones used"
    for item in items[1 : document.RECALLED + 1]:
        held.recall((70, item.clock))
    assert held.recall((70, 0)) is not hot, "others were used since"


def test_of_each_client_the_value_it_wrote_last_stays_decoded_and_no_other() -> None:
    held = document.Document()
    mine = [comment(70, clock, f"a/{clock}") for clock in range(3)]
    for item in mine:
        held.append(70, [item])
    held.append(71, [comment(71, 0, "a/71")])
    assert mine[2].values is not None
    assert mine[0].values is not None
    assert held.recall((70, 2)) is mine[2].values[0], "she may go on with it"
    assert held.recall((70, 0)) is not mine[0].values[0], "a page has hundreds of these"
    for client in range(72, 72 + document.WRITING):
        held.append(client, [comment(client, 0, f"a/{client}")])
    assert held.recall((70, 2)) is not mine[2].values[0], "others have written since"


@pytest.mark.parametrize("many", [1, document.DROPPED_SINGLY + 1])
def test_what_was_taken_out_is_recalled_by_nobody(many: int) -> None:
    held = document.Document()
    held.append(70, [comment(70, clock, f"a/{clock}") for clock in range(many)])
    held.recall((70, 0))
    held.drop([(70, clock) for clock in range(many)])
    for clock in (0, many - 1):
        with pytest.raises(UpdateBroken):
            held.recall((70, clock))
