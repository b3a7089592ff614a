"""The verbs of a page around the gate: server-made writes, hiding, sync, loading, breaking; and merging."""

import random

import pytest
from handmade import NOW, SERVER, Hand, Table, annotation, comment, entry, grant, thread
from pycrdt import Doc, Map

from crdt_chat.errors import Malformed, PageBroken, UpdateBroken
from crdt_chat.identity import Role
from crdt_chat.page.column import Column
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.merge import merge, merged
from crdt_chat.page.page import RESERVED, Page
from crdt_chat.page.update import Struct, decode, encode
from crdt_chat.page.vector import encode_vector
from crdt_chat.page.verdict import GateRows
from crdt_chat.server.rooms import snapshots

MOD = grant("mod", Role.MODERATOR)


def test_server_made_writes_are_judged_by_the_grant() -> None:
    table = Table()
    thread(table)
    bob = grant("bob")
    verdict = table.keep(table.page.write([("comments", "a1/b1", comment("bob"))], bob, NOW))
    assert verdict.kind == "accepted"
    assert verdict.echo is False
    assert [change.after for change in verdict.changes] == [comment("bob")]
    assert verdict.rows.owners == [(SERVER, "")]
    assert decode(verdict.update).structs.keys() == {SERVER}
    for name, rule in (("a1/b2", "identity"), ("a1/c1", "owner"), ("no/b1", "unknown")):
        value = comment("ada", "x")
        verdict = table.page.write([("comments", name, value)], bob, NOW)
        assert (verdict.kind, verdict.update) == ("refused", b"")
        assert [refusal.rule for refusal in verdict.refusals] == [
            "identity" if rule == "unknown" else rule
        ]


def test_a_write_is_all_or_nothing() -> None:
    table = Table()
    thread(table)
    operations = [("comments", "a1/b1", comment("bob")), ("page", "title", "T")]
    assert table.page.write(operations, grant("bob"), NOW).kind == "refused"
    assert "comments/a1/b1" not in table.content()
    assert table.page.write(operations[:1], grant("bob"), NOW).kind == "accepted"


def test_to_remove_what_was_never_there_is_no_operation() -> None:
    table = Table()
    thread(table)
    operations = [("closed", "a1", None), ("page", "title", "T")]
    assert table.page.write(operations, MOD, NOW).keys == {"page/title": "accepted"}
    assert table.page.write(operations[:1], MOD, NOW).kind == "trimmed"
    assert table.content()["page/title"] == "T"


def test_a_restore_keeps_the_past_of_others() -> None:
    table = Table()
    ada, made, said = thread(table)
    ada.set("deleted", "a1/ada", entry("ada"))
    ada.drop(made)
    ada.drop(said)
    ada.send()
    restore = [
        ("deleted", "a1/ada", None),
        ("annotations", "a1", annotation("ada")),
        ("comments", "a1/c1", comment("ada")),
    ]
    assert table.page.write(restore, MOD, NOW).kind == "refused"
    assert table.page.write(restore[1:], MOD, NOW, keep_past=True).kind == "refused"
    changed = [*restore[:2], ("comments", "a1/c1", comment("ada", created=99))]
    assert table.page.write(changed, MOD, NOW, keep_past=True).kind == "refused"
    assert table.page.write(restore, MOD, NOW, keep_past=True).kind == "accepted"
    assert set(table.content()) == {"annotations/a1", "comments/a1/c1"}


