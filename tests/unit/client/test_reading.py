"""What a reader gets: projections, tables and HTML, also of pages no gate has looked at."""

from datetime import UTC, datetime
from typing import Any

import pandas
import pytest

from crdt_chat.client import html
from crdt_chat.client.mirror import Mirror
from crdt_chat.client.model import Annotation, Comment, User
from crdt_chat.client.tables import table

EVIL = "<script>alert(1)</script>&'\""


@pytest.fixture
def mirror() -> Mirror:
    found = Mirror()
    for root, name, value in (
        ("annotations", "a2", {"creator": "ada", "created": 2, "target": _target(5)}),
        ("annotations", "a1", {"creator": "bob", "created": 1, "target": {}, "title": "T"}),
        ("comments", "a2/c2", {"creator": "bob", "created": 4, "body": "second", "parent": "c1"}),
        ("comments", "a2/c1", {"creator": "ada", "created": 3, "body": "first", "edited": 9}),
        ("reactions", "a2/c1/👍/bob", {"at": 5}),
        ("reactions", "a2/c1/👍/eve%2F1", {"at": 6}),
        ("resolved", "a2", {"by": "ada", "at": 7, "resolved": True}),
        ("closed", "a1", {"by": "eve", "at": 7, "closed": True}),
        ("closed", "page", {"by": "eve", "at": 7, "closed": True}),
        ("page", "title", "On margins"),
    ):
        assert found.apply(root, name, value) is not None
    return found


def _target(start: int) -> dict[str, Any]:
    return {
        "source": "https://example.org/x",
        "selector": [
            {"type": "TextQuoteSelector", "exact": "quote", "prefix": "the "},
            {"type": "TextPositionSelector", "start": start, "end": start + 5},
        ],
    }


def test_threads_come_in_the_order_of_their_making(mirror: Mirror) -> None:
    first, second = mirror.annotations()
    assert first == Annotation("a1", "bob", 1, title="T", closed=True)
    assert (second.exact, second.prefix, second.start, second.end) == ("quote", "the ", 5, 10)
    assert (second.source, second.resolved, second.closed) == ("https://example.org/x", True, False)
    assert [(item.id, item.body, item.parent) for item in second.comments] == [
        ("c1", "first", None),
        ("c2", "second", "c1"),
    ]
    assert dict(second.comments[0].reactions) == {"👍": ("bob", "eve/1")}
    assert second.comments[0].edited == 9
    assert len({first, second, *second.comments}) == 4  # they can be kept in sets


def test_what_is_deleted_is_not_shown_while_an_entry_stands(mirror: Mirror) -> None:
    mirror.apply("deleted", "a2/c1/ada", {"by": "ada", "at": 8})
    assert [item.id for item in mirror.annotation("a2").comments] == ["c2"]
    mirror.apply("deleted", "a2/ada", {"by": "ada", "at": 8})
    assert mirror.annotation("a2") is None
    assert [item.id for item in mirror.annotations()] == ["a1"]
    mirror.apply("deleted", "a2/ada", None)
    mirror.apply("deleted", "a2/c1/ada", None)
    assert len(mirror.annotation("a2").comments) == 2


@pytest.mark.parametrize(
    "value",
    [1, "text", [], {}, {"creator": 1, "created": 1}, {"creator": "a", "created": "now"}, True],
)
def test_what_has_not_the_shape_of_a_note_is_left_out(mirror: Mirror, value: object) -> None:
    mirror.apply("annotations", "a3", value)
    mirror.apply("comments", "a2/c3", value)
    mirror.apply("resolved", "a1", value)
    mirror.apply("reactions", "a2/c1", value)
    mirror.apply("reactions", "a2/c2/👍/%FF%", value)
    assert [item.id for item in mirror.annotations()] == ["a1", "a2"]
    assert len(mirror.annotation("a2").comments) == 2
    assert not mirror.annotation("a1").resolved


@pytest.mark.parametrize("target", [None, 1, {"selector": 1}, {"selector": [1, {"type": 2}]}])
def test_a_target_of_another_shape_has_no_quote(mirror: Mirror, target: object) -> None:
    mirror.apply("annotations", "a1", {"creator": "bob", "created": 1, "target": target})
    assert mirror.annotation("a1").exact == ""


def test_a_change_says_what_was_before_and_equal_values_are_none(mirror: Mirror) -> None:
    assert mirror.apply("page", "title", "On margins") is None
    change = mirror.apply("page", "title", None)
    assert (change.before, change.after) == ("On margins", None)
    assert mirror.apply("page", "title", None) is None


