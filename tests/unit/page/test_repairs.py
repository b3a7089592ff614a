"""Tomb, put and GC: what a refused key leaves behind, and that a real Y.Doc of its sender is mended by it."""

from typing import Any

import pytest
from handmade import Hand, Table, annotation, comment, entry, thread
from pycrdt import Doc, Map

from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.update import Gc, Item, decode


def doc_of(*updates: bytes) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    for update in updates:
        doc.apply_update(update)
    return doc


def shown(doc: Doc[Any], root: str) -> dict[str, Any]:
    return dict(doc.get(root, type=Map))


def test_tomb_where_nothing_lives_and_she_may_empty_it() -> None:
    table = Table()
    thread(table)
    mod = Hand(table, "mod", 8_000_000, Role.MODERATOR)
    mod.set("closed", "a1", entry("mod", closed=True))
    mod.send()
    bob = Hand(table, "bob", 9_000_000)
    replica = doc_of(table.page.state())
    bob.set("reactions", "a1/c1/👍/bob", {"at": 1, "broadcastId": "LATE"})
    data = bob.data()
    replica.apply_update(data)
    verdict = bob.send("step2", data)
    assert verdict.repair == "rollback"
    (struct,) = decode(verdict.update).structs[bob.client]
    assert isinstance(struct, Item)
    assert struct.values is None
    assert not verdict.rows.refused
    replica.apply_update(verdict.update)
    assert shown(replica, "reactions") == {}
    assert not verdict.changes


def test_put_where_something_lives_that_she_may_write() -> None:
    table = Table(PageLimits(body=10))
    ada, _made, said = thread(table)
    replica = doc_of(table.page.state())
    for text in ("much too long", "far too long again"):
        over = ada.set("comments", "a1/c1", comment("ada", text), said)
        data = ada.data()
        replica.apply_update(data)
        verdict = ada.send("update", data)
        assert (verdict.kind, verdict.repair) == ("refused", "rollback")
        assert text.encode() not in verdict.update
        replica.apply_update(verdict.update)
        assert shown(replica, "comments") == {"a1/c1": comment("ada")}
        assert not verdict.changes
        said = over
    table.restart()
    ada.set("comments", "a1/c1", comment("ada", "fine"), (9, 1))
    assert ada.send().kind == "accepted"
    assert table.content()["comments/a1/c1"] == comment("ada", "fine")


def test_gc_for_what_is_not_hers_and_reset() -> None:
    table = Table()
    _ada, _made, said = thread(table)
    eve = Hand(table, "eve", 5_000_000)
    over = eve.set("comments", "a1/c1", comment("ada", "EVIL"), said)
    verdict = eve.send()
    assert (verdict.kind, verdict.repair) == ("refused", "reset")
    assert decode(verdict.update).structs == {eve.client: [Gc(eve.client, 0, 1)]}
    assert verdict.rows.refused == [(eve.client, 0, 1, "reset")]
    assert table.content()["comments/a1/c1"] == comment("ada")
    table.restart()
    eve.set("comments", "a1/c1", comment("ada", "EVIL"), over)
    verdict = eve.send()
    assert dict(verdict.keys) == {f"?/{eve.client}:1": "refused:origin"}
    assert verdict.repair == "reset"
    eve.set("comments", "a1/e1", comment("eve", "good"))
    assert eve.send().kind == "accepted"


def test_gc_of_a_fresh_id_mends_a_stock_replica() -> None:
    table = Table(PageLimits(comments=1))
    thread(table)
    bob = Hand(table, "bob", 9_000_000)
    replica = doc_of(table.page.state())
    one = bob.set("comments", "a1/b1", comment("bob", "LATE"))
    data = bob.data()
    replica.apply_update(data)
    verdict = bob.send("update", data)
    assert verdict.repair == "rollback"
    replica.apply_update(verdict.update)
    assert list(shown(replica, "comments")) == ["a1/c1"]
    for restart in (False, True):
        if restart:
            table.restart()
        one = bob.set("comments", "a1/b1", comment("bob", "LATER"), one)
        data = bob.data()
        replica.apply_update(data)
        verdict = bob.send("update", data)
        assert (list(verdict.keys.values()), verdict.repair) == (["refused:origin"], "rollback")
        replica.apply_update(verdict.update)
        assert list(shown(replica, "comments")) == ["a1/c1"]