def test_hiding_and_showing_again() -> None:
    table = Table()
    ada, _made, said = thread(table)
    hide = [("comments", "a1/c1", None)]
    assert table.page.write(hide, MOD, NOW).kind == "refused"
    assert table.page.write(hide, grant("eve"), NOW, hides=["a1/c1"]).kind == "refused"
    verdict = table.keep(table.page.write(hide, MOD, NOW, hides=["a1/c1"]))
    assert (verdict.kind, verdict.rows.held) == ("accepted", ["a1/c1"])
    for restart in (False, True):
        if restart:
            table.restart()
        assert table.page.hidden("a1/c1")
        said = ada.set("comments", "a1/c1", comment("ada", "LATE"), said)
        assert list(ada.send("step2").keys.values()) == ["refused:deleted"]
    show = [("comments", "a1/c1", comment("ada"))]
    assert table.page.write(show, MOD, NOW, keep_past=True).kind == "refused"
    verdict = table.page.write(show, MOD, NOW, keep_past=True, shows=["a1/c1"])
    assert (verdict.kind, verdict.rows.released) == ("accepted", ["a1/c1"])
    assert not table.page.hidden("a1/c1")


def test_what_is_below() -> None:
    table = Table()
    ada, _made, said = thread(table)
    ada.set("reactions", "a1/c1/👍/ada", {"at": 1})
    ada.set("resolved", "a1", entry("ada", resolved=True))
    ada.set("annotations", "a12", annotation("ada"))
    ada.set("comments", "a12/c1", comment("ada"))
    ada.send()
    like = ("reactions", "a1/c1/👍/ada")
    assert set(table.page.below("a1")) == {("comments", "a1/c1"), like, ("resolved", "a1")}
    assert table.page.below("a1/c1") == [like]
    everything = [("deleted", "a1/ada", entry("ada")), ("annotations", "a1", None)]
    everything += [(root, name, None) for root, name in table.page.below("a1")]
    assert table.page.write(everything, grant("ada"), NOW).kind == "accepted"
    assert table.page.counts().comments == 1
    assert said


def test_diff_and_state_vector() -> None:
    table = Table()
    ada, *_ = thread(table)
    doc: Doc[object] = Doc()
    doc.apply_update(table.page.diff(b"\x00"))
    ada.set("comments", "a1/c2", comment("ada", "later"))
    ada.send()
    later = table.page.diff(doc.get_state())
    assert b"later" in later
    assert b"a note" not in later
    doc.apply_update(later)
    assert len(doc.get("comments", type=Map)) == 2
    assert sorted(doc.get_state()) == sorted(table.page.state_vector())
    assert table.page.diff(encode_vector({ada.client: 2**31 - 1, 77: 5})) == b"\x00\x00"


@pytest.mark.parametrize("data", ["", "01", "0105", "000000", "01ffffffffffffffff7f00"])
def test_bad_state_vectors(data: str) -> None:
    with pytest.raises(Malformed):
        Page(PageLimits(), SERVER).diff(bytes.fromhex(data))


def test_a_state_vector_of_too_many_unknown_ids() -> None:
    page = Page(PageLimits(), SERVER)
    assert page.diff(encode_vector(dict.fromkeys(range(1_000), 1)))
    with pytest.raises(Malformed):
        page.diff(encode_vector(dict.fromkeys(range(1_001), 1)))


def test_a_page_that_failed_half_way_is_never_touched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = Table()
    ada, _made, said = thread(table)
    monkeypatch.setattr(Column, "drop", lambda *_: 1 / 0)
    ada.set("comments", "a1/c1", comment("ada", "one"), said)
    with pytest.raises(ZeroDivisionError):
        ada.send()
    monkeypatch.undo()
    for touch in (
        table.page.state,
        lambda: table.page.value("comments", "a1/c1"),
        lambda: list(table.page.items("page")),
        lambda: table.page.diff(encode_vector({5: 1})),
        table.page.rest,
        ada.send,
    ):
        ada.set("comments", "a1/c2", comment("ada"))
        with pytest.raises(PageBroken):
            touch()


def test_an_index_that_names_what_is_not_there_is_the_updates_fault() -> None:
    table = Table()
    ada, _made, said = thread(table)
    table.page._content.document.drop([said])
    ada.set("comments", "a1/c1", comment("ada", "one"), said)
    with pytest.raises(UpdateBroken):
        ada.send()


