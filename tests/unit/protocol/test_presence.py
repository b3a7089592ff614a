"""Presence below the I/O line: counts, bound ids, stamped clocks, injected users."""

import json

import pytest

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.protocol import wire
from crdt_chat.protocol.presence import Presence

ADA = Grant("t", "ada", "Ada L.", Role.EDITOR)
BOB = Grant("t", "bob", "Bob", Role.EDITOR, avatar="https://example.org/b.png")


def entry(client: int, state: object, clock: int = 1) -> wire.AwarenessEntry:
    return wire.AwarenessEntry(client, clock, json.dumps(state))


def read(encoded: bytes | None) -> wire.AwarenessEntry:
    assert encoded is not None
    message = wire.decode(wire.awareness_of([encoded]))
    assert isinstance(message, wire.Awareness)
    return message.entries[0]


def test_several_tabs_of_one_user_are_one_user() -> None:
    presence = Presence()
    assert presence.join(1, ADA) is True
    assert presence.join(2, ADA) is False
    assert presence.join(3, BOB) is True
    assert presence.count == 2
    assert [(user.id, user.tabs) for user in presence.users()] == [("ada", 2), ("bob", 1)]
    assert presence.leave(1, 0)[0] is False
    assert presence.leave(2, 0)[0] is True
    assert presence.count == 1


def test_the_user_in_a_state_is_the_grants() -> None:
    presence = Presence()
    presence.join(1, BOB)
    presence.bind(1, 77)
    said = {"user": {"name": "Ada", "id": "ada", "color": "#123456", "x": 1}, "typing": True}
    state = json.loads(read(presence.accept(1, [entry(77, said)], 5)).state)
    assert state == {
        "user": {"id": "bob", "name": "Bob", "avatar": BOB.avatar, "color": "#123456"},
        "typing": True,
    }


@pytest.mark.parametrize(
    ("color", "kept"),
    [("#123456", True), ("#12345680", True), ("rebeccapurple", True), ("rgb(1, 2, 3)", True), ("#abc", True),
     ("hsl(120deg 75% 25% / 60%)", True), ("hsla(120, 75%, 25%, .5)", True), ("oklch(40% .2 .9)", True),
     ("url(//evil.example/1)", False), ("red;}</style><script>", False), ("var(--x)", False), ("", False),
     ("red;position:fixed", False), ('red" onclick="x()', False), ("image(a)", False), ("red\n", False),
     ("expression(alert(1))", False), ("rgb(url(a))", False), ("\\75rl(a)", False), (["red"], False)],
)  # fmt: skip
def test_a_color_is_a_color_and_no_other_css(color: object, kept: bool) -> None:
    """y-prosemirror and y-codemirror write it into the style of their readers' cursors."""
    presence = Presence()
    presence.join(1, BOB)
    presence.bind(1, 77)
    said = {"user": {"color": color, "colorLight": color}}
    shown = json.loads(read(presence.accept(1, [entry(77, said)], 5)).state)["user"]
    assert (shown.get("color"), shown.get("colorLight")) == ((color,) * 2 if kept else (None,) * 2)


def test_states_of_foreign_ids_are_dropped_silently() -> None:
    presence = Presence()
    presence.join(1, ADA)
    presence.join(2, BOB)
    presence.bind(1, 11)
    presence.bind(2, 22)
    assert presence.accept(2, [entry(11, None)], 5) is None
    assert presence.accept(1, [entry(11, {"a": 1})], 6) is not None
    assert presence.accept(2, [entry(11, {"a": 2})], 7) is None
    assert presence.states(2) is not None


def test_the_clock_always_rises_and_ignores_the_peers() -> None:
    presence = Presence()
    presence.join(1, ADA)
    presence.bind(1, 11)
    first = read(presence.accept(1, [entry(11, {"a": 1}, clock=2**53 - 1)], 1000))
    second = read(presence.accept(1, [entry(11, {"a": 2}, clock=0)], 1000))
    left = read(presence.leave(1, 900)[1])
    assert first.clock < second.clock < left.clock < 2000
    assert left.state == "null"


def test_an_unchanged_state_is_not_forwarded() -> None:
    presence = Presence()
    presence.join(1, ADA)
    presence.bind(1, 11)
    assert presence.accept(1, [entry(11, {"a": 1})], 1) is not None
    assert presence.accept(1, [entry(11, {"a": 1}, clock=9)], 2) is None


def test_a_quick_reconnect_of_one_client_is_not_a_leave() -> None:
    presence = Presence()
    presence.join(1, ADA)
    presence.bind(1, 11)
    presence.accept(1, [entry(11, {"a": 1})], 1)
    presence.join(2, ADA)
    presence.bind(2, 11)
    presence.accept(2, [entry(11, {"a": 1})], 2)
    assert presence.leave(1, 3) == (False, None)
    assert presence.states(9) is not None


def test_newcomers_get_all_states_but_their_own() -> None:
    presence = Presence()
    for number, grant in ((1, ADA), (2, BOB)):
        presence.join(number, grant)
        presence.bind(number, number * 11)
        presence.accept(number, [entry(number * 11, {})], 1)
    frame = presence.states(1)
    assert frame is not None
    message = wire.decode(frame)
    assert isinstance(message, wire.Awareness)
    assert [item.client for item in message.entries] == [22]


def test_states_too_large_are_dropped_and_bad_ones_malformed() -> None:
    presence = Presence()
    presence.join(1, ADA)
    presence.bind(1, 11)
    assert presence.accept(1, [entry(11, {"a": "x" * 5000})], 1) is None
    for text in ("{", "[1]", "7", '"x"'):
        with pytest.raises(Malformed):
            presence.accept(1, [wire.AwarenessEntry(11, 1, text)], 1)


@pytest.mark.parametrize(
    "word",
    ["NaN", "-Infinity", "1e999", '"\\ud800"', "[" * 17 + "]" * 17, "[" * 2_000 + "]" * 2_000],
)
def test_a_state_that_would_break_every_readers_parser_is_malformed(word: str) -> None:
    presence = Presence(64 * 1024)
    presence.join(1, ADA)
    presence.bind(1, 11)
    with pytest.raises(Malformed):
        presence.accept(1, [wire.AwarenessEntry(11, 1, f'{{"word": {word}}}')], 5)
