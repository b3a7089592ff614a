"""Legacy clients and Yjs clients on the same page of a real server."""

from itertools import pairwise

import pytest
from legacy_client import CHATS, Legacy, annotate, delete
from yjs_peer import YjsBrowser

pytestmark = pytest.mark.node


def test_a_posted_chat_is_an_annotation_for_yjs_clients(ada: Legacy, bob: YjsBrowser) -> None:
    answer = ada.post()
    assert answer.status_code == 200, answer.text
    chat = answer.json()["createdChatId"]
    bob.wait(has=[("annotations", chat)])
    value = bob.content()["annotations"][chat]
    assert (value["creator"], value["broadcastId"]) == ("ada", "b-post")
    [listed] = ada.listing()["conversations"]
    assert listed["_id"] == chat
    assert listed["urlId"] == ada.body()["urlIdWithRange"]
    assert listed["range"] == ada.body()["range"]
    assert listed["selector"] == ada.body()["selector"]
    assert listed["createdFromCommentId"] == "comment-7"


def test_a_deleted_chat_is_gone_for_yjs_clients(ada: Legacy, bob: YjsBrowser) -> None:
    chat = ada.post().json()["createdChatId"]
    bob.wait(has=[("annotations", chat)])
    said = {"creator": "bob", "created": 5, "body": "a reply"}
    bob.transact([("set", "comments", f"{chat}/c9", said)])
    with ada.sub():
        answer = ada.delete(chat, "b-gone")
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    bob.wait(lacks=[("annotations", chat), ("comments", f"{chat}/c9")])
    assert bob.content()["deleted"][f"{chat}/ada"]["broadcastId"] == "b-gone"
    assert ada.listing()["conversations"] == []


def test_what_yjs_clients_do_is_told_with_each_operations_broadcast_id(
    ada: Legacy, bob: YjsBrowser
) -> None:
    with ada.sub() as sub:
        annotate(bob, body="100% sure")
        told = [sub.event()]
        reply = {"creator": "bob", "created": 1_002, "body": "more", "broadcastId": "b-reply"}
        bob.transact([("set", "comments", "a1/c2", reply)])
        told.append(sub.event())
        resolved = {"by": "bob", "at": 1_003, "resolved": True, "broadcastId": "b-done"}
        bob.transact([("set", "resolved", "a1", resolved)])
        told.append(sub.event())
        delete(bob)
        told.append(sub.event())
    assert [(event["type"], event["broadcastId"]) for event in told] == [
        ("new-text-chat", "b-new"),
        ("updated-text-chat", "b-reply"),
        ("updated-text-chat", "b-done"),
        ("deleted-text-chat", "b-gone"),
    ]
    assert {event["userId"] for event in told} == {"bob"}
    assert {event["chat"]["_id"] for event in told} == {"a1"}
    assert told[0]["chat"]["comment"] == "100% sure"
    assert told[2]["chat"]["isResolved"] is True
    stamps = [event["timestamp"] for event in told]
    assert all(later - earlier >= 2 for earlier, later in pairwise(stamps))
    logged = ada.log()
    assert [(e["type"], e["broadcastId"], e["timestamp"]) for e in logged] == [
        (e["type"], e["broadcastId"], e["timestamp"]) for e in told
    ]


def test_the_originator_hears_its_own_echo_and_every_other_tab_too(ada: Legacy) -> None:
    with ada.sub() as one, ada.sub() as other:
        chat = ada.post("b-echo").json()["createdChatId"]
        for sub in (one, other):
            event = sub.event()
            assert (event["type"], event["broadcastId"]) == ("new-text-chat", "b-echo")
            assert event["chat"]["_id"] == chat
            assert event["chat"]["range"] == ada.body()["range"]
        ada.delete(chat, "b-echo-2")
        assert one.event()["broadcastId"] == other.event()["broadcastId"] == "b-echo-2"


def test_a_request_without_broadcast_id_gets_one(ada: Legacy) -> None:
    body = ada.body()
    del body["broadcastId"]
    chat = ada.http.post(CHATS, params=ada.who, json=body).json()["createdChatId"]
    ada.http.request("DELETE", f"{CHATS}/{chat}", params=ada.who)
    new, gone = ada.log()
    assert new["broadcastId"]
    assert gone["broadcastId"]
    assert new["broadcastId"] != gone["broadcastId"]


def test_a_post_that_is_repeated_makes_one_annotation(ada: Legacy) -> None:
    first = ada.post("gesture-1").json()["createdChatId"]
    again = ada.post("gesture-1")
    assert (again.status_code, again.json()["createdChatId"]) == (200, first)
    assert len(ada.log()) == len(ada.listing()["conversations"]) == 1
    # another place under the same id, another person, and what is deleted by now are no repetition
    bob = {"user": "bob"}
    others = [
        ada.post("gesture-1", range="0:1,0:2{abc123}"),
        ada.http.post(CHATS, params=bob, json=ada.body("gesture-1")),
    ]
    ada.delete(first, "gesture-2")
    others.append(ada.post("gesture-1"))
    assert len({first, *(one.json()["createdChatId"] for one in others)}) == 4


def test_tracking_parameters_lead_to_the_same_page(ada: Legacy) -> None:
    url = f"https://a.example/{ada.page}/?b=1"
    ada.post(urlId=f"{url}&utm_source=mail")
    listed = ada.listing(f"{url}&fbclid=7")
    assert listed["urlIdClean"] == url
    assert len(listed["conversations"]) == 1
    assert len(ada.log(page=f"{url}&gclid=1")) == 1
