"""Values have exactly the known shape, and texts of limited length."""

import math
from typing import Any

import pytest
from handmade import annotation, comment, entry

from crdt_chat.page.lib0 import UNDEFINED
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.values import check

LIMITS = PageLimits()
QUOTE = {"type": "TextQuoteSelector", "exact": "x", "prefix": "p", "suffix": "s"}
POSITION = {"type": "TextPositionSelector", "start": 0, "end": 5}
GOOD = {
    "annotations": annotation(
        "ada",
        target={
            "source": "u",
            "selector": [QUOTE, POSITION, {"type": "CssSelector", "value": "p > q"}],
        },
        title="t",
        urlIdWithRange="a:p:0:1",
        broadcastId="b",
    ),
    "comments": comment("ada", parent="c0", edited=0, broadcastId="b"),
    "resolved": entry("ada", resolved=True, broadcastId="b"),
    "reactions": {"at": 2**53 - 1, "broadcastId": ""},
    "deleted": entry("ada", broadcastId="b"),
    "closed": entry("ada", closed=False, broadcastId="b"),
    "page": "A title",
}
REQUIRED = {
    "annotations": {"creator", "created", "target"},
    "comments": {"creator", "created", "body"},
    "resolved": {"by", "at", "resolved"},
    "reactions": {"at"},
    "deleted": {"by", "at"},
    "closed": {"by", "at", "closed"},
}
STRANGE: list[Any] = [None, UNDEFINED, b"x", [], {}, math.nan, 0.5, -1, 2**53, "", "\x00"]


def rule(root: str, value: Any) -> str | None:
    fault = check(root, value, LIMITS)
    if fault is not None:
        assert fault.reason.endswith(".")
    return fault and fault.rule


@pytest.mark.parametrize("root", GOOD)
def test_good_values(root: str) -> None:
    assert rule(root, GOOD[root]) is None


@pytest.mark.parametrize("root", REQUIRED)
def test_required_and_unknown_properties(root: str) -> None:
    for name in GOOD[root]:
        rest = {key: value for key, value in GOOD[root].items() if key != name}
        assert rule(root, rest) == ("shape" if name in REQUIRED[root] else None)
    assert rule(root, GOOD[root] | {"__proto__": 1}) == "shape"
    for strange in [*STRANGE, "text", 5, True]:
        assert rule(root, strange) == "shape"


@pytest.mark.parametrize(
    ("root", "name"), [(root, name) for root in REQUIRED for name in GOOD[root]]
)
def test_properties_of_the_wrong_kind(root: str, name: str) -> None:
    texts = {"title", "urlIdWithRange", "broadcastId", "body"}
    for strange in STRANGE:
        fine = type(strange) is str and name in texts
        assert rule(root, GOOD[root] | {name: strange}) == (None if fine else "shape"), strange
    wrong: Any = "yes" if name not in texts | {"creator", "by", "parent"} else 5
    assert rule(root, GOOD[root] | {name: wrong}) == "shape"
    if name in ("created", "at", "edited"):
        assert rule(root, GOOD[root] | {name: True}) == "shape"


@pytest.mark.parametrize(
    ("root", "name", "most"),
    [
        ("comments", "body", 10_000),
        ("comments", "broadcastId", 100),
        ("annotations", "title", 500),
        ("reactions", "broadcastId", 100),
    ],
)
def test_sizes_count_code_points(root: str, name: str, most: int) -> None:
    assert rule(root, GOOD[root] | {name: "👍" * most}) is None
    assert rule(root, GOOD[root] | {name: "👍" * most + "x"}) == "size"


@pytest.mark.parametrize(
    ("name", "most"), [("exact", 2_000), ("prefix", 200), ("suffix", 200), ("value", 4_096)]
)
def test_sizes_of_selectors(name: str, most: int) -> None:
    for length, expected in ((most, None), (most + 1, "size")):
        selector = {"type": "X", name: "é" * length}
        assert rule("annotations", annotation("ada", target={"selector": [selector]})) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"selector": []}, None),
        ({}, "shape"),
        ({"selector": "x"}, "shape"),
        ({"selector": ["x"]}, "shape"),
        ({"selector": [{}]}, "shape"),
        ({"selector": [{"type": "X", "start": "1"}]}, "shape"),
        ({"selector": [{"type": "X", "nested": {}}]}, "shape"),
        ({"selector": [], "extra": 1}, "shape"),
        ({"selector": [{"type": "X"}] * 8}, None),
        ({"selector": [{"type": "X"}] * 9}, "size"),
        ({"selector": [{"type": "X", "exact": "x" * 2_001}, {"type": 5}]}, "shape"),
        ({"selector": [], "source": "x" * 2_049}, "size"),
    ],
)
def test_targets(target: Any, expected: str | None) -> None:
    assert rule("annotations", annotation("ada", target=target)) == expected


def test_shape_is_named_before_size() -> None:
    assert rule("comments", comment("ada", "x" * 10_001, role="admin")) == "shape"
    assert rule("page", "x" * 501) == "size"
