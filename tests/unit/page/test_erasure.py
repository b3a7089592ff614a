"""What an erasure leaves of a page's content, and which names it bars."""

import pytest

from crdt_chat.page.erasure import (
    Kept,
    changes,
    digest,
    whole,
    without_all,
    without_entity,
    without_user,
)
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows

NOW = 1_763_000_000_000


def note(creator):
    return {"creator": creator, "created": NOW, "target": {"selector": []}}


def said(creator, body="x"):
    return {"creator": creator, "created": NOW, "body": body}


def kept():
    live = {
        ("annotations", "a"): note("ada"),
        ("annotations", "b"): note("bob"),
        ("comments", "a/1"): said("bob"),
        ("comments", "b/1"): said("ada"),
        ("comments", "b/2"): said("bob", "ask @[Ada](ada) or @[Ada Two](ada2)"),
        ("reactions", "b/2/👍/ada"): {"at": NOW},
        ("reactions", "b/2/👍/eve"): {"at": NOW},
        ("resolved", "b"): {"by": "ada", "at": NOW, "resolved": True},
        ("deleted", "c/ada"): {"by": "ada", "at": NOW},
        ("closed", "page"): {"by": "ada", "at": NOW, "closed": False},
        ("page", "title"): "T",
    }
    archived = {("comments", "c/1"): said("ada"), ("comments", "c/2"): said("bob")}
    held = {
        "b/3": {
            "by": "ada",
            "at": NOW,
            "reason": "",
            "content": [["comments", "b/3", said("bob")]],
        },
        "b/4": {
            "by": "mod",
            "at": NOW,
            "reason": "",
            "content": [["comments", "b/4", said("ada")]],
        },
    }
    entities = [("a", "ada", NOW), ("b", "bob", NOW), ("c", "bob", NOW), ("b/9", "ada", NOW)]
    return Kept(live, archived, held, entities)


def test_a_user_goes_with_her_threads_and_her_name():
    left, digests = without_user(kept(), "ada")
    assert set(left.live) == {
        ("annotations", "b"),
        ("comments", "b/2"),
        ("reactions", "b/2/👍/eve"),
        ("resolved", "b"),
        ("deleted", "c/erased"),
        ("closed", "page"),
        ("page", "title"),
    }
    assert left.live["comments", "b/2"]["body"] == "ask @[erased](erased) or @[Ada Two](ada2)"
    assert left.live["resolved", "b"] == {"by": "erased", "at": NOW, "resolved": True}
    assert set(left.archived) == {("comments", "c/2")}
    assert {name: value["by"] for name, value in left.held.items()} == {"b/3": "erased"}
    assert [name for name, *_ in left.entities] == ["b", "c"]
    assert "'ada'" not in repr(left)
    gone = [("annotations", "a"), ("comments", "b/1"), ("comments", "b/9"), ("comments", "c/1")]
    assert {digest(*key) for key in [*gone, ("reactions", "b/2/👍/ada")]} <= digests
    assert digest("comments", "b/2") not in digests


@pytest.mark.parametrize("entity", ["b", "b/2"])
def test_an_entity_goes_with_what_is_below(entity):
    left, digests = without_entity(kept(), entity)
    names = {name for _, name in left.live}
    assert not any(name == entity or name.startswith(f"{entity}/") for name in names)
    assert ("annotations", "a") in left.live
    assert ("b/3" in left.held) is (entity == "b/2")
    assert digest("reactions", "b/2/👍/eve") in digests


def test_all_of_a_page_goes():
    left, digests = without_all(kept())
    assert left == Kept()
    assert {digest("annotations", "a"), digest("comments", "b/9")} <= digests


def test_what_is_told_of_it_says_nothing_of_what_was_erased():
    before = kept()
    after, _ = without_user(before, "ada")
    told = changes(before.live, after.live)
    assert {change.name for change in told if change.after is None} >= {"a", "a/1", "b/1"}
    assert all(change.before in ({}, None) for change in told)


def test_the_new_state_is_the_content_and_nothing_else():
    left, digests = without_user(kept(), "ada")
    rows = GateRows(owners=[(7, "")], entities=left.entities, erased=sorted(digests))
    page = Page.load(whole(left.live, 7), (), rows, PageLimits(), 9)
    found = {(root, name): value for (root, name), value in left.live.items()}
    assert {key: page.value(*key) for key in found} == found
    assert b"ada/" not in page.state()
    assert Page.load(whole({}, 7), (), GateRows(), PageLimits(), 9).counts().annotations == 0
