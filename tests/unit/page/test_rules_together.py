"""Rules and repairs where two of them meet, a sentence of the design each."""

from typing import Any

import pytest
from handmade import NOW, Hand, Table, annotation, comment, entry, grant, thread

from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Verdict

MINUTES = 60 * 1000


def outcome(verdict: Verdict) -> tuple[dict[str, str], str]:
    return dict(verdict.keys), verdict.repair


def refused(key: str, rule: str, repair: str) -> tuple[dict[str, str], str]:
    return {key: f"refused:{rule}"}, repair


@pytest.mark.parametrize("ahead", [0, 5 * MINUTES, 5 * MINUTES + 1])
@pytest.mark.parametrize(("root", "name"), [("annotations", "a2"), ("comments", "a1/c2")])
def test_nothing_new_says_that_it_was_made_in_the_future(root: str, name: str, ahead: int) -> None:
    table = Table(PageLimits(clock_ahead_ms=5 * MINUTES))
    ada, *_ = thread(table)
    make = annotation if root == "annotations" else comment
    value = make("ada", created=NOW + ahead)
    made = table.page.write([(root, f"{name}w", value)], ada.grant, NOW)
    ada.set(root, name, value)
    sent = ada.send()
    if ahead <= 5 * MINUTES:
        assert made.kind == sent.kind == "accepted"
    else:
        assert outcome(made)[0] == {f"{root}/{name}w": "refused:shape"}
        assert outcome(sent) == refused(f"{root}/{name}", "shape", "rollback")
        kept = table.page.write(
            [(root, f"{name}k", value)], grant("root", Role.ADMIN), NOW, keep_past=True
        )
        assert kept.kind == "accepted"


def test_what_is_there_stays_editable_when_the_clock_is_set_back() -> None:
    table = Table(PageLimits(clock_ahead_ms=0))
    ada, made, _said = thread(table)
    ada.set("annotations", "a1", annotation("ada", title="moved"), made)
    assert table.page.receive(ada.data(), "update", ada.grant, -1).kind == "accepted"


def test_an_annotation_written_again_counts_as_new_in_its_closed_thread() -> None:
    table = Table()
    ada, made, _said = thread(table)
    entered = ada.set("deleted", "a1/ada", entry("ada"))
    ada.drop(made)
    assert ada.send().kind == "accepted"
    mod = Hand(table, "mod", 8_000_000, Role.MODERATOR)
    mod.set("closed", "a1", entry("mod", closed=True))
    assert mod.send().kind == "accepted"
    ada.drop(entered)
    ada.set("annotations", "a1", annotation("ada"), made)
    assert outcome(ada.send()) == (
        {"deleted/a1/ada": "accepted", "annotations/a1": "refused:closed"},
        "rollback",
    )
    mod.set("annotations", "a1", annotation("ada"), (ada.client, ada.clock - 1))
    assert mod.send().kind == "accepted"


@pytest.mark.parametrize("creator", ["ada", "mod"])
def test_not_even_a_moderator_makes_something_under_an_id_that_its_maker_took_back(
    creator: str,
) -> None:
    table = Table()
    ada, *_ = thread(table)
    taken_back = ada.item("annotations", "a2", None)
    assert ada.send().kind == "accepted"
    mod = Hand(table, "mod", 8_000_000, Role.MODERATOR)
    mod.set("annotations", "a2", annotation(creator, title="EVIL"), taken_back)
    assert dict(mod.send().keys) == {"annotations/a2": "refused:owner"}


