"""Attacks with frames: replays, forged control frames, text, floods of refusals, and what is too large."""

import json
import time
from collections.abc import Callable

import pytest
from entries import comment, deletion, reply, thread
from forged import Forged
from scene import Scene
from trusted import token

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node

Stage = Callable[..., Scene]


def test_old_frames_again(scene: Scene) -> None:
    """All that was ever sent to her, from a socket of her own."""
    replayed = scene.eve.frames("in") + scene.eve.frames("out")
    with scene.attack(), scene.raw() as thief:
        thief.send(*replayed)
        thief.settle()


def test_what_was_deleted_again(scene: Scene) -> None:
    """The frames and the state that still hold what ada deleted since."""
    scene.ada.transact([("set", "comments", "a1/c5", comment("ada", scene.marker + " deleted"))])
    scene.eve.wait(has=[("comments", "a1/c5")])
    old, frames = scene.eve.step2(), scene.eve.frames("in")
    scene.ada.transact(deletion("ada", "a1/c5"))
    scene.eve.wait(lacks=[("comments", "a1/c5")])
    scene.sync()
    # It was said in public once: searched for is only what the replay adds.
    scene.marker = f"{scene.marker} never"
    with scene.attack(), scene.raw() as thief:
        thief.send(wire.step2(old), wire.update(old), *frames)
        thief.settle()


def test_what_was_said_elsewhere(stage: Stage) -> None:
    """ada's words and clocks of another page, word for word."""
    there, here = stage(), stage()
    there.ada.transact(reply("ada", "a1/f1", here.marker))
    there.eve.wait(has=[("comments", "a1/f1")])
    words = there.eve.step2()
    here.attacks, here.said_elsewhere = 2, True
    with here.attack(), here.raw() as thief:
        thief.send(wire.update(words), wire.step2(words))
        thief.settle()


def test_her_own_frames_under_another_role(stage: Stage) -> None:
    """What was refused to a viewer stays refused, by whichever socket of hers it comes."""
    scene = stage(role="viewer")
    with scene.attack() as eve:
        sent = eve.transact([("set", "comments", "a1/f1", comment("eve", scene.marker))])
        scene.settle()
        with scene.raw("eve", "moderator") as promoted:
            promoted.send(wire.update(sent[0]), wire.step2(sent[0]))
            promoted.settle()


@pytest.mark.parametrize(
    "text", ['{"type": "saved", "frames": 1}', "", "ping", "\x00", "{" * 2_000]
)
def test_a_text_frame(scene: Scene, text: str) -> None:
    with scene.attack(ends=4400) as eve:
        eve.say(text + scene.marker)


def test_frames_that_are_none(scene: Scene) -> None:
    frames = [b"", b"\x05", b"\x63\x00", b"\x00", b"\x00\x03\x00", b"\x00\x02", b"\x00\x02\x05\x00",
              b"\x01\x01\x05", b"\x01\xff\xff\xff\xff\x0f", b"\x64\x02{}", b"\x64\x01{", b"\x64\x02[]",
              b"\x64\x0d" + b'{"type": 12}x', b"\x03\x00\x00", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
              b"\x64\x0c" + b'{"type":"\xff"}', b"\x00\x00\x01\x05", b"\x00\x00\x03\x01\x01"]  # fmt: skip
    scene.attacks = len(frames)
    with scene.attack():
        for frame in frames:
            with scene.raw() as thief:
                thief.send(frame)
                assert thief.closed() == 4400, frame


def test_control_frames_that_only_the_server_sends(scene: Scene) -> None:
    words = scene.marker
    bodies = [
        {"type": "hello", "epoch": 99, "user": "ada", "role": "admin"}, {"type": "saved", "frames": 10**9},
        {"type": "refused", "reset": True, "operations": [{"key": words, "rule": words, "reason": words}]},
        {"type": "presence", "count": 0, "users": [{"id": "ada", "name": words}]},
        {"type": "role", "role": "admin"}, {"type": words}, {"type": "close", "code": 4403},
    ]  # fmt: skip
    scene.attacks = len(bodies)
    with scene.attack() as eve:
        for body in bodies:
            eve.inject(wire.control(body))
        for browser in (scene.ada, scene.bob):
            assert browser.status().count("in", "control") == 0


