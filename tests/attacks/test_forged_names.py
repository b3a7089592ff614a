"""Attacks with somebody else's name: in `creator`, in `by`, in the name of an entry; and with false times."""

import time
from collections.abc import Callable

import pytest
from contents import Json
from entries import NOW, annotation, comment
from scene import Scene

pytestmark = pytest.mark.node


def entry(user: str, **more: object) -> dict[str, object]:
    return {"by": user, "at": NOW, **more}


def test_a_comment_in_somebodys_name(both: Scene) -> None:
    with both.attack() as eve:
        eve.transact([("set", "comments", "a1/f1", comment("ada", both.marker))])


def test_a_thread_in_somebodys_name(both: Scene) -> None:
    with both.attack() as eve:
        eve.transact([
            ("set", "annotations", "f1", annotation("ada", both.marker)),
            ("set", "comments", "f1/c1", comment("ada", both.marker)),
        ])  # fmt: skip


def test_a_thread_in_somebodys_name_with_her_own_answer(both: Scene) -> None:
    with both.attack() as eve:
        eve.transact([
            ("set", "annotations", "f1", annotation("ada", both.marker)),
            ("set", "comments", "f1/c1", comment("eve", both.marker)),
            ("set", "reactions", "f1/c1/👍/eve", {"at": NOW, "broadcastId": both.marker}),
        ])  # fmt: skip


LOOKALIKES = ("Eve", "eve ", "\u0435ve", "eve\u200b", "mod", "x" * 255)
NO_NAMES: tuple[Json, ...] = (
    "",
    "x" * 256,
    "a\nb",
    "a\x00b",
    7,
    None,
    ["eve"],
    {"id": "eve"},
    True,
)


def test_creators_that_look_like_her_or_are_none(both: Scene) -> None:
    names = (*LOOKALIKES, *NO_NAMES)
    both.attacks = len(names)
    with both.attack() as eve:
        for number, name in enumerate(names):
            value = comment("eve", both.marker) | {"creator": name}
            eve.transact([("set", "comments", f"a1/f{number}", value)])


def test_a_reaction_in_somebodys_name(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        value = {"at": NOW, "broadcastId": both.marker}
        eve.transact([("set", "reactions", "a1/c1/🎉/ada", value)])


def test_reactions_in_other_names_below_her_own_comment(both: Scene) -> None:
    names = ("ada", "%61da", "%65ve", "EVE", "e%76e")
    both.attacks = len(names)
    with both.attack() as eve:
        for name in names:
            value = {"at": NOW, "broadcastId": both.marker}
            eve.transact([("set", "reactions", f"e1/c1/🎉/{name}", value)])


def test_a_deletion_of_her_own_words_in_anothers_name(both: Scene) -> None:
    with both.attack() as eve:
        said = entry("ada", broadcastId=both.marker)
        eve.transact([("set", "deleted", "e1/c1/eve", said), ("delete", "comments", "e1/c1")])


def test_a_deletion_entry_under_anothers_name_on_her_own_words(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        said = entry("mod", broadcastId=both.marker)
        eve.transact([("set", "deleted", "e1/c1/mod", said)])


def test_a_time_in_the_future(both: Scene) -> None:
    ahead = int(time.time() * 1000) + 6 * 60 * 1000
    with both.attack() as eve:
        eve.transact([
            ("set", "comments", "a1/f1", comment("eve", both.marker) | {"created": ahead}),
            ("set", "annotations", "f1", annotation("eve", both.marker) | {"created": ahead}),
        ])  # fmt: skip


def test_any_past_will_do(scene: Scene) -> None:
    old = comment("eve", "long ago") | {"created": 0}
    with scene.attack(accepted=[("set", "comments", "a1/f1", old)]) as eve:
        eve.transact([("set", "comments", "a1/f1", old)])


def test_an_id_that_somebody_else_took_meanwhile(stage: Callable[..., Scene]) -> None:
    # If hers is to the right her replica has lost bob's for ever; else it has never shown hers.
    scene = stage(offline=True)
    ends = 4403 if scene.eve.client > scene.bob.client else "equal"
    mine = comment("bob", "he was first")
    with scene.attack(ends, accepted=[("set", "comments", "a1/f1", mine)]) as eve:
        eve.transact([("set", "comments", "a1/f1", comment("eve", scene.marker))])
        scene.bob.transact([("set", "comments", "a1/f1", mine)])
        scene.ada.wait(has=[("comments", "a1/f1")])
