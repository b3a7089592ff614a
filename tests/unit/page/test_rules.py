"""Who may do what: one history for each line of the table and each rule, on top of the shared vectors."""

from dataclasses import replace
from typing import Any

import pytest
from handmade import Hand, Table, annotation, comment, entry, thread

from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.update import Item, decode, encode
from crdt_chat.page.verdict import Verdict


def outcome(verdict: Verdict) -> tuple[dict[str, str], str]:
    return dict(verdict.keys), verdict.repair


def refused(key: str, rule: str, repair: str) -> tuple[dict[str, str], str]:
    return {key: f"refused:{rule}"}, repair


ACCEPTED = "accepted"
LIKE = "reactions/a1/c1/👍/eve"


@pytest.mark.parametrize(
    ("root", "name", "value", "role", "rule", "repair"),
    [
        ("annotations", "a2", annotation("eve"), Role.EDITOR, None, ""),
        ("annotations", "a2", annotation("eve"), Role.COMMENTER, "role", "rollback"),
        ("annotations", "a2", annotation("ada"), Role.MODERATOR, "identity", "rollback"),
        ("comments", "a1/c2", comment("eve"), Role.COMMENTER, None, ""),
        ("comments", "a1/c2", comment("eve"), Role.VIEWER, "role", "rollback"),
        ("comments", "a1/c2", comment("ada"), Role.ADMIN, "identity", "rollback"),
        ("comments", "a1/c1", comment("ada", "EVIL"), Role.ADMIN, "owner", "reset"),
        ("annotations", "a1", annotation("ada", title="x"), Role.MODERATOR, None, ""),
        ("annotations", "a1", annotation("eve", title="x"), Role.MODERATOR, "fixed", "rollback"),
        ("annotations", "a1", annotation("ada", title="x"), Role.EDITOR, "owner", "reset"),
        ("reactions", "a1/c1/👍/eve", {"at": 1}, Role.COMMENTER, None, ""),
        ("reactions", "a1/c1/👍/eve", {"at": 1}, Role.VIEWER, "role", "reset"),
        ("reactions", "a1/c1/👍/bob", {"at": 1}, Role.ADMIN, "identity", "rollback"),
        ("reactions", "a1/c1/👍/bob", {"at": 1}, Role.EDITOR, "identity", "reset"),
        ("reactions", "a1/c1/👍/eve", {"at": "1"}, Role.EDITOR, "shape", "rollback"),
        ("resolved", "a1", entry("eve", resolved=True), Role.MODERATOR, None, ""),
        ("resolved", "a1", entry("eve", resolved=True), Role.EDITOR, "owner", "reset"),
        ("resolved", "a1", entry("ada", resolved=True), Role.EDITOR, "identity", "reset"),
        ("deleted", "a1/eve", entry("eve"), Role.MODERATOR, None, ""),
        ("deleted", "a1/eve", entry("eve"), Role.EDITOR, "owner", "reset"),
        ("deleted", "a1/c1/ada", entry("ada"), Role.MODERATOR, "identity", "rollback"),
        ("closed", "a1", entry("eve", closed=True), Role.MODERATOR, None, ""),
        ("closed", "page", entry("eve", closed=True), Role.ADMIN, None, ""),
        ("closed", "page", entry("eve", closed=True), Role.EDITOR, "role", "reset"),
        ("closed", "a1", entry("ada", closed=True), Role.MODERATOR, "identity", "rollback"),
        ("page", "title", "T", Role.MODERATOR, None, ""),
        ("page", "title", "T", Role.EDITOR, "role", "reset"),
        ("page", "other", "T", Role.ADMIN, "key", "rollback"),
        ("else", "title", "T", Role.ADMIN, "root", "rollback"),
    ],
)
def test_one_write(
    root: str, name: str, value: Any, role: Role, rule: str | None, repair: str
) -> None:
    table = Table()
    thread(table)
    before = table.content()
    eve = Hand(table, "eve", 4_000_000_000, role)
    eve.set(root, name, value)
    verdict = eve.send("step2")
    if rule is None:
        assert outcome(verdict) == ({f"{root}/{name}": ACCEPTED}, "none")
        before |= {f"{root}/{name}": value}
        if root == "deleted":
            del before["annotations/a1"]
        assert table.content() == before
        assert verdict.echo is (root == "deleted")
    else:
        assert outcome(verdict) == refused(f"{root}/{name}", rule, repair)
        assert table.content() == before
        assert verdict.echo
    table.restart()
    assert table.content() == before


