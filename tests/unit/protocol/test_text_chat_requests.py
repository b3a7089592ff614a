"""What legacy requests ask for, and which operations that means."""

from typing import Any

import pytest

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.protocol import text_chat, text_chat_requests

LIMITS = PageLimits()
ADA = Grant("demo", "auth0|ada", "Ada", Role.EDITOR)


def body(**changed: Any) -> dict[str, Any]:
    """The documented body."""
    return {
        "urlId": "my-article-page",
        "urlIdWithRange": "my-article-page:p:0:15,0:45{abc123}",
        "pageTitle": "My Article",
        "selector": "div#article > p:nth-child(2)",
        "range": "0:15,0:45{abc123}",
        "createdFromCommentId": "comment-7",
        "broadcastId": "550e8400-e29b-41d4-a716-446655440000",
    } | changed


def test_a_creation_becomes_an_annotation_that_reads_back_as_the_same_chat() -> None:
    asked = text_chat_requests.creation(body(), LIMITS)
    [(root, name, value)] = text_chat_requests.create(asked, "a1", ADA, 1_763_000_000_000)
    assert (root, name) == ("annotations", "a1")
    assert (value["creator"], value["created"]) == ("auth0|ada", 1_763_000_000_000)
    assert value["broadcastId"] == "550e8400-e29b-41d4-a716-446655440000"
    chat = text_chat.chat(asked.page, "a1", value, lambda *_: None)
    assert chat["urlId"] == body()["urlIdWithRange"]
    assert (chat["range"], chat["selector"]) == (body()["range"], body()["selector"])
    assert chat["pageTitle"] == "My Article"
    assert chat["createdFromCommentId"] == "comment-7"


def test_the_quote_comes_first_where_the_client_sends_it() -> None:
    asked = text_chat_requests.creation(body(exact="words", prefix="some "), LIMITS)
    [(_, _, value)] = text_chat_requests.create(asked, "a1", ADA, 1)
    quote = value["target"]["selector"][0]
    assert quote == {"type": "TextQuoteSelector", "exact": "words", "prefix": "some "}


def test_a_missing_broadcast_id_is_left_to_the_server() -> None:
    asked = text_chat_requests.creation(body(broadcastId=None), LIMITS)
    [(_, _, value)] = text_chat_requests.create(asked, "a1", ADA, 1)
    assert "broadcastId" not in value


def test_a_url_id_may_be_a_number_and_is_cleaned() -> None:
    assert text_chat_requests.creation(body(urlId=7), LIMITS).page == "7"
    tracked = body(urlId="https://a.example/?utm_source=x")
    assert text_chat_requests.creation(tracked, LIMITS).page == "https://a.example/"


@pytest.mark.parametrize(
    "serialized",
    ["0:15,0:45{abc123}", "2:1,2:10{86b713a3}", "0/1/1:2,0/2:6", ":0,:1{1}", "0:1,0:2|1:0,1:4{af}"],
)
def test_rangy_ranges_are_taken(serialized: str) -> None:
    assert text_chat_requests.creation(body(range=serialized), LIMITS).range == serialized


@pytest.mark.parametrize(
    "wrong",
    [
        {"range": "0:15"},
        {"range": "0:45,0:15{abc123}"},
        {"range": "a:1,b:2"},
        {"range": "0:-1,0:2"},
        {"range": "0:1,0:2{}"},
        {"range": "0:1,0:2|"},
        {"range": "0:1," + "1/" * 600 + "1:2"},
        {"range": None},
        {"urlId": None},
        {"urlId": ""},
        {"urlId": True},
        {"urlIdWithRange": None},
        {"urlIdWithRange": "x" * 4_097},
        {"selector": ["p"]},
        {"pageTitle": None},
        {"createdFromCommentId": None},
        {"broadcastId": 7.5},
        {"broadcastId": "x" * 101},
    ],
)
def test_a_wrong_field_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match=next(iter(wrong))):
        text_chat_requests.creation(body(**wrong), LIMITS)


@pytest.mark.parametrize("wrong", [None, [], "text", 7])
def test_a_body_is_an_object(wrong: Any) -> None:
    with pytest.raises(Malformed):
        text_chat_requests.creation(wrong, LIMITS)


def test_a_deletion_says_who_and_removes_what_lies_below() -> None:
    below = [("comments", "a1/c1"), ("reactions", "a1/c1/👍/bob"), ("resolved", "a1")]
    assert text_chat_requests.delete("a1", ADA, 7, "b1", below) == [
        ("deleted", "a1/auth0%7Cada", {"by": "auth0|ada", "at": 7, "broadcastId": "b1"}),
        ("annotations", "a1", None),
        ("comments", "a1/c1", None),
        ("reactions", "a1/c1/👍/bob", None),
        ("resolved", "a1", None),
    ]


def test_a_delete_body_may_be_dropped_on_the_way() -> None:
    assert text_chat_requests.broadcast_id(text_chat_requests.deletion_body(None), LIMITS) == ""
    said = text_chat_requests.deletion_body({"broadcastId": "b1"})
    assert text_chat_requests.broadcast_id(said, LIMITS) == "b1"
