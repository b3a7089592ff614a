"""Attacks on what only moderators are told: who asks for it without the power, has lost it, or goes on."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from arena import Raw
from entries import NOW
from scene import Scene
from trusted import token
from websockets.sync.client import connect

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node

Stage = Callable[..., Scene]
CAPS = "crdt-chat.1,moderation.1"


@contextlib.contextmanager
def watching(scene: Scene, user: str, role: str, tenant: str = "") -> Iterator[Raw]:
    """A socket that asks for what moderators see; not searched at the end."""
    tenant = tenant or scene.tenant
    query = urlencode({"token": token(tenant, user, role=role), "caps": CAPS})
    address = f"{scene.arena.server.running.ws(tenant)}/{scene.page}?{query}"
    with connect(address, compression=None, max_size=None) as socket:
        yield Raw(socket)


def told(raw: Raw, **counts: int) -> dict[str, Any]:
    """Read until a frame for moderators has these counts."""
    while True:
        body = raw.controls("moderation")
        if counts.items() <= body.get("counts", {}).items():
            return body


def flag(scene: Scene, user: str) -> None:
    """Somebody tells the moderators of ada's words, for a reason that is for them alone."""
    url = f"{scene.arena.server.http}/api/v1/tenants/{scene.tenant}/flags"
    body = {"page": scene.page, "entity": "a1/c1", "reason": f"{scene.marker} {user}"}
    answer = scene.arena.http.post(url, json=body, headers=scene.bearer(user))
    assert answer.status_code == 204, answer.text


def trouble(scene: Scene, mod: Raw) -> None:
    """All that moderators are told of, each with a reason that nobody else may see."""
    flag(scene, "bob")
    assert scene.marker in told(mod, flags=1)["flags"][0]["reason"]
    scene.moderate("hide", "a1/c1", reason=scene.marker)
    assert told(mod, flags=0, hidden=1)["hidden"][0]["reason"] == scene.marker
    scene.moderate("unhide", "a1/c1", reason=scene.marker)
    told(mod, hidden=0, rulings=2)
    scene.moderate("dismiss", "a1", reason=scene.marker)
    latest = told(mod, rulings=3)["rulings"]
    assert [ruling["action"] for ruling in latest] == ["dismiss", "unhide", "hide"]
    assert {ruling["reason"] for ruling in latest} == {scene.marker}
    for browser in (scene.ada, scene.bob):
        browser.wait(has=[("comments", "a1/c1")])
    flag(scene, "ada")
    told(mod, flags=1)


@pytest.mark.parametrize("role", ["viewer", "commenter", "editor"])
def test_asking_for_what_moderators_see(stage: Stage, role: str) -> None:
    """By the capability, with a stock provider and bare, and by frames that look like the server's."""
    scene = stage(role=role)
    scene.said_elsewhere, scene.attacks = True, 8
    stock = scene.person("eve", role=role, params={
        "token": token(scene.tenant, "eve", role=role), "caps": "moderation.1",
    })  # fmt: skip
    with (
        scene.attack() as eve,
        watching(scene, "mod", "moderator") as mod,
        watching(scene, "eve", role) as thief,
    ):
        scene.raws.append(thief)
        asks: list[dict[str, object]] = [
            {"type": "moderation"}, {"type": "moderation", "moderates": True},
            {"type": "role", "role": "moderator"}, {"type": "presence", "moderation": True},
            {"type": "hello", "caps": CAPS, "role": "admin"}, {"type": "flags"},
        ]  # fmt: skip
        thief.send(*(wire.control(body) for body in asks))
        for browser in (eve, stock):
            browser.inject(wire.control(asks[0]))
        trouble(scene, mod)
        thief.settle()
    assert [frame for frame in thief.frames if b'"moderation"' in frame] == []
    assert stock.controls() == []


def test_a_moderator_of_other_pages_asks(scene: Scene) -> None:
    scene.said_elsewhere = True
    other = token(scene.tenant, "eve", role="moderator", pages=["elsewhere", f"{scene.page}?"])
    query = urlencode({"token": other, "caps": CAPS})
    address = f"{scene.arena.server.running.ws(scene.tenant)}/{scene.page}?{query}"
    with (
        scene.attack(),
        watching(scene, "mod", "moderator") as mod,
        connect(address, compression=None) as socket,
    ):
        thief = Raw(socket)
        scene.raws.append(thief)
        trouble(scene, mod)
        assert thief.closed() == 4403


def test_a_moderator_of_another_tenant_watches_a_page_of_the_same_name(scene: Scene) -> None:
    scene.said_elsewhere = True
    with (
        scene.attack(),
        watching(scene, "mod", "moderator") as mod,
        watching(scene, "mod", "admin", tenant="tight") as thief,
    ):
        scene.raws.append(thief)
        assert told(thief)["counts"]["rulings"] == 0
        trouble(scene, mod)
        thief.settle()
        frames = [frame for frame in thief.frames if b'"moderation"' in frame]
        assert all(b'"rulings": []' in frame or b'"rulings":[]' in frame for frame in frames)