def test_a_commenter_edits_and_deletes_what_she_annotated_before() -> None:
    table = Table()
    ada, made, _said = thread(table)
    ada.grant = replace(ada.grant, role=Role.COMMENTER)
    over = ada.set("annotations", "a1", annotation("ada", title="t"), made)
    assert ada.send().kind == "accepted"
    ada.set("deleted", "a1/ada", entry("ada"))
    ada.drop(over)
    assert ada.send().kind == "accepted"
    assert "annotations/a1" not in table.content()


def test_the_setting_that_any_writer_resolves() -> None:
    for setting, kind in ((True, "accepted"), (False, "refused")):
        table = Table(PageLimits(any_writer_resolves=setting))
        thread(table)
        eve = Hand(table, "eve", 7_000_000, Role.COMMENTER)
        eve.set("resolved", "a1", entry("eve", resolved=True))
        assert eve.send().kind == kind


def test_closed_stops_only_what_is_not_there_yet() -> None:
    for name in ("a1", "page"):
        table = Table()
        ada, _made, said = thread(table)
        mod = Hand(table, "mod", 8_000_000, Role.MODERATOR)
        mod.set("closed", name, entry("mod", closed=True))
        assert mod.send().kind == "accepted"
        over = ada.set("comments", "a1/c1", comment("ada", "edited"), said)
        assert ada.send().kind == "accepted"
        ada.set("comments", "a1/c2", comment("ada"))
        assert outcome(ada.send()) == refused("comments/a1/c2", "closed", "rollback")
        ada.set("reactions", "a1/c1/👍/ada", {"at": 1})
        assert outcome(ada.send()) == refused("reactions/a1/c1/👍/ada", "closed", "rollback")
        ada.set("deleted", "a1/c1/ada", entry("ada"))
        ada.drop(over)
        assert ada.send().kind == "accepted"
        mod.set("comments", "a1/c3", comment("mod"))
        assert mod.send().kind == "accepted"
        ada.set("annotations", "a2", annotation("ada"))
        assert ada.send().kind == ("refused" if name == "page" else "accepted")


def test_what_is_removed_stays_removed() -> None:
    table = Table()
    ada, made, said = thread(table)
    bob = Hand(table, "bob", 9_000_000)
    mine = bob.set("comments", "a1/b1", comment("bob"))
    assert bob.send().kind == "accepted"
    ada.set("deleted", "a1/ada", entry("ada"))
    for unit in (made, said, mine):
        ada.drop(unit)
    assert ada.send().kind == "accepted"
    assert set(table.content()) == {"deleted/a1/ada"}
    bob.set("comments", "a1/b1", comment("bob", "again"), mine)
    assert outcome(bob.send()) == refused("comments/a1/b1", "deleted", "rollback")
    bob.set("comments", "a1/b2", comment("bob", "new"))
    assert bob.send().kind == "accepted"
    bob.set("reactions", "a1/c1/👍/bob", {"at": 1})
    assert outcome(bob.send()) == refused("reactions/a1/c1/👍/bob", "deleted", "rollback")
    bob.set("reactions", "a1/b2/👍/bob", {"at": 1})
    assert bob.send().kind == "accepted"