def test_the_difference_of_two_mirrors_is_every_key_that_differs(mirror: Mirror) -> None:
    other = Mirror()
    other.apply("page", "title", "Another")
    other.apply("annotations", "new", {"creator": "c", "created": 1})
    found = {(item.root, item.name): item for item in mirror.differences(other)}
    assert found["page", "title"].after == "Another"
    assert found["annotations", "a1"].after is None
    assert found["annotations", "new"].before is None
    assert len(found) == 11


def test_a_table_has_a_row_for_each_comment_with_times_in_utc(mirror: Mirror) -> None:
    frame = table("comments", mirror.annotations(), ())
    assert list(frame["body"]) == ["first", "second"]
    assert frame["created"][0] == datetime(1970, 1, 1, 0, 0, 0, 3000, tzinfo=UTC)
    assert list(frame["reactions"]) == [2, 0]
    assert pandas.isna(frame["edited"][1])
    assert list(frame["exact"]) == ["quote", "quote"]


def test_a_table_of_annotations_counts_people_and_comments(mirror: Mirror) -> None:
    frame = table("annotations", mirror.annotations(), ()).set_index("annotation")
    assert list(frame["comments"]) == [0, 2]
    assert list(frame["people"]) == [1, 2]
    assert frame["start"].dtype == "Int64"
    assert frame.loc["a2", "start"] == 5
    assert pandas.isna(frame.loc["a1", "start"])


@pytest.mark.parametrize("what", ["comments", "annotations", "users"])
def test_an_empty_page_is_a_table_with_the_same_columns_and_types(
    what: Any, mirror: Mirror
) -> None:
    empty = table(what, (), ())
    full = table(what, mirror.annotations(), (User("ada", "Ada"),))
    assert list(empty.columns) == list(full.columns)
    for name in ("created", "edited", "last"):
        if name in empty:
            assert str(empty[name].dtype).endswith("UTC]")


def test_another_table_is_a_mistake_that_names_the_right_ones() -> None:
    with pytest.raises(ValueError, match="comments, annotations, users"):
        table("events", (), ())  # type: ignore[arg-type]


def test_no_text_of_other_people_is_html() -> None:
    comment = Comment(EVIL, EVIL, EVIL, 1, EVIL, reactions={EVIL: (EVIL,)})
    annotation = Annotation(EVIL, EVIL, 1, EVIL, EVIL, EVIL, title=EVIL, comments=(comment,))
    shown = html.page(EVIL, "synced", [User(EVIL, EVIL)], [annotation])
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#x27;&quot;") == 8
    assert annotation._repr_html_() in shown
    assert comment._repr_html_() in shown


def test_a_page_at_a_glance_counts_in_words_and_shows_the_latest() -> None:
    notes = [Annotation(str(n), "ada", n, f"quote {n}") for n in range(7)]
    people = [User(str(n), f"P{n}") for n in range(7)]
    shown = html.page("demo/x", "offline", people, notes)
    assert "7 annotations" in shown
    assert "0 comments" in shown
    assert "7 people here: P0, P1, P2, P3, P4 and 2 more" in shown
    assert "quote 6" in shown
    assert "quote 1" not in shown
    assert "and 2 earlier" in shown
    alone = html.page("demo/x", "synced", people[:1], notes[:1])
    assert "1 annotation " in alone
    assert "1 person here: P0" in alone


@pytest.mark.parametrize("created", [float("nan"), float("inf"), "today", True, None])
def test_a_time_that_is_no_number_takes_its_note_out_and_nothing_else(
    mirror: Mirror, created: object
) -> None:
    mirror.apply("annotations", "odd", {"creator": "eve", "created": created, "target": {}})
    assert [item.id for item in mirror.annotations()][-2:] == ["a1", "a2"]


@pytest.mark.parametrize("created", [-(2**62), 2**53 - 1, 2**62])
def test_a_time_beyond_all_calendars_is_shown_all_the_same(mirror: Mirror, created: int) -> None:
    target = {"selector": [{"type": "TextQuoteSelector", "exact": "q"}]}
    mirror.apply("annotations", "far", {"creator": "eve", "created": created, "target": target})
    mirror.apply("comments", "far/c", {"creator": "eve", "created": created, "body": "far away"})
    threads = mirror.annotations()
    assert "far away" in html.page("p", "synced", [], threads)
    assert len(table("comments", threads, [])) == 3
    assert len(table("annotations", threads, [])) == 3
