"""The same attacks by legacy and JSON requests, and replicas that come back after 4403 and 4409."""

import json
from collections.abc import Callable

import pytest
from entries import NOW, comment, deletion, reply
from forged import Forged
from scene import Scene

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node

Stage = Callable[..., Scene]


def chats(scene: Scene) -> str:
    return f"{scene.arena.server.http}/comment-collab-chats/{scene.tenant}"


def new_chat(scene: Scene, **changed: object) -> dict[str, object]:
    return {
        "urlId": scene.page, "urlIdWithRange": f"{scene.page}:0", "pageTitle": scene.marker,
        "selector": scene.marker, "range": scene.marker, "broadcastId": scene.marker, **changed,
    }  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "commenter"])
def test_a_legacy_discussion_of_somebody_who_may_not(stage: Stage, role: str) -> None:
    scene = stage(role=role)
    with scene.attack():
        answer = scene.arena.http.post(
            chats(scene), json=new_chat(scene), headers=scene.bearer("eve", role)
        )
        assert answer.status_code in (400, 403), answer.text


def test_legacy_bodies_of_a_wrong_shape_or_size(scene: Scene) -> None:
    bad: list[object] = [
        new_chat(scene, urlIdWithRange=[scene.marker]), new_chat(scene, range="x" * 5_000),
        new_chat(scene, broadcastId=scene.marker * 50), new_chat(scene, urlId={"x": 1}),
        new_chat(scene, urlIdWithRange=f"{scene.page}-other:0"), [], "text", None, 7,
    ]  # fmt: skip
    scene.attacks = len(bad) + 3
    with scene.attack():
        for body in bad:
            answer = scene.arena.http.post(chats(scene), json=body, headers=scene.bearer("eve"))
            assert answer.status_code in (400, 403, 413), (body, answer.text)
        for text in (
            '{"urlId": NaN}',
            '{"urlId": "\\ud800", "urlIdWithRange": "x:0"}',
            "{" * 3_000,
        ):
            answer = scene.arena.http.post(chats(scene), content=text, headers=scene.bearer("eve"))
            assert answer.status_code == 400, (text, answer.status_code)


def test_a_legacy_deletion_of_somebodys_discussion(scene: Scene) -> None:
    with scene.attack():
        for name in ("a1", "a1/c1", "..", "page", "__proto__"):
            url = f"{chats(scene)}/{name.replace('/', '%2F')}"
            asked = {"urlId": scene.page, "broadcastId": scene.marker}
            answer = scene.arena.http.delete(url, params=asked, headers=scene.bearer("eve"))
            assert answer.status_code in (400, 403, 404), (name, answer.text)


@pytest.mark.parametrize("role", ["viewer", "commenter", "editor"])
def test_moderation_by_somebody_who_is_no_moderator(stage: Stage, role: str) -> None:
    scene = stage(role=role)
    url = f"{scene.arena.server.http}/api/v1/tenants/{scene.tenant}/moderation"
    with scene.attack():
        for action in ("hide", "unhide", "restore", "close", "reopen", "dismiss"):
            body = {"page": scene.page, "action": action, "entity": "a1", "reason": scene.marker}
            answer = scene.arena.http.post(url, json=body, headers=scene.bearer("eve", role))
            assert answer.status_code == 403, (action, answer.text)
        answer = scene.arena.http.get(
            url, params={"page": scene.page}, headers=scene.bearer("eve", role)
        )
        assert answer.status_code == 403


def test_moderation_with_bodies_of_a_wrong_shape(scene: Scene) -> None:
    url = f"{scene.arena.server.http}/api/v1/tenants/{scene.tenant}/moderation"
    good = {"page": scene.page, "action": "hide", "entity": "a1/c1"}
    bad: list[str] = [
        json.dumps(good | {"reason": scene.marker * 500}),
        json.dumps(good | {"entity": scene.marker}), json.dumps(good | {"entity": ["a1"]}),
        json.dumps(good | {"action": scene.marker}), json.dumps(good | {"page": 7}), "[]", "", "NaN",
        '{"page": "\\ud800", "action": "hide", "entity": "a1"}',
        json.dumps(good)[:-1] + ', "reason": "\\ud800"}', "[" * 5_000,
    ]  # fmt: skip
    scene.attacks = len(bad)
    with scene.attack():
        for body in bad:
            answer = scene.arena.http.post(
                url, content=body, headers=scene.bearer("mod", "moderator")
            )
            assert answer.status_code in (400, 404, 413), (
                body[:80],
                answer.status_code,
                answer.text,
            )