def test_structs_on_one_refused_origin_share_its_key() -> None:
    table = Table(PageLimits(comments=1))
    thread(table)
    bob = Hand(table, "bob", 9_000_000)
    one = bob.set("comments", "a1/b1", comment("bob"))
    bob.send()
    two = bob.set("comments", "a1/b1", comment("bob"), one)
    bob.set("comments", "a1/b1", comment("bob"), two)
    verdict = bob.send()
    assert dict(verdict.keys) == {f"?/{bob.client}:1": "refused:origin"}
    assert verdict.rows.refused == [(bob.client, 1, 2, "rollback")]


def test_an_edit_refused_together_with_the_deletion_leaves_a_tomb() -> None:
    table = Table(PageLimits(body=10))
    ada, _made, said = thread(table)
    ada.set("deleted", "a1/c1/ada", entry("ada"))
    ada.set("comments", "a1/c1", comment("ada", "much too long"), said)
    verdict = ada.send()
    assert dict(verdict.keys) == {
        "deleted/a1/c1/ada": "accepted",
        "comments/a1/c1": "refused:size",
    }
    assert verdict.repair == "rollback"
    assert [(change.root, change.after) for change in verdict.changes] == [
        ("deleted", entry("ada")),
        ("comments", None),
    ]
    assert "comments/a1/c1" not in table.content()
    assert b"too long" not in verdict.update


def test_a_creation_swept_by_its_own_deletion_is_remembered() -> None:
    table = Table()
    ada, *_ = thread(table)
    last = ada.set("comments", "a1/c2", comment("ada", "EVIL", created=7))
    ada.set("deleted", "a1/c2/ada", entry("ada"))
    verdict = ada.send("step2")
    assert verdict.kind == "accepted"
    assert b"EVIL" not in verdict.update
    for restart in (False, True):
        if restart:
            table.restart()
        ada.deleted = {ada.client: [(3, 4)]} if not restart else {}
        last = ada.set("comments", "a1/c2", comment("ada", "x", created=8), last)
        assert "refused:fixed" in ada.send("step2").keys.values()


@pytest.mark.parametrize("restart", [False, True])
def test_a_huge_deleted_run_costs_nothing(restart: bool) -> None:
    table = Table()
    _ada, _made, said = thread(table)
    ada = Hand(table, "ada", 3_000_000)
    end = ada.item("comments", "a1/c1", None, said, length=2**31 - 10)
    ada.set("comments", "a1/c1", comment("ada", "after"), end)
    assert ada.send("step2").kind == "accepted"
    if restart:
        table.restart()
    middle = (ada.client, 1_000_000)
    low, high = Hand(table, "ada", 2_000_000), Hand(table, "ada", 4_000_000_000)
    low.set("comments", "a1/c1", comment("ada", "low"), middle)
    assert low.send("step2").kind == "accepted"
    assert table.content()["comments/a1/c1"]["body"] == "after"
    high.set("comments", "a1/c1", comment("ada", "high"), middle)
    assert high.send("step2").kind == "accepted"
    assert table.content()["comments/a1/c1"]["body"] == "high"


def test_honest_oddities_pass() -> None:
    table = Table()
    ada, *_ = thread(table)
    ada.gc(1_000_000)
    assert (verdict := ada.send()).kind == "accepted"
    assert (dict(verdict.keys), verdict.operations) == ({}, 1)
    draft = ada.item("comments", "a1/c2", [comment("ada", "DRAFT1"), comment("ada", "DRAFT2")])
    ada.drop((ada.client, draft[1] - 1), 2)
    ada.set("comments", "a1/c2", comment("ada", "final"), draft)
    verdict = ada.send("step2")
    assert verdict.kind == "accepted"
    assert not verdict.echo
    assert b"DRAFT" not in verdict.update
    ada.set("annotations", "a3", annotation("ada"))
    assert ada.send().kind == "accepted"
