"""What legacy clients read: events, chats, log entries, presence and refusals as JSON."""

import json

import pytest
from chats import PAGE, Content, annotation, comment, commented, entry

from crdt_chat.errors import Forbidden
from crdt_chat.identity import Grant, Role
from crdt_chat.protocol import text_chat


@pytest.fixture
def page() -> Content:
    return commented()


def test_an_event_is_the_whole_chat_with_the_legacy_anchor() -> None:
    content = Content()
    selectors = [
        {"type": "TextQuoteSelector", "exact": "words", "prefix": "some ", "suffix": "."},
        {"type": "TextPositionSelector", "start": 5, "end": 10},
        {"type": "CssSelector", "value": "div > p"},
        {"type": text_chat.RANGE_SELECTOR, "value": "0:5,0:10{abc123}"},
    ]
    value = annotation(broadcast_id="b1", target={"selector": selectors}, urlIdWithRange="x:p:0")
    content.update("ada", ("annotations", "a1", value), ("comments", "a1/c1", comment()))
    [event] = content.events()
    body = json.loads(text_chat.frame(1234, event.body))
    assert body == {
        "type": "new-text-chat",
        "timestamp": 1234,
        "broadcastId": "b1",
        "userId": "ada",
        "chat": {
            "_id": "a1",
            "urlId": "x:p:0",
            "range": "0:5,0:10{abc123}",
            "selector": "div > p",
            "createdFromCommentId": "c1",
            "exact": "words",
            "prefix": "some ",
            "suffix": ".",
            "start": 5,
            "end": 10,
            "userId": "ada",
            "created": 1,
            "comment": "hello",
            "commentCount": 1,
            "isResolved": False,
            "isClosed": False,
        },
    }


def test_state_of_the_thread_is_in_the_chat(page: Content) -> None:
    page.update("ada", ("resolved", "a1", entry("ada", resolved=True)))
    page.update("mod", ("closed", "a1", entry("mod", closed=True)))
    page.update("bob", ("comments", "a1/c0", comment("bob") | {"created": 9}))
    chat = json.loads(page.events()[-1].body)["chat"]
    assert (chat["isResolved"], chat["isClosed"], chat["commentCount"]) == (True, True, 2)
    assert chat["createdFromCommentId"] == "c1"
    page.update("ada", ("resolved", "a1", entry("ada", resolved=False)))
    assert json.loads(page.events()[-1].body)["chat"]["isResolved"] is False


def test_without_an_index_a_reply_is_not_taken_for_the_first_comment(page: Content) -> None:
    page.update("bob", ("comments", "a1/c2", comment("bob", "b2")))
    [event] = page.events(below=False)
    assert "createdFromCommentId" not in json.loads(event.body)["chat"]


def test_a_long_comment_is_cut_in_the_chat(page: Content) -> None:
    page.update("ada", ("comments", "a1/c1", comment(body="€" * 10_000)))
    chat = json.loads(page.events()[0].body)["chat"]
    assert len(chat["comment"]) == text_chat.EXCERPT
    assert chat["comment"].endswith("…")


def test_percent_signs_survive_a_client_that_decodes_frames(page: Content) -> None:
    page.update("ada", ("comments", "a1/c1", comment(body="100% sure %41")))
    frame = text_chat.frame(5, page.events()[0].body)
    assert "%" not in frame
    assert json.loads(frame)["chat"]["comment"] == "100% sure %41"


def test_a_new_annotation_costs_a_legacy_subscriber_under_1000_bytes() -> None:
    content = Content()
    uuid = "01936f5e-7c1a-7b3c-9d2e-0123456789ab"
    selectors = [
        {"type": "TextQuoteSelector", "exact": "q" * 60, "prefix": "p" * 32, "suffix": "s" * 32},
        {"type": "TextPositionSelector", "start": 10_000, "end": 10_060},
    ]
    value = annotation("ada@example.org", uuid, target={"selector": selectors})
    content.update(
        "ada@example.org",
        ("annotations", uuid, value | {"created": 1_763_000_000_000}),
        ("comments", f"{uuid}/{uuid}", comment("ada@example.org", uuid, "c" * 200)),
    )
    [event] = content.events()
    size = len(text_chat.frame(1_763_000_000_002, event.body).encode())
    assert size + 4 < 1_000  # a WebSocket frame of this size has a header of 4 bytes


def test_presence_never_names_somebody_twice() -> None:
    body = json.loads(text_chat.presence(7, 2, joined=["a", "b", "a"], left=["b", "c"]))
    assert body == {"type": "p-u", "ts": 7, "sc": 2, "uj": ["a"], "ul": ["c"]}
    assert json.loads(text_chat.presence(7, 1)) == {"type": "p-u", "ts": 7, "sc": 1}


def test_a_log_entry_has_six_texts(page: Content) -> None:
    page.update("ada", ("comments", "a1/c2", comment(broadcast_id="b2")))
    [event] = page.events()
    logged = text_chat.log_entry("demo", PAGE, 1_763_000_000_002, "b2", event.body)
    assert set(logged) == {"_id", "createdAt", "tenantId", "urlId", "broadcastId", "data"}
    assert all(isinstance(value, str) for value in logged.values())
    assert logged["createdAt"] == "2025-11-13T02:13:20.002Z"
    assert json.loads(logged["data"])["timestamp"] == 1_763_000_000_002


def test_the_log_gives_no_content_back_that_is_gone(page: Content) -> None:
    page.update("ada", ("comments", "a1/c1", comment(broadcast_id="b2", body="regretted")))
    [event] = page.events()
    assert "regretted" in event.body
    told = json.loads(text_chat.refreshed(event.body, lambda _: None))
    assert (told["type"], told["broadcastId"]) == ("updated-text-chat", "b2")
    assert told["chat"] == {"_id": "a1", "urlId": "my-article:a1", "range": "", "selector": ""}
    edited = {"_id": "a1", "comment": "better"}
    assert json.loads(text_chat.refreshed(event.body, lambda _: edited))["chat"] == edited


def test_a_refusal_has_both_published_shapes() -> None:
    assert text_chat.fault(Forbidden("not yours")) == {
        "status": "failed",
        "code": "forbidden",
        "reason": "not yours",
        "message": "not yours",
    }


def test_a_listing_has_the_documented_keys() -> None:
    grant = Grant("demo", "ada", "Ada", Role.MODERATOR)
    answer = text_chat.conversations([{"_id": "a1"}], PAGE, grant, ("p.x", "u.y"))
    assert answer["status"] == "success"
    assert (answer["urlIdClean"], answer["isSiteAdmin"]) == (PAGE, True)
    assert (answer["tenantIdWS"], answer["urlIdWS"], answer["userIdWS"]) == ("demo", "p.x", "u.y")
    assert answer["user"]["id"] == "ada"
    assert answer["conversations"] == [{"_id": "a1"}]