def test_a_wrong_prediction_is_seen_before_the_log_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()
    _ada, _made, said = thread(table)
    low = Hand(table, "ada", 2**40)
    low.set("comments", "a1/c1", comment("ada", "one"), said)
    low.send()
    assert snapshots.reads_back(table.page, table.page.state())
    monkeypatch.setattr("crdt_chat.page.draft.Draft._beats", lambda *_: False)
    high = Hand(table, "ada", 2**50)
    high.set("comments", "a1/c1", comment("ada", "two"), said)
    # The forged tree says that `two` loses and is sent on as deleted; for Yjs it wins.
    table.page.receive(high.data(), "step2", high.grant, NOW)
    assert table.page.value("comments", "a1/c1")["body"] == "one"
    monkeypatch.undo()
    assert not snapshots.reads_back(table.page, table.page.state())


def test_a_stored_page_that_no_gate_wrote_is_refused() -> None:
    doc: Doc[object] = Doc()
    doc["comments"] = Map({"a1/c1": Map({"nested": 1})})
    with pytest.raises(PageBroken):
        Page.load(doc.get_update(), (), GateRows(), PageLimits(), SERVER)
    with pytest.raises(PageBroken):
        Page.load(b"rubbish", (), GateRows(), PageLimits(), SERVER)


@pytest.mark.parametrize("seed", range(20))
def test_merged_updates_say_what_they_said_one_by_one(seed: int) -> None:
    choice = random.Random(seed)
    table = Table()
    ada, _made, said = thread(table)
    bob = Hand(table, "bob", 9_000_000)
    for number in range(30):
        hand = choice.choice([ada, bob])
        what = choice.randrange(4)
        if what == 0:
            said = ada.set("comments", "a1/c1", comment("ada", f"v{number}"), said)
            hand = ada
        elif what == 1:
            hand.set("comments", f"a1/{number}", comment(hand.grant.user))
        elif what == 2:
            hand.set("comments", f"a1/{number}", comment("eve", "EVIL"))
        else:
            hand.gc(choice.randrange(1, 4))
        hand.send()
    cut = choice.randrange(1, len(table.journal))
    doc: Doc[object] = Doc()
    for part in (table.journal[:cut], table.journal[cut:]):
        update = merge(part)
        assert decode(update).raw == update
        doc.apply_update(update)
    assert dict(doc.get("comments", type=Map)) == dict(table.page.items("comments"))
    whole = merge(table.journal)
    assert merged(table.applied) == whole
    assert merged(table.applied[:cut]) == merge(table.journal[:cut])
    assert len(whole) <= sum(map(len, table.journal))
    again = Page.load(None, [whole], table.rows, PageLimits(), SERVER)
    assert again.state_vector() == table.page.state_vector() or sorted(
        again.state_vector()
    ) == sorted(table.page.state_vector())


def test_merging_leaves_out_what_was_deleted_meanwhile() -> None:
    table = Table()
    ada, _made, said = thread(table)
    ada.set("comments", "a1/c1", comment("ada", "new"), said)
    ada.send()
    assert b"hello" not in merge(table.journal)
    assert merge([]) == merge([b"", b""]) == b""
    with pytest.raises(ValueError, match="follow"):
        merge([table.journal[1], table.journal[0]])


def test_somebody_who_claims_every_reserved_client_id_does_not_hang_the_page() -> None:
    table = Table()
    thread(table)
    eve = Hand(table, "eve", 2_000_000)
    structs: dict[int, list[Struct]] = {}
    for client in range(1_000):
        eve.client, eve.clock, eve.structs = client, 0, []
        eve.set("comments", f"a1/f{client}", {"creator": "eve"})
        structs[client] = eve.structs
    eve.send("step2", encode(structs, {}))
    assert len(table.rows.owners) >= 999
    table.rows.owners = [(client, "eve") for client in range(RESERVED)]
    table.restart()
    verdict = table.page.write([("page", "title", "T")], MOD, NOW)
    assert verdict.kind == "accepted"
    assert set(decode(verdict.update).structs) == {RESERVED}