# Replicas that come back


def test_a_replica_that_was_closed_stays_out_until_it_starts_anew(scene: Scene) -> None:
    with scene.attack(ends=4403) as eve:
        eve.transact([("set", "comments", "a1/c1", comment("ada", scene.marker))])
        eve.wait(denied=True)
        for _ in range(2):
            before = len(eve.status().closes)
            eve.connect()
            eve.wait(closes=before + 1)
            assert eve.status().closes[-1]["code"] == 4403


def test_a_replica_of_an_older_epoch_brings_nothing_back(scene: Scene) -> None:
    """ada is erased while eve is away with her words; bob gets 4409 and starts anew."""
    eve, bob, words = scene.eve, scene.bob, f"{scene.marker} to be erased"
    scene.marker = words
    scene.ada.transact(reply("ada", "e1/c3", words))
    eve.wait(has=[("comments", "e1/c3")])
    old, frames = eve.step2(), eve.frames("in")
    eve.disconnect()
    eve.transact([("set", "comments", "e1/c4", comment("eve", words))])
    server = scene.arena.server
    server.command("erase", scene.tenant, "--annotation", "e1", "--page", scene.page)
    server.command("erase", scene.tenant, "--page", scene.page)
    for browser in (bob, scene.ada):
        browser.wait(denied=True)
        assert browser.status().denied["code"] == 4409
    eve.connect()
    eve.wait(denied=True)
    assert eve.status().denied["code"] == 4409
    with scene.raw() as thief:
        thief.send(wire.step2(old))
        assert thief.closed() == 4409
    with scene.raw() as thief:
        thief.send(*(frame for frame in frames if frame[:2] == b"\x00\x02"))
        assert thief.closed() == 4409
    with scene.raw() as thief:
        # Under a fresh client id, over a unit of the old epoch: an echo of what was erased.
        echo = Forged(94_000)
        echo.set("comments", "", comment("eve", words), (scene.ada.client, 1))
        thief.send(echo.update())
        assert thief.closed() == 4409
    again = scene.person("bob")
    again.transact([("set", "annotations", "b1", {
        "creator": "bob", "created": NOW, "target": {"selector": []}, "title": "an honest word",
    })])  # fmt: skip
    late = scene.person("late").wait(has=[("annotations", "b1")])
    assert late.content() == again.content()
    assert set(late.content()) == {"annotations"}
    scene.arena.search_files(words.encode())
    scene.arena.search_frames([again, late], [words.encode()])


def test_what_is_erased_cannot_be_written_again(scene: Scene) -> None:
    scene.arena.server.command("erase", scene.tenant, "--annotation", "a1/c2", "--page", scene.page)
    for browser in (scene.ada, scene.bob, scene.eve):
        browser.wait(denied=True)
        assert browser.status().denied["code"] == 4409
    scene.ada, scene.bob, scene.eve = (scene.person(user) for user in ("ada", "bob", "eve"))
    scene.sync()
    assert "a1/c2" not in scene.before["comments"]
    with scene.attack() as eve:
        eve.transact([("set", "comments", "a1/c2", comment("eve", scene.marker))])


def test_a_deleted_comment_brought_back_by_a_replica_that_was_away(stage: Stage) -> None:
    scene = stage(offline=True)
    with scene.attack() as eve:
        eve.transact([("set", "comments", "e1/c1", comment("eve", scene.marker))])
        mod = scene.person("mod", role="moderator")
        mod.transact(deletion("mod", "e1/c1"))
        scene.ada.wait(lacks=[("comments", "e1/c1")], has=[("deleted", "e1/c1/mod")])
        scene.before = scene.ada.content()