def test_a_deletion_sweeps_what_the_sender_knew_in_any_version() -> None:
    table = Table()
    ada, made, said = thread(table)
    bob = Hand(table, "bob", 9_000_000)
    one = bob.set("comments", "a1/b1", comment("bob", "first"))
    like = bob.set("reactions", "a1/c1/👍/bob", {"at": 1})
    bob.set("comments", "a1/b2", comment("bob", "unseen"))
    assert bob.send().kind == "accepted"
    bob.set("comments", "a1/b1", comment("bob", "second"), one)
    bob.set("reactions", "a1/c1/👍/bob", {"at": 2}, like)
    assert bob.send().kind == "accepted"
    ada.set("deleted", "a1/ada", entry("ada"))
    for unit in (made, said, one, like):
        ada.drop(unit)
    verdict = ada.send("step2")
    assert outcome(verdict) == (
        dict.fromkeys(("deleted/a1/ada", "annotations/a1", "comments/a1/c1"), ACCEPTED),
        "none",
    )
    assert verdict.echo
    gone = {
        (change.root, change.name): change.before for change in verdict.changes if not change.after
    }
    assert gone["comments", "a1/b1"]["body"] == "second"
    assert ("reactions", "a1/c1/👍/bob") in gone
    assert set(table.content()) == {"deleted/a1/ada", "comments/a1/b2"}


def test_removals_need_their_deletion() -> None:
    table = Table()
    ada, _made, said = thread(table)
    bob = Hand(table, "bob", 9_000_000)
    like = bob.set("reactions", "a1/c1/👍/bob", {"at": 1})
    bob.send()
    ada.drop(like)
    verdict = ada.send()
    assert outcome(verdict) == refused("reactions/a1/c1/👍/bob", "bare", "rollback")
    assert table.content()["reactions/a1/c1/👍/bob"] == {"at": 1}
    ada.drop(said)
    assert outcome(ada.send()) == refused("comments/a1/c1", "bare", "rollback")
    assert table.content()["comments/a1/c1"] == comment("ada")
    eve = Hand(table, "eve", 7_000_000)
    eve.drop((9, 0))
    assert outcome(eve.send()) == refused("reactions/a1/c1/👍/bob", "owner", "reset")


@pytest.mark.parametrize(
    ("limits", "root", "names", "value"),
    [
        (PageLimits(annotations=2), "annotations", ["a2", "a3"], annotation("ada")),
        (PageLimits(comments=2), "comments", ["a1/c2", "a1/c3"], comment("ada")),
        (
            PageLimits(reactions_per_user=1),
            "reactions",
            ["a1/c1/👍/ada", "a1/c1/👎/ada"],
            {"at": 1},
        ),
    ],
)
def test_limits(limits: PageLimits, root: str, names: list[str], value: Any) -> None:
    table = Table(limits)
    ada, *_ = thread(table)
    units = [ada.set(root, name, value) for name in names]
    verdict = ada.send()
    assert dict(verdict.keys) == {
        f"{root}/{names[0]}": ACCEPTED,
        f"{root}/{names[1]}": "refused:limit",
    }
    table.restart()
    again = names[1].replace("👎", "🎈") if root == "reactions" else f"{names[1]}x"
    ada.set(root, again, value)
    assert outcome(ada.send())[0] == {f"{root}/{again}": "refused:limit"}
    if root == "reactions":
        ada.drop(units[0])
        ada.set(root, "a1/c1/🎉/ada", value)
        assert ada.send().kind == "accepted"


def test_a_full_page_refuses_writes_and_takes_removals() -> None:
    table = Table(PageLimits(state=2_000))
    ada, made, said = thread(table)
    ada.set("comments", "a1/c2", comment("ada", "x" * 2_000))
    assert outcome(ada.send()) == refused("comments/a1/c2", "limit", "rollback")
    ada.set("comments", "a1/c3", comment("ada", "fits"))
    assert ada.send().kind == "accepted"
    table.page.limits = replace(table.limits, state=10)
    ada.set("deleted", "a1/ada", entry("ada"))
    ada.drop(made)
    ada.drop(said)
    assert ada.send().kind == "accepted"


