"""Attacks on awareness: others' ids, names, clocks, sizes, and states that no JSON parser reads."""

import json
from collections.abc import Callable

import pytest
from scene import Scene

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node


def said(client: int, clock: int, state: str) -> bytes:
    """An awareness frame of one entry; the state as it stands on the wire."""
    return wire.awareness_of([wire.encode_entry(wire.AwarenessEntry(client, clock, state))])


def everybody(scene: Scene) -> dict[int, str]:
    """Who is where, as bob sees it."""
    return {client: state["user"]["id"] for client, state in scene.bob.states().items()}


def test_speaking_for_another_client(scene: Scene) -> None:
    scene.attacks = 4
    with scene.attack() as eve:
        scene.bob.wait(states=3)
        before = everybody(scene)
        for state in (json.dumps({"word": scene.marker}), "null"):
            eve.inject(said(scene.ada.client, 2**50, state))
            eve.inject(said(scene.ada.client, 1, state))
        scene.settle()
        assert everybody(scene) == before


def test_a_frame_that_names_her_and_others(scene: Scene) -> None:
    with scene.attack() as eve:
        scene.bob.wait(states=3)
        before = everybody(scene)
        entries = [
            wire.AwarenessEntry(browser.client, 2**50, state)
            for browser in (scene.ada, scene.bob)
            for state in (json.dumps({"word": scene.marker}), "null")
        ]
        eve.inject(wire.awareness_of(map(wire.encode_entry, entries)))
        scene.settle()
        assert everybody(scene) == before


@pytest.mark.parametrize("user", [{"id": "ada"}, "ada", None, ["ada"], {"id": {"x": 1}}])
def test_another_users_name_in_her_state(scene: Scene, user: object) -> None:
    with scene.attack() as eve:
        eve.set_state({"user": user, "word": "hello"})
        scene.bob.wait(state=(eve.client, "word", "hello"))
        assert everybody(scene)[eve.client] == "eve"
        shown = scene.bob.states()[eve.client]["user"]
        assert shown == {"id": "eve", "name": "Eve"}


def test_forbidden_words_as_her_name_or_avatar(scene: Scene) -> None:
    with scene.attack() as eve:
        user = {"id": "eve", "name": scene.marker, "avatar": scene.marker, "x": scene.marker}
        eve.set_state({"user": user | {"color": [scene.marker], "colorLight": scene.marker * 9}})


def test_a_clock_that_jumps_to_the_end(scene: Scene) -> None:
    """Kept by others, it would make her a ghost who never leaves, or one nobody sees again."""
    with scene.attack() as eve:
        eve.inject(said(eve.client, 2**53 - 1, json.dumps({"word": "from the end"})))
        scene.bob.wait(state=(eve.client, "word", "from the end"))


def test_a_state_over_the_limit(scene: Scene) -> None:
    with scene.attack() as eve:
        eve.set_state({"word": scene.marker * 400})


HOSTILE = (
    '{"word": ' + "[" * 500 + "]" * 500 + "}",
    '{"word": NaN}', '{"word": Infinity}', '{"word": -Infinity}', '{"word": 1e999}', '{"word": [NaN]}',
    '{"word": "\\ud800"}', '{"\\udfff": 1}', '{"word": ["\\ud83d"]}',
)  # fmt: skip


def test_states_that_others_cannot_read(scene: Scene) -> None:
    """What breaks the parser of every reader, or the server's: each from a socket of its own."""
    scene.attacks = len(HOSTILE)
    with scene.attack():
        for number, state in enumerate(HOSTILE):
            with scene.raw() as thief:
                thief.send(said(90_000 + number, 1, '{"word": "hello"}'))
                thief.send(said(90_000 + number, 2, state[:-1] + f', "x": "{scene.marker}"}}'))
                assert thief.closed() == 4400, state
        for browser in (scene.ada, scene.bob):
            assert browser.status().closes == []


@pytest.mark.parametrize("word", ["[" * 9 + "]" * 9, "9" * 4_000, '"\\u0000\\u202e"'])
def test_states_that_are_only_odd(scene: Scene, word: str) -> None:
    with scene.attack() as eve:
        eve.inject(said(eve.client, 2, f'{{"word": {word}}}'))
        scene.settle()
        assert scene.bob.status().closes == []


@pytest.mark.parametrize("state", ["", "{", "[]", '"text"', "7", "true", "undefined", '{"a": 1} '])
def test_a_state_that_is_no_object(scene: Scene, state: str) -> None:
    good = state.endswith(" ")
    with scene.attack("equal" if good else 4400) as eve:
        eve.inject(said(eve.client, 2, state))


def test_many_states_at_once(stage: Callable[..., Scene]) -> None:
    """Only her own counts, and of many changes the newest."""
    scene = stage()
    with scene.attack() as eve:
        entries = [
            wire.AwarenessEntry(client, 9, json.dumps({"word": scene.marker}))
            for client in range(1_000, 1_500)
        ]
        eve.inject(wire.awareness_of(map(wire.encode_entry, entries)))
        for number in range(200):
            eve.inject(said(eve.client, 100 + number, json.dumps({"word": number})))
        scene.bob.wait(state=(eve.client, "word", 199))
        assert len(scene.bob.states()) == 3
