"""Flags, hide, restore and close on a real server, with stock Yjs clients who see the outcome."""

import itertools
import json
import queue
import sqlite3
import time
from contextlib import closing
from typing import Any

import httpx
import pytest
from contents import canonical
from entries import NOW, comment, deletion, reply, thread
from raw_client import RawClient
from trusted import TrustedServer, token, trusted
from waiting import PATIENCE_S
from yjs_peer import YjsBrowser, YjsPeers

import crdt_chat

pytestmark = pytest.mark.node
__all__ = ["trusted"]

PAGES = (f"moderated-{number}" for number in itertools.count())
REACTION = ("reactions", "a1/c1/👍/bob")


class Scene:
    """ada's thread on a page of its own, with bob's reply and reaction; eve moderates."""

    def __init__(self, server: TrustedServer, yjs: YjsPeers) -> None:
        self.server, self.page = server, next(PAGES)
        self.yjs = yjs
        self.ada, self.bob = self.browser("ada"), self.browser("bob")
        self.ada.transact(thread("ada", "a1", "the first comment"))
        self.bob.wait(has=[("comments", "a1/c1")])
        self.bob.transact([*reply("bob", "a1/c2", "rude"), ("set", *REACTION, {"at": NOW})])
        self.ada.wait(has=[("comments", "a1/c2"), REACTION])
        self.before = self.ada.content()

    def browser(self, user: str, name: str | None = None) -> YjsBrowser:
        params = {"token": token(user=user)}
        url = self.server.running.ws("acme")
        return self.yjs.browser(name or user, url, self.page, params=params).wait(synced=True)

    def ask(self, path: str, body: dict[str, Any], user: str = "eve", role: str = "moderator"):
        headers = {"authorization": f"Bearer {token(user=user, role=role)}"}
        url = f"{self.server.http}/api/v1/tenants/acme/{path}"
        return httpx.post(url, json={"page": self.page, **body}, headers=headers)

    def act(self, action: str, entity: str, **more: str) -> None:
        answer = self.ask("moderation", {"action": action, "entity": entity, **more})
        assert answer.status_code == 204, answer.text

    def seen(self) -> dict[str, Any]:
        """What a moderator sees."""
        headers = {"authorization": f"Bearer {token(user='eve', role='moderator')}"}
        url = f"{self.server.http}/api/v1/tenants/acme/moderation"
        answer = httpx.get(url, params={"page": self.page}, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def events(self) -> list[str]:
        with closing(sqlite3.connect(self.server.running.db)) as db, db:
            query = "SELECT type FROM event JOIN page ON page.id = event.page WHERE name = ?"
            return [row[0] for row in db.execute(f"{query} ORDER BY timestamp", (self.page,))]


@pytest.fixture
def scene(trusted: TrustedServer, yjs: YjsPeers) -> Scene:
    return Scene(trusted, yjs)


def test_a_hidden_comment_is_gone_for_readers_and_comes_back_as_it_was(scene: Scene) -> None:
    scene.act("hide", "a1/c2", reason="it is rude")
    scene.ada.wait(lacks=[("comments", "a1/c2")])
    scene.bob.wait(lacks=[("comments", "a1/c2")])
    late = scene.browser("late")
    assert b"rude" not in late.step2()
    hidden = scene.seen()["hidden"]["a1/c2"]
    assert (hidden["by"], hidden["reason"]) == ("eve", "it is rude")
    assert hidden["content"] == [["comments", "a1/c2", comment("bob", "rude")]]
    scene.act("unhide", "a1/c2", reason="after all not")
    for browser in (scene.ada, scene.bob, late):
        browser.wait(content=scene.before)
    assert scene.seen()["hidden"] == {}
    assert [entry["action"] for entry in scene.seen()["log"]] == ["hide", "unhide"]


def test_its_author_can_not_write_over_what_is_hidden(scene: Scene) -> None:
    scene.act("hide", "a1/c2")
    scene.bob.wait(lacks=[("comments", "a1/c2")])
    scene.bob.transact(reply("bob", "a1/c2", "still rude"))
    scene.bob.wait(lacks=[("comments", "a1/c2")])
    assert "a1/c2" not in scene.browser("late").content()["comments"]


def test_a_hidden_thread_survives_a_restart_and_says_new_when_it_is_back(scene: Scene) -> None:
    scene.act("hide", "a1", reason="off topic")
    scene.bob.wait(lacks=[("annotations", "a1"), ("comments", "a1/c1"), REACTION])
    scene.server.running.kill()
    scene.server.running.start()
    assert scene.seen()["hidden"]["a1"]["reason"] == "off topic"
    scene.act("unhide", "a1")
    scene.bob.wait(content=scene.before)
    scene.ada.wait(content=scene.before)
    # The other events are ada's thread, bob's reply and his reaction.
    assert scene.events()[0] == "new-text-chat"
    assert scene.events()[-2:] == ["deleted-text-chat", "new-text-chat"]


def test_a_moderator_restores_what_others_deleted(scene: Scene) -> None:
    below = [("comments", "a1/c1"), ("comments", "a1/c2"), REACTION]
    scene.ada.transact(deletion("ada", "a1", *below))
    scene.bob.wait(lacks=[("annotations", "a1"), *below])
    deleted = scene.seen()["deleted"]["a1"]
    assert [entry["by"] for entry in deleted["by"]] == ["ada"]
    assert ["comments", "a1/c2", comment("bob", "rude")] in deleted["content"]
    scene.act("restore", "a1", reason="deleted by mistake", broadcastId="b-restore")
    scene.bob.wait(content=scene.before)
    scene.ada.wait(content=scene.before)
    assert scene.events()[-1] == "new-text-chat"
    assert canonical(scene.browser("late").content()) == canonical(scene.before)
    assert scene.ask("moderation", {"action": "restore", "entity": "a1"}).status_code == 404


def test_lifting_a_deletion_does_not_show_what_is_hidden(scene: Scene) -> None:
    scene.act("hide", "a1/c2")
    scene.ada.wait(lacks=[("comments", "a1/c2")])
    scene.ada.transact(deletion("ada", "a1", ("comments", "a1/c1"), REACTION))
    scene.bob.wait(lacks=[("annotations", "a1")])
    refused = scene.ask("moderation", {"action": "unhide", "entity": "a1/c2"})
    assert (refused.status_code, "restore it first" in refused.text) == (403, True)
    scene.act("restore", "a1")
    scene.bob.wait(has=[("annotations", "a1"), ("comments", "a1/c1"), REACTION])
    assert "a1/c2" not in scene.bob.content()["comments"]
    scene.act("unhide", "a1/c2")
    scene.bob.wait(content=scene.before)


@pytest.mark.parametrize("entity", ["a1", "page"])
def test_what_is_closed_takes_nothing_new_until_it_is_reopened(scene: Scene, entity: str) -> None:
    scene.act("close", entity, reason="enough")
    scene.bob.wait(has=[("closed", entity)])
    scene.bob.transact(reply("bob", "a1/c9"))
    scene.bob.wait(lacks=[("comments", "a1/c9")])
    scene.act("reopen", entity)
    scene.bob.wait(value=("closed", entity, {**closed(scene, entity), "closed": False}))
    scene.bob.transact(reply("bob", "a1/c10"))
    scene.ada.wait(has=[("comments", "a1/c10")])


def closed(scene: Scene, entity: str) -> dict[str, Any]:
    found: dict[str, Any] = scene.browser("reader").content()["closed"][entity]
    return found


def test_flags_wait_for_a_moderator(scene: Scene) -> None:
    flag = {"entity": "a1/c2", "reason": "that hurts"}
    assert scene.ask("flags", flag, "ada", "commenter").status_code == 204
    assert scene.ask("flags", flag, "zoe", "viewer").status_code == 403
    assert scene.ask("flags", {"entity": "a1/nothing"}, "ada").status_code == 404
    assert scene.ask("flags", {"entity": "a1/c2", "reason": "x" * 501}, "ada").status_code == 400
    again = {"entity": "a1/c2", "reason": "once more"}
    assert scene.ask("flags", again, "ada", "commenter").status_code == 204
    flags = scene.seen()["flags"]
    assert [(flag["user"], flag["reason"]) for flag in flags] == [("ada", "that hurts")]
    scene.act("dismiss", "a1/c2", reason="it does not")
    assert scene.seen()["flags"] == []


def test_moderators_find_the_flags_of_all_pages_that_they_may_see(scene: Scene) -> None:
    assert scene.ask("flags", {"entity": "a1", "reason": "spam"}, "ada").status_code == 204
    url = f"{scene.server.http}/api/v1/tenants/acme/moderation"

    def waiting(pages: list[str], role: str = "moderator") -> httpx.Response:
        shown = token(user="eve", role=role, pages=pages)
        return httpx.get(url, headers={"authorization": f"Bearer {shown}"})

    mine = [flag for flag in waiting(["*"]).json()["flags"] if flag["page"] == scene.page]
    assert [(flag["entity"], flag["user"], flag["reason"]) for flag in mine] == [
        ("a1", "ada", "spam")
    ]
    assert waiting(["elsewhere/*"]).json() == {"flags": []}
    assert waiting(["*"], "editor").status_code == 403


def test_the_command_line_moderates(scene: Scene) -> None:
    server, page = scene.server, scene.page
    assert scene.ask("flags", {"entity": "a1/c2", "reason": "rude\n"}, "ada").status_code == 204
    assert f"waits    {page} a1/c2 by ada" in server.command("moderate", "acme")
    server.command("moderate", "acme", "--page", page, "--hide", "a1/c2", "--reason", "it is")
    scene.ada.wait(lacks=[("comments", "a1/c2")])
    shown = server.command("moderate", "acme", "--page", page)
    assert 'hidden   a1/c2 "rude"' in shown
    assert '"rude\\n"' in shown
    assert "hide     a1/c2 by operator" in shown
    assert server.asked("moderate", "acme", "--page", page)["flags"] == []
    server.command("moderate", "acme", "--page", page, "--unhide", "a1/c2")
    scene.ada.wait(content=scene.before)


def refused(client: RawClient, entry: tuple[str, str, Any]) -> list[dict[str, str]]:
    """What the control frame says of an entry that this client writes and may not."""
    client.handshake()
    client.write(entry)
    while not (told := [body for body in client.controls if body["type"] == "refused"]):
        client.read()
    operations: list[dict[str, str]] = told[0]["operations"]
    return operations


def test_a_refusal_is_told_in_the_same_words_whichever_way_it_came(scene: Scene) -> None:
    """The control frame of a socket, a legacy answer and the JSON of moderation."""
    editor = token(user="zoe", role="viewer")
    with scene.server.bearing(scene.page, editor) as zoe:
        [by_socket] = refused(zoe, ("deleted", "a1/zoe", {"by": "zoe", "at": NOW}))
    chats = f"{scene.server.http}/comment-collab-chats/acme/a1"
    headers = {"authorization": f"Bearer {editor}"}
    answer = httpx.delete(chats, params={"urlId": scene.page}, headers=headers)
    assert answer.status_code == 403
    by_request = answer.json()["operations"]
    assert by_socket in by_request
    assert answer.json()["reason"] == answer.json()["message"] == by_request[0]["reason"]
    gone = scene.ask("moderation", {"action": "close", "entity": "never-there"})
    assert gone.status_code == 403
    with scene.server.bearing(scene.page, token(user="eve", role="moderator")) as eve:
        closing = ("closed", "never-there", {"by": "eve", "at": NOW, "closed": True})
        assert gone.json()["operations"] == refused(eve, closing)
    assert gone.json()["message"].endswith(gone.json()["operations"][0]["reason"])


def test_only_moderators_moderate_and_the_audit_log_knows(scene: Scene) -> None:
    for role in ("viewer", "commenter", "editor"):
        answer = scene.ask("moderation", {"action": "hide", "entity": "a1"}, "zoe", role)
        assert answer.status_code == 403
    scene.act("close", "a1", reason="a secret reason")
    lines = scene.server.command("audit", "acme", "--json").splitlines()
    entries = [json.loads(line) for line in lines]
    mine = [entry for entry in entries if entry["detail"].get("page") == scene.page]
    assert [(e["actor"], e["action"], e["subject"]) for e in mine] == [
        ("eve", "moderation.close", "a1")
    ]
    assert "a secret reason" not in str(mine)


def test_the_legacy_listing_tells_moderators_and_nobody_else(scene: Scene) -> None:
    scene.act("hide", "a1/c2", reason="it is rude")

    def listing(role: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token(user='eve', role=role)}"}
        url = f"{scene.server.http}/comment-collab-chats/acme"
        found: dict[str, Any] = httpx.get(url, params={"urlId": scene.page}, headers=headers).json()
        return found

    assert listing("moderator")["moderation"] == scene.seen()
    assert listing("moderator")["moderation"]["log"][0]["reason"] == "it is rude"
    assert "moderation" not in listing("editor")
    assert "rude" not in json.dumps(listing("editor"))


def audited(scene: Scene, count: int) -> list[tuple[str, str, str, str]]:
    """Actor, address, action and subject of what was moderated on this page, once it is so many."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := moderated(scene)) < count:
        assert time.monotonic() < deadline, found
    return found


def moderated(scene: Scene) -> list[tuple[str, str, str, str]]:
    lines = scene.server.command("audit", "acme", "--json", "--action", "moderation.").splitlines()
    entries = [json.loads(line) for line in lines]
    return [
        (entry["actor"], entry["address"], entry["action"], entry["subject"])
        for entry in entries
        if entry["detail"].get("page") == scene.page
    ]


def test_what_moderators_do_in_the_document_is_in_the_audit_log(scene: Scene) -> None:
    params = {"token": token(user="eve", role="moderator")}
    url = scene.server.running.ws("acme")
    eve = scene.yjs.browser("eve", url, scene.page, params=params).wait(synced=True)
    scene.ada.transact(deletion("ada", "a1/c1", REACTION))
    eve.wait(lacks=[("comments", "a1/c1")])
    eve.transact([("delete", "deleted", "a1/c1/ada")])
    eve.wait(has=[("comments", "a1/c1")])
    eve.transact([("set", "closed", "page", {"by": "eve", "at": NOW, "closed": True})])
    eve.transact([("delete", "closed", "page")])
    eve.transact(deletion("eve", "a1/c2"))
    scene.bob.wait(lacks=[("comments", "a1/c2"), ("closed", "page")])
    expected = [
        ("eve", "127.0.0.1", "moderation.restore", "a1/c1"),
        ("eve", "127.0.0.1", "moderation.close", "page"),
        ("eve", "127.0.0.1", "moderation.reopen", "page"),
        ("eve", "127.0.0.1", "moderation.delete", "a1/c2"),
    ]
    assert audited(scene, 4) == expected
    chat = f"{scene.server.http}/comment-collab-chats/acme/a1"
    headers = {"authorization": f"Bearer {token(user='eve', role='moderator')}"}
    assert httpx.delete(chat, params={"urlId": scene.page}, headers=headers).status_code == 200
    assert audited(scene, 5)[4:] == [("eve", "127.0.0.1", "moderation.delete", "a1")]
    told = [(entry["user"], entry["action"], entry["entity"]) for entry in scene.seen()["log"]]
    assert told == [
        ("eve", action.partition(".")[2], subject) for _, _, action, subject in audited(scene, 5)
    ]


def test_what_a_crdt_client_closed_is_told_by_every_interface(scene: Scene) -> None:
    params = {"token": token(user="eve", role="moderator")}
    url = scene.server.running.ws("acme")
    eve = scene.yjs.browser("eve", url, scene.page, params=params).wait(synced=True)
    eve.transact([("set", "closed", "a1", {"by": "eve", "at": NOW, "closed": True})])
    scene.ada.wait(has=[("closed", "a1")])
    assert scene.seen()["closed"] == [{"entity": "a1", "by": "eve", "at": NOW, "reason": ""}]
    scene.act("close", "page", reason="enough")
    [page] = [entry for entry in scene.seen()["closed"] if entry["entity"] == "page"]
    assert (page["by"], page["reason"]) == ("eve", "enough")
    shown = scene.server.command("moderate", "acme", "--page", scene.page)
    assert 'closed   page by eve "enough"' in shown


def test_a_program_of_a_moderator_is_told_what_waits(scene: Scene) -> None:
    address = scene.server.http.replace("http", "ws")
    asked = {"page": f"acme/{scene.page}"}
    eve, zoe = token(user="eve", role="moderator"), token(user="zoe", role="commenter")
    with (
        crdt_chat.connect(address, **asked, token=zoe) as nobody,
        crdt_chat.connect(address, **asked, token=eve) as page,
    ):
        news: queue.Queue[str] = queue.Queue()
        page.on("moderation", lambda event: news.put(event.detail))
        assert (
            scene.ask("flags", {"entity": "a1/c2", "reason": "that hurts"}, "ada").status_code
            == 204
        )
        while news.get(timeout=PATIENCE_S) != "1":
            pass
        watched = page.watched
        assert watched is not None
        assert [(flag["user"], flag["reason"]) for flag in watched["flags"]] == [
            ("ada", "that hurts")
        ]
        page.moderate("hide", "a1/c2", "it is rude")
        while news.get(timeout=PATIENCE_S) != "0":
            pass
        nobody.flush()
        assert nobody.watched is None
