"""Who may do what over the legacy requests, and how a fault is said."""

import json

import pytest
from legacy_client import CHATS, PAGES, Legacy
from server import RealServer

pytestmark = pytest.mark.node


def test_only_the_creator_deletes_on_an_open_tenant(ada: Legacy) -> None:
    chat = ada.post().json()["createdChatId"]
    eve = Legacy(ada.server, ada.page, "eve")
    with eve.http:
        answer = eve.delete(chat, "b-eve")
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"
        assert answer.json()["status"] == "failed"
        assert answer.json()["reason"] == answer.json()["message"]
    assert len(ada.listing()["conversations"]) == 1
    assert ada.delete("nobody-knows-it", "b").status_code == 404
    assert ada.delete(chat, "b-ada").status_code == 200
    assert ada.delete(chat, "b-ada").status_code == 404


def test_an_anonymous_visitor_is_known_again_by_her_cookie(shared: RealServer) -> None:
    visitor = Legacy(shared, next(PAGES))
    with visitor.http:
        user = visitor.listing()["user"]["id"]
        assert user.startswith("anon:")
        chat = visitor.post().json()["createdChatId"]
        assert visitor.listing()["conversations"][0]["userId"] == user
        assert visitor.delete(chat, "b").status_code == 200


def test_simple_sso_names_the_user(ada: Legacy) -> None:
    for sso in ({"username": "grace"}, {"simpleSSOUser": {"username": "grace"}}):
        answer = ada.http.get(CHATS, params={"urlId": ada.page, "sso": json.dumps(sso)})
        assert answer.json()["user"]["id"] == "grace"


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/comment-collab-chats/nobody", {"urlId": "any"}, 404),
        (CHATS, {}, 400),
        (CHATS, {"urlId": "any", "sso": "{"}, 400),
        ("/event-log/nobody", {"urlId": "any"}, 404),
    ],
)
def test_faults_have_both_published_shapes(
    ada: Legacy, path: str, params: dict[str, str], status: int
) -> None:
    answer = ada.http.get(path, params=params)
    assert answer.status_code == status
    assert {"status", "code", "reason", "message"} <= answer.json().keys()


def test_a_wrong_body_is_named_and_changes_nothing(ada: Legacy) -> None:
    assert "range" in ada.post(range="nonsense").json()["reason"]
    assert ada.http.post(CHATS, params=ada.who, content=b"{").status_code == 400
    assert ada.http.post(CHATS, params=ada.who, content=b"x" * 100_000).status_code == 413
    assert ada.listing()["conversations"] == []
    assert ada.log() == []


@pytest.mark.parametrize("path", [CHATS, f"{CHATS}/", f"{CHATS}/x", "/event-log/demo/"])
def test_a_browser_on_another_site_may_ask(ada: Legacy, path: str) -> None:
    origin = "https://blog.example"
    asked = {"origin": origin, "access-control-request-method": "GET"}
    headers = ada.http.options(path, headers=asked).headers
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-credentials"] == "true"
    assert "content-type" in headers["access-control-allow-headers"]
    assert "DELETE" in headers["access-control-allow-methods"]
    answer = ada.http.get(f"{CHATS}/", params={"urlId": ada.page}, headers={"origin": origin})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
