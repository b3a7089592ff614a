"""Which changes of an update are moderation."""

import pytest

from crdt_chat.page.rulings import rulings
from crdt_chat.page.verdict import Change, Json

ADAS = {"creator": "ada", "created": 1, "body": "hers"}
NOTE = {"creator": "ada", "created": 1, "target": {"selector": []}}
ENTRY = {"by": "mod", "at": 2}


def told(actor: str, *changes: tuple[str, str, Json, Json]) -> list[tuple[str, str]]:
    return [tuple(each) for each in rulings([Change(*change) for change in changes], actor)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("closed", "page", None, {**ENTRY, "closed": True})], [("close", "page")]),
        ([("closed", "a1", {**ENTRY, "closed": True}, {**ENTRY, "closed": False})], [("reopen", "a1")]),
        ([("closed", "a1", {**ENTRY, "closed": True}, None)], [("reopen", "a1")]),
        ([("deleted", "a1/c1/mod", None, ENTRY), ("comments", "a1/c1", ADAS, None)], [("delete", "a1/c1")]),
        ([("annotations", "a1", NOTE, None), ("deleted", "a1/mod", None, ENTRY)], [("delete", "a1")]),
        ([("deleted", "a1/ada%40x", ENTRY, None)], [("restore", "a1")]),
        ([("annotations", "a1", NOTE, {**NOTE, "title": "moved"})], [("move", "a1")]),
        ([("page", "title", None, "A title")], [("title", "title")]),
    ],
)  # fmt: skip
def test_what_only_a_moderator_can_do(changes, expected):
    assert told("mod", *changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        [("deleted", "a1/c1/ada", None, ENTRY), ("comments", "a1/c1", ADAS, None)],
        [("deleted", "a1/ada", None, ENTRY), ("annotations", "a1", NOTE, None),
         ("comments", "a1/c2", {**ADAS, "creator": "bob"}, None)],
        [("deleted", "a1/ada", ENTRY, None), ("annotations", "a1", None, NOTE)],
        [("deleted", "a1/ada", ENTRY, {**ENTRY, "at": 3})],
        [("annotations", "a1", None, NOTE)],
        [("annotations", "a1", NOTE, {**NOTE, "title": "moved"})],
        [("comments", "a1/c1", ADAS, {**ADAS, "body": "edited"})],
        [("resolved", "a1", None, {"by": "ada", "at": 1, "resolved": True})],
    ],
)  # fmt: skip
def test_what_everybody_does_to_her_own_is_none(changes):
    assert told("ada", *changes) == []
