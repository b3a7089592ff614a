"""Catching up from the legacy event log, over crashes and stops."""

import pytest
from legacy_client import PAGES, Legacy, annotate, delete
from server import RealServer
from yjs_peer import YjsBrowser, YjsPeers

pytestmark = pytest.mark.node


def test_what_was_missed_while_the_server_was_killed_is_in_the_log(
    yjs: YjsPeers, server: RealServer
) -> None:
    ada = Legacy(server, next(PAGES), "ada")
    bob = yjs.browser("bob", server.ws(), ada.page, user="bob").wait(synced=True)
    with ada.http:
        with ada.sub() as sub:
            annotate(bob)
            seen = sub.event()["timestamp"]
            server.kill()
        server.start()
        bob.wait(synced=True)
        ada.post("b-missed")
        with ada.sub() as sub:
            delete(bob)
            sub.until(lambda body: body.get("broadcastId") == "b-gone")
        found = {event["broadcastId"]: event for event in ada.log(seen, endTime=1)}
        assert found["b-missed"]["type"] == "new-text-chat"
        assert found["b-gone"]["type"] == "deleted-text-chat"
        assert min(found[told]["timestamp"] for told in ("b-missed", "b-gone")) > seen
        stamps = [event["timestamp"] for event in ada.log()]
        assert stamps == sorted(set(stamps))


def test_a_stopping_server_says_so(server: RealServer) -> None:
    ada = Legacy(server, next(PAGES), "ada")
    with ada.http, ada.sub() as sub:
        server.stop()
        assert sub.closed() == 1012


def test_nothing_that_was_deleted_comes_back_out_of_the_log(ada: Legacy, bob: YjsBrowser) -> None:
    with ada.sub() as sub:
        annotate(bob, body="regretted")
        sub.event()
        delete(bob)
        sub.event()
    answer = ada.http.get("/event-log/demo", params={"urlId": ada.page, "userIdWS": "anon"})
    assert "b-new" in answer.text
    assert "regretted" not in answer.text
    assert "qqq" not in answer.text


@pytest.mark.parametrize("start", ["", "nonsense", "-1", "1e9", "9" * 15])
def test_the_log_does_not_fail_on_a_strange_start(ada: Legacy, start: str) -> None:
    ada.post()
    params = {"urlId": ada.page, "userIdWS": "anon", "startTime": start}
    body = ada.http.get("/event-log/demo", params=params).json()
    assert (body["status"], len(body["events"])) == ("success", 1)
