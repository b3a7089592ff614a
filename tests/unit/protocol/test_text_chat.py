"""Which events a commit means, and what legacy clients read in them."""

import json
from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest

from crdt_chat.errors import Forbidden
from crdt_chat.identity import Grant, Role
from crdt_chat.page.verdict import Change
from crdt_chat.protocol import text_chat
from crdt_chat.protocol.text_chat import Attributed, TextChatEvent

PAGE = "my-article"
Json = Any


class Content:
    """A page's content, changed as the gate would; `commit` holds what the next commit says."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Json] = {}
        self.commit: list[Attributed] = []
        self.updates = 0
        self._ids = count(1)

    def update(self, actor: str, *operations: tuple[str, str, Json], **extra: str) -> None:
        self.updates += 1
        for root, name, after in operations:
            before = self.values.pop((root, name), None)
            if after is not None:
                self.values[root, name] = after
            change = Change(root, name, before, after)
            self.commit.append(Attributed(change, actor, self.updates, **extra))

    def look(self, root: str, name: str) -> Json:
        return self.values.get((root, name))

    def below(self, root: str, annotation: str) -> Iterable[str]:
        return [n for r, n in self.values if r == root and n.startswith(f"{annotation}/")]

    def events(self, *, below: bool = True) -> list[TextChatEvent]:
        commit, self.commit = self.commit, []
        return text_chat.events(
            PAGE, commit, self.look, lambda: f"s{next(self._ids)}", self.below if below else None
        )

    def told(self) -> list[tuple[str, str, str, str]]:
        return [
            (e.type.removesuffix("-text-chat"), e.entity, e.broadcast_id, e.user)
            for e in self.events()
        ]


def annotation(creator: str = "ada", broadcast_id: str | None = None, **more: Json) -> Json:
    quote = {"type": "TextQuoteSelector", "exact": "some words"}
    value = {"creator": creator, "created": 1, "target": {"selector": [quote]}, **more}
    return value | ({"broadcastId": broadcast_id} if broadcast_id else {})


def comment(creator: str = "ada", broadcast_id: str | None = None, body: str = "hello") -> Json:
    value = {"creator": creator, "created": 2, "body": body}
    return value | ({"broadcastId": broadcast_id} if broadcast_id else {})


def entry(user: str, broadcast_id: str | None = None, **more: Json) -> Json:
    value = {"by": user, "at": 3, **more}
    return value | ({"broadcastId": broadcast_id} if broadcast_id else {})


@pytest.fixture
def page() -> Content:
    """A page with one annotation by ada and her first comment."""
    content = Content()
    content.update(
        "ada",
        ("annotations", "a1", annotation(broadcast_id="old")),
        ("comments", "a1/c1", comment(broadcast_id="old")),
    )
    content.commit.clear()
    return content


# -- one event per gesture ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_annotation", "on_comment"), [("b1", "b1"), (None, "b1"), ("b1", None)]
)
def test_annotation_and_first_comment_in_one_update_are_one_new_text_chat(
    on_annotation: str | None, on_comment: str | None
) -> None:
    content = Content()
    content.update(
        "ada",
        ("annotations", "a1", annotation(broadcast_id=on_annotation)),
        ("comments", "a1/c1", comment(broadcast_id=on_comment)),
    )
    assert content.told() == [("new", "a1", "b1", "ada")]


def test_annotation_and_first_comment_in_two_updates_with_one_id_are_one_new_text_chat() -> None:
    content = Content()
    content.update("ada", ("annotations", "a1", annotation(broadcast_id="b1")))
    content.update("ada", ("comments", "a1/c1", comment(broadcast_id="b1")))
    [event] = content.events()
    assert (event.type, event.broadcast_id) == ("new-text-chat", "b1")
    assert json.loads(event.body)["chat"]["comment"] == "hello"


@pytest.mark.parametrize(
    ("root", "name", "value"),
    [
        ("comments", "a1/c2", comment("bob", "b2")),
        ("comments", "a1/c1", comment("ada", "b2", "hello again")),
        ("annotations", "a1", annotation(broadcast_id="b2", title="moved")),
        ("reactions", "a1/c1/👍/bob", {"at": 3, "broadcastId": "b2"}),
        ("resolved", "a1", entry("ada", "b2", resolved=True)),
        ("closed", "a1", entry("mod", "b2", closed=True)),
        ("deleted", "a1/c1/ada", entry("ada", "b2")),
    ],
)
def test_what_happens_to_an_annotation_that_is_there_is_an_update(
    page: Content, root: str, name: str, value: Json
) -> None:
    page.update("ada", (root, name, value))
    assert page.told() == [("updated", "a1", "b2", "ada")]


def test_an_edit_that_keeps_the_broadcast_id_of_the_first_writing_gets_one_of_its_own(
    page: Content,
) -> None:
    page.update("ada", ("comments", "a1/c1", comment(broadcast_id="old", body="edited")))
    assert page.told() == [("updated", "a1", "s1", "ada")]


def test_a_removal_without_broadcast_id_gets_one(page: Content) -> None:
    page.update("bob", ("reactions", "a1/c1/👍/bob", {"at": 3, "broadcastId": "b2"}))
    page.events()
    page.update("bob", ("reactions", "a1/c1/👍/bob", None))
    assert page.told() == [("updated", "a1", "s1", "bob")]


def test_two_people_never_share_an_event(page: Content) -> None:
    page.update("bob", ("comments", "a1/c2", comment("bob", "same")))
    page.update("eve", ("comments", "a1/c3", comment("eve", "same")))
    page.update("bob", ("reactions", "a1/c1/👍/bob", {"at": 3}))
    page.update("eve", ("reactions", "a1/c1/👍/eve", {"at": 3}))
    assert page.told() == [
        ("updated", "a1", "same", "bob"),
        ("updated", "a1", "same", "eve"),
        ("updated", "a1", "s1", "bob"),
        ("updated", "a1", "s2", "eve"),
    ]


def test_what_one_tab_did_without_an_id_never_travels_under_the_id_of_another_tab(
    page: Content,
) -> None:
    page.update("ada", ("comments", "a1/c2", comment(broadcast_id="b2")))
    page.update("ada", ("reactions", "a1/c1/👍/ada", {"at": 3}))
    assert page.told() == [("updated", "a1", "b2", "ada"), ("updated", "a1", "s1", "ada")]


def test_an_offline_batch_is_told_gesture_by_gesture(page: Content) -> None:
    page.update(
        "ada",
        ("comments", "a1/c2", comment(broadcast_id="b2")),
        ("comments", "a1/c3", comment(broadcast_id="b3")),
        ("annotations", "a2", annotation(broadcast_id="b4")),
        ("comments", "a2/c1", comment(broadcast_id="b4")),
        ("deleted", "a1/c1/ada", entry("ada", "b5")),
        ("comments", "a1/c1", None),
    )
    assert page.told() == [
        ("updated", "a1", "b2", "ada"),
        ("updated", "a1", "b3", "ada"),
        ("new", "a2", "b4", "ada"),
        ("updated", "a1", "b5", "ada"),
    ]


def test_page_keys_are_no_text_chat(page: Content) -> None:
    page.update("mod", ("page", "title", "A title"), ("closed", "page", entry("mod", closed=True)))
    assert page.told() == []


# -- deletion, restore, hiding -------------------------------------------------------------------


def test_a_deletion_is_one_event_under_the_id_of_its_entry_whatever_it_removes(
    page: Content,
) -> None:
    page.update("bob", ("reactions", "a1/c1/👍/bob", {"at": 3}))
    page.events()
    page.update(
        "ada",
        ("comments", "a1/c1", None),
        ("reactions", "a1/c1/👍/bob", None),
        ("deleted", "a1/ada", entry("ada", "b2")),
        ("annotations", "a1", None),
    )
    assert page.told() == [("deleted", "a1", "b2", "ada")]


def test_a_deleted_text_chat_shows_none_of_the_content(page: Content) -> None:
    page.update("ada", ("deleted", "a1/ada", entry("ada", "b2")), ("annotations", "a1", None))
    [event] = page.events()
    assert json.loads(event.body)["chat"] == {"_id": "a1", "urlId": "my-article:a1"}
    assert "some words" not in event.body


def test_a_deletion_beside_other_gestures_keeps_its_own_id(page: Content) -> None:
    page.update("ada", ("annotations", "a2", annotation()))
    page.events()
    page.update(
        "ada",
        ("comments", "a2/c1", comment(broadcast_id="b1")),
        ("deleted", "a2/ada", entry("ada", "b2")),
        ("annotations", "a2", None),
    )
    assert page.told() == [("updated", "a2", "b1", "ada"), ("deleted", "a2", "b2", "ada")]


def test_hiding_is_a_deletion_and_showing_again_is_new(page: Content) -> None:
    page.update("mod", ("annotations", "a1", None), broadcast_id="hide")
    assert page.told() == [("deleted", "a1", "hide", "mod")]
    page.update("mod", ("annotations", "a1", annotation(broadcast_id="old")), broadcast_id="show")
    assert page.told() == [("new", "a1", "show", "mod")]


def test_a_restore_is_new_but_not_under_the_id_of_the_first_writing(page: Content) -> None:
    page.update(
        "ada",
        ("deleted", "a1/ada", entry("ada", "b2")),
        ("annotations", "a1", None),
        ("comments", "a1/c1", None),
    )
    page.events()
    page.update(
        "ada",
        ("deleted", "a1/ada", None),
        ("annotations", "a1", annotation(broadcast_id="old")),
        ("comments", "a1/c1", comment(broadcast_id="other")),
    )
    assert page.told() == [("new", "a1", "s1", "ada")]


def test_a_second_deletion_is_told_but_a_lift_that_leaves_one_is_not(page: Content) -> None:
    page.update("ada", ("deleted", "a1/ada", entry("ada", "b2")), ("annotations", "a1", None))
    page.update("mod", ("deleted", "a1/mod", entry("mod", "b3")))
    assert page.told() == [("deleted", "a1", "b2", "ada"), ("deleted", "a1", "b3", "mod")]
    page.update("ada", ("deleted", "a1/ada", None))
    assert page.told() == []


def test_a_reply_below_a_deleted_annotation_does_not_bring_it_back(page: Content) -> None:
    page.update("ada", ("deleted", "a1/ada", entry("ada", "b2")), ("annotations", "a1", None))
    page.update("bob", ("comments", "a1/c2", comment("bob", "b3")))
    assert page.told() == [("deleted", "a1", "b2", "ada")]


def test_a_reply_and_a_deletion_in_one_commit_come_in_order(page: Content) -> None:
    page.update("bob", ("comments", "a1/c2", comment("bob", "b3")))
    page.update("ada", ("deleted", "a1/ada", entry("ada", "b4")), ("annotations", "a1", None))
    assert page.told() == [("updated", "a1", "b3", "bob"), ("deleted", "a1", "b4", "ada")]


def test_made_and_deleted_in_one_commit_ends_deleted() -> None:
    content = Content()
    content.update("ada", ("annotations", "a1", annotation(broadcast_id="b1")))
    content.update("bob", ("comments", "a1/c2", comment("bob", "b2")))
    content.update("ada", ("deleted", "a1/ada", entry("ada", "b1")), ("annotations", "a1", None))
    assert content.told() == [("updated", "a1", "b2", "bob"), ("deleted", "a1", "b1", "ada")]


def test_events_of_one_commit_never_end_on_an_older_state(page: Content) -> None:
    page.update("ada", ("annotations", "a1", annotation(broadcast_id="b2", title="first")))
    page.update("mod", ("annotations", "a1", annotation(broadcast_id="b3", title="second")))
    page.update("ada", ("annotations", "a1", annotation(broadcast_id="b2", title="third")))
    titles = [json.loads(event.body)["chat"]["pageTitle"] for event in page.events()]
    assert titles == ["third", "third"]


# -- what is in an event -------------------------------------------------------------------------


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


# -- the other bodies ----------------------------------------------------------------------------


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
