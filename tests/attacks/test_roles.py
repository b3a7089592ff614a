"""Attacks by those who may not: viewers, commenters, editors as moderators, closed threads, full pages."""

from collections.abc import Callable

import httpx
import pytest
from entries import NOW, annotation, comment, deletion, reply, thread
from forged import Forged
from scene import Scene

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node

Stage = Callable[..., Scene]


def entry(user: str, **more: object) -> dict[str, object]:
    return {"by": user, "at": NOW, **more}


@pytest.fixture(params=["online", "offline"])
def offline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "offline")


@pytest.mark.parametrize("root", ["annotations", "comments"])
def test_a_viewer_writes(stage: Stage, offline: bool, root: str) -> None:
    scene = stage(offline=offline, role="viewer")
    value = (
        annotation("eve", scene.marker) if root == "annotations" else comment("eve", scene.marker)
    )
    with scene.attack() as eve:
        eve.transact([("set", root, "f1" if root == "annotations" else "a1/f1", value)])


def test_a_viewer_reacts(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, role="viewer")
    with scene.attack(ends=4403) as eve:
        value = {"at": NOW, "broadcastId": scene.marker}
        eve.transact([("set", "reactions", "a1/c1/👍/eve", value)])


def test_a_viewer_removes_and_resolves(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, role="viewer")
    with scene.attack(ends=4403) as eve:
        eve.transact([
            *deletion("eve", "a1"),
            ("set", "resolved", "a1", entry("eve", resolved=True, broadcastId=scene.marker)),
        ])  # fmt: skip


def test_a_commenter_starts_a_discussion(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, role="commenter")
    with scene.attack() as eve:
        eve.transact([
            ("set", "annotations", "f1", annotation("eve", scene.marker)),
            ("set", "comments", "f1/c1", comment("eve", scene.marker)),
        ])  # fmt: skip


def test_a_commenters_answer_stays_when_her_discussion_is_refused(stage: Stage) -> None:
    scene = stage(offline=True, role="commenter")
    good = reply("eve", "a1/g1", "a good answer")
    with scene.attack(accepted=good) as eve:
        eve.transact([*good, ("set", "annotations", "f1", annotation("eve", scene.marker))])


@pytest.mark.parametrize("name", ["page", "a1", "e1"])
@pytest.mark.parametrize("by", ["eve", "mod"])
def test_an_editor_closes(both: Scene, name: str, by: str) -> None:
    with both.attack(ends=4403) as eve:
        said = entry(by, closed=True, broadcastId=both.marker)
        eve.transact([("set", "closed", name, said)])


def test_an_editor_names_the_page(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("set", "page", "title", both.marker)])


