"""Which events a commit means: one per gesture, in order, also for deletions, restores and hiding."""

import json

import pytest
from chats import Content, Json, annotation, comment, commented, entry


@pytest.fixture
def page() -> Content:
    return commented()


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