def test_nobody_plants_a_tombstone_where_only_others_write() -> None:
    """It would outdo what they write at the same time elsewhere, having the higher client id."""
    table = Table()
    thread(table)
    eve = Hand(table, "eve", 2**53 - 1)
    for name in ("reactions/a1/c1/👍/ada", "deleted/a1/ada", "resolved/a1", "closed/a1"):
        eve.item(*name.split("/", 1), None)
        verdict = eve.send("step2")
        assert verdict.repair == "reset"
        assert dict(verdict.keys)[name] in ("refused:owner", "refused:role")
    eve.item("reactions", "a1/c1/👍/eve", None)
    assert eve.send("step2").kind == "accepted"


def test_a_losing_value_changes_nothing_and_goes_nowhere() -> None:
    table = Table()
    thread(table)
    eve = Hand(table, "eve", 5)
    eve.set("comments", "a1/c1", comment("ada", "EVIL"))
    verdict = eve.send()
    assert outcome(verdict) == ({"comments/a1/c1": ACCEPTED}, "none")
    assert not verdict.changes
    assert b"EVIL" not in verdict.update + table.page.state()
    assert table.content()["comments/a1/c1"] == comment("ada")


def test_what_hangs_on_a_refused_creation_is_refused_not_awaited() -> None:
    table = Table(PageLimits(annotations=1))
    ada, *_ = thread(table)
    ada.set("annotations", "a2", annotation("ada"))
    ada.set("comments", "a2/c1", comment("ada"))
    ada.set("reactions", "a2/c1/👍/ada", {"at": 1})
    ada.set("deleted", "a2/c1/ada", entry("ada"))
    verdict = ada.send("update")
    assert outcome(verdict) == (
        {
            "annotations/a2": "refused:limit",
            "comments/a2/c1": "refused:unknown",
            "reactions/a2/c1/👍/ada": "refused:unknown",
            "deleted/a2/c1/ada": "refused:unknown",
        },
        "rollback",
    )
    assert verdict.rows.refused == [(ada.client, 2, 4, "rollback")]


def test_an_id_that_its_maker_took_back_is_not_up_for_grabs() -> None:
    table = Table()
    ada, *_ = thread(table)
    taken_back = ada.item("comments", "a1/c2", None)
    assert ada.send().kind == "accepted"
    eve = Hand(table, "eve", 7_000_000)
    eve.set("comments", "a1/c2", comment("eve", "EVIL"), taken_back)
    assert outcome(eve.send()) == refused("comments/a1/c2", "owner", "reset")
    ada.set("comments", "a1/c2", comment("ada", "redone"), taken_back)
    assert ada.send().kind == "accepted"


def test_a_full_page_takes_no_more_names() -> None:
    table = Table(PageLimits(state=400))
    ada, *_ = thread(table)
    for number in range(200):
        ada.item("reactions", f"a1/c1/{chr(0x1F600 + number % 60)}/ada", None)
        ada.item("comments", f"a1/c{number + 2}", None)
        verdict = ada.send("step2")
    assert "refused:limit" in verdict.keys.values()
    assert verdict.repair == "rollback"
    assert len(table.page.state()) < 2 * 400


def test_an_echo_of_a_big_page_leaves_room_for_what_is_new_in_it() -> None:
    table = Table(PageLimits(state=15_000))
    ada, *_ = thread(table)
    ada.set("comments", "a1/c2", comment("ada", "x" * 9_000))
    assert ada.send().kind == "accepted"
    bob = Hand(table, "bob", 9_000_000)
    echo = decode(table.page.state())
    reply = Item(bob.client, 0, 1, None, "comments", "a1/b1", (comment("bob"),))
    data = encode(echo.structs | {bob.client: [reply]}, echo.deleted)
    assert bob.send("step2", data).kind == "accepted"


def test_a_root_called_like_no_root_is_refused_as_a_root() -> None:
    table = Table()
    ada, *_ = thread(table)
    ada.gc(5)
    ada.send()
    ada.set("?", f"{ada.client}:8", True)
    ada.set("", "", comment("ada", "EVIL"), (ada.client, 3))
    verdict = ada.send()
    assert {refusal.rule for refusal in verdict.refusals} == {"root", "origin"}
    assert table.page.state()