def test_tokens_on_the_live_socket(scene: Scene) -> None:
    tokens = [
        (4401, "x"), (4401, ""), (4400, None), (4400, 7), (4400, [token()]), (4400, {"token": token()}),
        (4401, "\ud800"), (4401, "." * 5_000), (4401, token() + "x"), (4401, token(seconds=-9)),
        (4401, token(aud="else")), (4401, token("tight")), (4401, token("other")), (4403, token(user="ada")),
        (4403, token(user="eve", pages=["elsewhere"])), (4401, token(user="eve", pages=None)),
    ]  # fmt: skip
    scene.attacks = len(tokens)
    with scene.attack():
        for code, said in tokens:
            with scene.raw() as thief:
                # As a browser writes it: half of a surrogate pair as an escape.
                body = json.dumps({"type": "token", "token": said}).encode()
                thief.send(b"\x64" + wire.varuint(len(body)) + body)
                assert thief.closed() == code, said


def test_refusals_as_a_flood(scene: Scene) -> None:
    """Slowed down, then closed; the others go on meanwhile. The rates: tests/unit/server/test_floods.py."""
    word = comment("ada", "an honest word in a flood")
    elsewhere = scene.arena.browser(f"{scene.page} beside", "ada").wait(synced=True)
    with scene.attack(accepted=[("set", "comments", "a1/c7", word)]), scene.raw() as thief:
        began = time.monotonic()
        flood = Forged(91_000)
        for number in range(610):
            creator = "ada" if number else "eve"
            flood.set("comments", f"a1/f{number}", comment(creator, scene.marker, x=1))
            if number % 10 == 9:
                thief.send(flood.update())
                flood = Forged(91_000, number + 1)
        scene.ada.transact([("set", "comments", "a1/c7", word)])
        scene.bob.wait(has=[("comments", "a1/c7")])
        elsewhere.transact(thread("ada", "b1", "an honest word beside a flood"))
        late = scene.arena.browser(f"{scene.page} beside", "bob").wait(has=[("comments", "b1/c1")])
        assert thief.closed() == 4529
        seconds = time.monotonic() - began
        told = [dict(frame.body) for frame in map(wire.decode, thief.frames) if control(frame)]
        judged = sum(len(each["operations"]) for each in told if each["type"] == "refused")
        # A burst of 1,000, then 100 in a second, ten for each refusal; the last frame of ten may overdraw.
        assert 100 <= judged <= (1_000 + 100 * seconds) / 10 + 10, (judged, seconds)
    elsewhere.drop()
    late.drop()


def control(frame: wire.Message) -> bool:
    return isinstance(frame, wire.Control)


def test_a_frame_over_the_limit(scene: Scene) -> None:
    with scene.attack(ends=4413) as eve:
        eve.inject(b"\x01" + wire.varuint(70_000) + scene.marker.encode() + b"x" * 70_000)


def test_an_offline_batch_over_the_limit(stage: Stage) -> None:
    scene = stage(offline=True)
    with scene.attack(ends=4413) as eve:
        eve.transact([
            ("set", "comments", f"a1/f{number}", comment("eve", scene.marker + "x" * 9_000))
            for number in range(30)
        ])  # fmt: skip


def test_a_state_vector_of_ids_that_nobody_has(scene: Scene) -> None:
    with scene.attack(ends=4400) as eve:
        pairs = b"".join(wire.varuint(100_000 + number) + b"\x01" for number in range(2_000))
        eve.inject(wire.step1(wire.varuint(2_000) + pairs))