@pytest.mark.parametrize(
    ("root", "name", "value", "role", "rule"),
    [
        ("else", "title", "T", Role.VIEWER, "role"),
        ("page", "other", "T", Role.VIEWER, "role"),
        ("reactions", "a1/c1/no/eve", {"at": 1}, Role.VIEWER, "role"),
        ("reactions", "a9/c1/👍/eve", {"at": 1}, Role.VIEWER, "role"),
        ("reactions", "a1/c9/👍/eve", {"at": "1"}, Role.EDITOR, "shape"),
        ("reactions", "a1/c9/👍/eve", {"at": 1, "broadcastId": "x" * 101}, Role.EDITOR, "size"),
        ("reactions", "a1/c9/👍/ada", {"at": 1}, Role.MODERATOR, "identity"),
        ("resolved", "a9", entry("ada", resolved=True), Role.MODERATOR, "identity"),
        ("deleted", "a9/ada", entry("ada"), Role.MODERATOR, "identity"),
        ("closed", "a9", entry("eve", closed=True), Role.EDITOR, "role"),
        ("closed", "a9", entry("ada", closed=True), Role.MODERATOR, "identity"),
    ],
)
@pytest.mark.parametrize("restarts", [False, True])
def test_what_nobody_else_can_have_is_burnt_and_mends_its_sender(
    root: str, name: str, value: Any, role: Role, rule: str, restarts: bool
) -> None:
    """ "Fresh annotation and comment ids, invalid names and unknown entities are always GC", "and it
    mends after GC of an invalid name, or below an entity nobody else has": whatever the rule was."""
    table = Table()
    thread(table)
    eve = Hand(table, "eve", 4_000_000_000, role)
    unit = eve.set(root, name, value)
    verdict = eve.send("step2")
    assert outcome(verdict) == refused(f"{root}/{name}", rule, "rollback")
    assert verdict.rows.refused == [(eve.client, 0, 1, "rollback")]
    if restarts:
        table.restart()
    eve.set(root, name, value, unit)
    later = eve.send()
    assert later.repair == "rollback"
    assert set(later.keys.values()) == {"refused:origin"}


@pytest.mark.parametrize("announced", [True, False])
def test_a_deletion_of_what_nobody_saw_is_still_its_makers(announced: bool) -> None:
    """Made and deleted offline: the entry is there for all, so who touches it is not just rolled back."""
    table = Table()
    ada = Hand(table, "ada", 1_000_000, known=announced)
    ada.item("annotations", "a1", None)
    entered = ada.set("deleted", "a1/ada", entry("ada"))
    assert ada.send("step2").kind == "accepted"
    eve = Hand(table, "eve", 4_000_000_000)
    eve.drop(entered)
    assert outcome(eve.send("step2")) == refused("deleted/a1/ada", "owner", "reset")
    eve.set("deleted", "a1/ada", entry("eve"), entered)
    assert outcome(eve.send("step2")) == refused("deleted/a1/ada", "identity", "reset")
    ada.drop(entered)
    assert outcome(ada.send("step2")) == ({"deleted/a1/ada": "accepted"}, "none")


@pytest.mark.parametrize(
    ("root", "name", "role", "repair"),
    [
        ("page", "title", Role.EDITOR, "reset"),
        ("closed", "a1", Role.EDITOR, "reset"),
        ("annotations", "a2", Role.COMMENTER, "rollback"),
    ],
)
def test_role_is_named_before_shape(root: str, name: str, role: Role, repair: str) -> None:
    table = Table()
    thread(table)
    eve = Hand(table, "eve", 4_000_000_000, role)
    eve.item(root, name, [{"EVIL": 1}, {"EVIL": 2}])
    assert outcome(eve.send()) == refused(f"{root}/{name}", "role", repair)


def test_who_plays_the_moderator_is_reset_on_a_full_page_too() -> None:
    """Her tombstone would outdo, in her own replica, what a moderator writes there later."""
    table = Table(PageLimits(state=10))
    table.page.write([("annotations", "a1", annotation("ada"))], grant("ada"), NOW, keep_past=True)
    eve = Hand(table, "eve", 4_000_000_000)
    eve.set("closed", "page", entry("eve", closed=True))
    assert outcome(eve.send()) == refused("closed/page", "role", "reset")
