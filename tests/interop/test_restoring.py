"""Lifting the last deletion of something brings back what it took away, whoever lifts it and when."""

import json
import sqlite3
import urllib.request
from contextlib import closing
from typing import Any

import pytest
from contents import canonical
from entries import NOW, annotation, comment, deletion, encoded, reply, thread
from server import RealServer, StartServer
from waiting import PATIENCE_S
from yjs_peer import YjsBrowser, YjsPeers

pytestmark = pytest.mark.node

THREAD = [("annotations", "a1"), ("comments", "a1/c1"), ("comments", "a1/c2")]
REACTION = ("reactions", "a1/c2/👍/ada")


def lift(entity: str, user: str) -> list[Any]:
    return [("delete", "deleted", f"{entity}/{encoded(user)}")]


def discussion(yjs: YjsPeers, server: RealServer) -> tuple[YjsBrowser, YjsBrowser]:
    """ada's thread with bob's reply, her reaction to it, and that she resolved it; both see it."""
    ada = yjs.browser("ada", server.ws(), "p", user="ada", backoff=200).wait(synced=True)
    bob = yjs.browser("bob", server.ws(), "p", user="bob", backoff=200).wait(synced=True)
    ada.transact(thread("ada", "a1", "the first comment"))
    bob.wait(has=[("comments", "a1/c1")])
    bob.transact(reply("bob", "a1/c2"))
    ada.wait(has=[("comments", "a1/c2")])
    ada.transact([
        ("set", *REACTION, {"at": NOW}),
        ("set", "resolved", "a1", {"by": "ada", "at": NOW, "resolved": True}),
    ])  # fmt: skip
    bob.wait(has=[REACTION, ("resolved", "a1")])
    return ada, bob


def delete_all(ada: YjsBrowser) -> None:
    """ada deletes her thread as a browser does: with all that lies below."""
    below = [*THREAD[1:], REACTION, ("resolved", "a1")]
    ada.transact(deletion("ada", "a1", *below))


def events(server: RealServer) -> list[dict[str, Any]]:
    status, body = server.get("/event-log/demo?urlId=p&userIdWS=anon&startTime=0")
    assert status == 200
    return [json.loads(row["data"]) for row in json.loads(body)["events"]]


def test_a_browser_brings_its_thread_back(yjs: YjsPeers, server: RealServer) -> None:
    ada, bob = discussion(yjs, server)
    before = bob.content()
    delete_all(ada)
    bob.wait(lacks=[*THREAD, REACTION, ("resolved", "a1")])
    told = len(events(server))
    ada.transact(lift("a1", "ada"))
    bob.wait(content=before)
    ada.wait(content=before)
    late = yjs.browser("late", server.ws(), "p", user="eve").wait(synced=True)
    assert canonical(late.content()) == canonical(before)
    assert not any(browser.pending() for browser in (ada, bob, late))
    new = events(server)[told:]
    assert [event["type"] for event in new] == ["new-text-chat"]
    assert new[0]["chat"]["comment"] == "the first comment"
    assert new[0]["userId"] == "ada"


def test_it_comes_back_after_kill_9_and_a_snapshot(yjs: YjsPeers, server: RealServer) -> None:
    ada, bob = discussion(yjs, server)
    before = bob.content()
    delete_all(ada)
    bob.wait(lacks=THREAD)
    server.kill()
    server.start()
    ada.wait(synced=True, dials=2)
    ada.transact(lift("a1", "ada"))
    bob.wait(content=before)
    server.kill()
    server.start()
    late = yjs.browser("late", server.ws(), "p", user="eve").wait(synced=True)
    assert canonical(late.content()) == canonical(before)
    with closing(sqlite3.connect(server.db)) as db, db:
        assert db.execute("SELECT count(*) FROM archived").fetchone() == (0,)


def test_a_lifting_made_offline_counts_when_it_arrives(yjs: YjsPeers, server: RealServer) -> None:
    ada, bob = discussion(yjs, server)
    before = bob.content()
    delete_all(ada)
    bob.wait(lacks=THREAD)
    ada.disconnect()
    ada.transact(lift("a1", "ada"))
    assert "annotations" not in bob.content()
    ada.connect()
    bob.wait(content=before)
    ada.wait(content=before)


def test_only_the_last_of_two_deletions_brings_it_back(
    yjs: YjsPeers, start_server: StartServer
) -> None:
    server = start_server()
    ada, bob = discussion(yjs, server)
    bob.transact(deletion("bob", "a1/c2"))
    ada.wait(lacks=[("comments", "a1/c2")])
    delete_all(ada)
    bob.wait(lacks=THREAD)
    ada.transact(lift("a1", "ada"))
    bob.wait(has=[("annotations", "a1"), ("comments", "a1/c1")])
    assert "a1/c2" not in bob.content()["comments"]
    bob.transact(lift("a1/c2", "bob"))
    ada.wait(value=("comments", "a1/c2", comment("bob", "a reply")))


def test_what_its_author_wrote_meanwhile_counts(yjs: YjsPeers, server: RealServer) -> None:
    ada, bob = discussion(yjs, server)
    delete_all(ada)
    bob.wait(lacks=THREAD)
    moved = annotation("ada", "another passage")
    ada.transact([*lift("a1", "ada"), ("set", "annotations", "a1", moved)])
    bob.wait(value=("annotations", "a1", moved), has=THREAD)
    ada.wait(value=("annotations", "a1", moved), has=THREAD)


def test_a_legacy_deletion_lifted_by_a_browser(yjs: YjsPeers, server: RealServer) -> None:
    ada, bob = discussion(yjs, server)
    before = bob.content()
    request = urllib.request.Request(
        f"{server.http}/comment-collab-chats/demo/a1?user=ada&urlId=p&broadcastId=b1",
        method="DELETE",
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200
    bob.wait(lacks=THREAD)
    ada.wait(has=[("deleted", "a1/ada")])
    ada.transact(lift("a1", "ada"))
    bob.wait(content=before)