def test_an_editor_resolves_and_deletes_as_a_moderator(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([
            ("set", "deleted", "a1/mod", entry("mod", broadcastId=both.marker)),
            ("delete", "annotations", "a1"),
            ("set", "resolved", "a1", entry("mod", resolved=True, broadcastId=both.marker)),
        ])  # fmt: skip


def test_a_moderator_writes_in_somebodys_name(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, role="moderator")
    with scene.attack() as eve:
        eve.transact([("set", "comments", "a1/f1", comment("ada", scene.marker))])


def test_a_moderator_puts_words_into_somebodys_mouth(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, role="moderator")
    with scene.attack(ends=4403) as eve:
        eve.transact([("set", "comments", "a1/c1", comment("ada", scene.marker))])


def shut(scene: Scene, name: str) -> None:
    mod = scene.person("mod", role="moderator")
    mod.transact([("set", "closed", name, entry("mod", closed=True))])
    for browser in (scene.eve, scene.ada):
        browser.wait(has=[("closed", name)])
    scene.sync()


@pytest.mark.parametrize("name", ["a1", "page"])
def test_speaking_where_it_is_closed(both: Scene, name: str) -> None:
    shut(both, name)
    edit = [("set", "comments", "a1/c1", comment("ada", "edits stay possible"))]
    with both.attack(honest=edit) as eve:
        eve.transact([("set", "comments", "a1/f1", comment("eve", both.marker))])
        value = {"at": NOW, "broadcastId": both.marker}
        eve.transact([("set", "reactions", "a1/c1/🎉/eve", value)])


def test_a_new_discussion_on_a_closed_page(both: Scene) -> None:
    shut(both, "page")
    edit = [("set", "comments", "a1/c1", comment("ada", "edits stay possible"))]
    with both.attack(honest=edit) as eve:
        eve.transact(thread("eve", "f1", both.marker))


def test_opening_what_a_moderator_closed(both: Scene) -> None:
    shut(both, "a1")
    edit = [("set", "comments", "a1/c1", comment("ada", "edits stay possible"))]
    with both.attack(ends=4403, honest=edit) as eve:
        eve.transact([("delete", "closed", "a1")])
        eve.transact([("set", "comments", "a1/f1", comment("eve", both.marker))])


def test_more_than_a_page_may_hold(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, tenant="tight")
    full = thread("eve", "f1", "the last")
    edit = [("set", "comments", "a1/c1", comment("ada", "edits stay possible"))]
    with scene.attack(accepted=full, honest=edit) as eve:
        eve.transact(full)
        eve.transact([("set", "annotations", "f2", annotation("eve", scene.marker))])
        eve.transact([("set", "comments", "a1/f2", comment("eve", scene.marker))])


def test_more_reactions_than_one_may_give(stage: Stage, offline: bool) -> None:
    scene = stage(offline=offline, tenant="tight")
    good = [("set", "reactions", f"a1/c1/{emoji}/eve", {"at": NOW}) for emoji in "🎉🦉"]
    with scene.attack(accepted=good) as eve:
        eve.transact(good)
        value = {"at": NOW, "broadcastId": scene.marker}
        eve.transact([("set", "reactions", "a1/c1/🐘/eve", value)])


def test_a_state_over_the_limit(stage: Stage) -> None:
    scene = stage(tenant="tight")
    big = comment("eve", "x" * 7_000)
    full = [("set", "comments", "e1/c1", big), ("set", "comments", "a1/f1", big)]
    with scene.attack(accepted=full, honest=[]) as eve:
        for operation in full:
            eve.transact([operation])
        eve.transact([("set", "comments", "e1/c1", big | {"body": scene.marker * 500})])


def test_a_role_that_was_lost_while_she_was_away(stage: Stage) -> None:
    """Her own words may not be edited any more: the replica that did it starts anew."""
    scene = stage(offline=True)
    server = scene.arena.server
    headers = {"authorization": f"Bearer {server.command('token', '--operator', 'grace')}"}
    role = f"{server.http}/api/v1/tenants/acme/roles/eve"
    with scene.attack(ends=4403) as eve:
        eve.transact([("set", "comments", "e1/c1", comment("eve", scene.marker))])
        assert httpx.put(role, headers=headers, json={"role": "viewer"}).status_code == 204
    assert httpx.delete(role, headers=headers).status_code == 204


def test_a_viewer_who_fills_the_page_with_clocks(stage: Stage) -> None:
    """Bare ones, under ids of nobody's: no joiner is ever told of them, and too many at once end a socket."""
    scene = stage(role="viewer")
    clocks = Forged(500_000)
    for number in range(1_000):
        clocks.at(500_000 + number, 0).gc(2**20)
    many = Forged(600_000)
    for number in range(3_000):
        many.at(600_000 + number, 0).gc(1)
    scene.attacks = 4
    with scene.attack(ends="free"):
        with scene.raw(role="viewer") as thief:
            thief.send(clocks.step2(), clocks.update())
            thief.settle()
        for frame in (many.step2(), many.update()):
            with scene.raw(role="viewer") as thief:
                thief.send(frame)
                assert thief.closed() == 4400
        with scene.raw("late", "viewer") as late:
            while not isinstance(message := late.read(), wire.SyncStep1):
                pass
            assert len(message.state_vector) < 200