def test_whom_a_reason_names_is_erased_and_named_to_moderators_no_more(scene: Scene) -> None:
    scene.said_elsewhere = True
    person = f"carl of {scene.page}"
    with scene.attack(), watching(scene, "mod", "moderator") as mod:
        scene.moderate("dismiss", "a1", reason=f"{person} says so {scene.marker}")
        scene.moderate("dismiss", "a1/c1", reason="nobody says so")
        latest = told(mod, rulings=2)["rulings"]
        assert latest[1]["reason"] == f"{person} says so {scene.marker}"
        scene.arena.server.command("erase", scene.tenant, "--user", person)
        assert [each["reason"] for each in told(mod, rulings=1)["rulings"]] == ["nobody says so"]
        with watching(scene, "mia", "moderator") as late:
            scene.raws.append(late)
            assert person not in str(told(late, rulings=1))


@pytest.mark.parametrize("way", ["by hand", "by a fresh token"])
def test_a_moderator_who_is_one_no_more_listens_on(scene: Scene, way: str) -> None:
    scene.said_elsewhere = True
    server, user = scene.arena.server, f"former-{scene.page}"
    headers = {"authorization": f"Bearer {server.command('token', '--operator', 'grace')}"}
    role = f"{server.http}/api/v1/tenants/{scene.tenant}/roles/{user}"
    with (
        scene.attack(),
        watching(scene, "mod", "moderator") as mod,
        watching(scene, user, "moderator") as former,
    ):
        scene.raws.append(former)
        assert told(former)["moderates"] is True
        if way == "by hand":
            answer = httpx.put(role, headers=headers, json={"role": "commenter"})
            assert answer.status_code == 204
        else:
            fresh = token(scene.tenant, user, role="commenter")
            former.send(wire.control({"type": "token", "token": fresh}))
        while former.controls("moderation")["moderates"]:
            pass
        trouble(scene, mod)
        former.settle()


def test_a_moderator_whose_token_was_revoked_listens_on(scene: Scene) -> None:
    scene.said_elsewhere = True
    user = f"revoked-{scene.page}"
    with (
        scene.attack(),
        watching(scene, "mod", "moderator") as mod,
        watching(scene, user, "moderator") as former,
    ):
        scene.raws.append(former)
        assert told(former)["moderates"] is True
        scene.arena.server.command("revoke", scene.tenant, "--user", user)
        assert former.closed() == 4401
        trouble(scene, mod)


def test_who_becomes_a_moderator_is_told_from_then_on(scene: Scene) -> None:
    """The other side of it: the power comes with the next frame, by hand and by a fresh token."""
    scene.said_elsewhere = True
    with scene.attack():
        flag(scene, "bob")
        with watching(scene, "eve", "editor") as eve:
            fresh = token(scene.tenant, "eve", role="moderator")
            eve.send(wire.control({"type": "token", "token": fresh}))
            assert told(eve, flags=1)["flags"][0]["user"] == "bob"


def test_a_stock_provider_with_one_handler_is_told_what_moderators_see(scene: Scene) -> None:
    """As the demo does it: y-websocket, `caps=moderation.1`, a handler for messages of type 100."""
    scene.said_elsewhere = True
    with scene.attack():
        mod = scene.person("mod", role="moderator", params={
            "token": token(scene.tenant, "mod", role="moderator"), "caps": "moderation.1",
        })  # fmt: skip
        scene.others.remove(mod)
        nothing = {"flags": 0, "hidden": 0, "closed": 0, "rulings": 0}
        mod.wait(control={"moderates": True, "counts": nothing})
        flag(scene, "bob")
        mod.wait(control={"counts": nothing | {"flags": 1}})
        at = NOW + 1
        mod.transact([("set", "closed", "page", {"by": "mod", "at": at, "closed": True})])
        closing = {"entity": "page", "by": "mod", "at": at, "reason": ""}
        standing = nothing | {"flags": 1, "closed": 1, "rulings": 1}
        mod.wait(control={"counts": standing, "closed": [closing]})
        mod.transact([("delete", "closed", "page")])
        mod.wait(control={"counts": nothing | {"flags": 1, "rulings": 2}, "closed": []})
        latest = mod.controls()[-1]["rulings"]
        assert [(each["action"], each["entity"], each["by"], each["reason"]) for each in latest] == [
            ("reopen", "page", "mod", ""), ("close", "page", "mod", ""),
        ]  # fmt: skip
        for browser in (scene.ada, scene.bob, scene.eve):
            browser.wait(lacks=[("closed", "page")])
        assert {frame["type"] for frame in mod.controls()} == {"moderation"}
        mod.drop()
