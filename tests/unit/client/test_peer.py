"""One peer without a socket: what it sends, when it counts as saved, and what it tells of others."""

from typing import Any

import pytest
from desk import ADA, Desk, entity

from crdt_chat.client.errors import Refused
from crdt_chat.client.gestures import Passage
from crdt_chat.client.model import User
from crdt_chat.client.replica import Replica, merged
from crdt_chat.client.session import UNLIMITED
from crdt_chat.protocol import wire


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_it_names_its_client_id_first_and_answers_step_1_with_all_it_has(desk: Desk) -> None:
    thread = desk.annotate("offline")
    desk.connect()
    awareness, ask, answer = desk.sent
    assert isinstance(awareness, wire.Awareness)
    assert [entry.client for entry in awareness.entries] == [desk.peer.replica.client]
    assert isinstance(ask, wire.SyncStep1)
    assert isinstance(answer, wire.SyncStep2)
    assert desk.server.mirror.annotation(thread) is not None


def test_nothing_is_sent_before_the_servers_step_1(desk: Desk) -> None:
    desk.connect(sync=False)
    desk.annotate("early")
    assert desk.read() == []
    desk.say(wire.step1(desk.server.state_vector()))
    assert [type(message) for message in desk.read()] == [wire.SyncStep2]
    assert len(desk.server.mirror.annotations()) == 1


def test_increments_that_come_before_the_state_wait_for_it(desk: Desk) -> None:
    desk.server.write([("annotations", "a1", entity())])
    desk.connect(sync=False)
    vector = desk.peer.replica.state_vector()
    state = desk.server.diff(vector)
    desk.others_write(("annotations", "a2", entity()))
    assert desk.peer.mirror.annotations() == []
    desk.say(wire.step2(state))
    assert {item.id for item in desk.peer.mirror.annotations()} == {"a1", "a2"}


def test_one_gesture_is_one_frame_and_it_is_saved_when_the_server_says_so(desk: Desk) -> None:
    desk.connect()
    assert desk.peer.status == "synced"
    desk.annotate("one")
    desk.annotate("two")
    assert [type(message) for message in desk.read()] == [wire.Update, wire.Update]
    assert (desk.peer.status, len(desk.peer.unsaved)) == ("online", 4)
    desk.control({"type": "saved", "frames": 2})  # the empty step 2 was the first frame
    assert (desk.peer.status, len(desk.peer.unsaved)) == ("online", 2)
    desk.control({"type": "saved", "frames": 3})
    assert desk.peer.status == "synced"


def test_a_write_over_an_unsaved_one_is_saved_with_the_second_frame(desk: Desk) -> None:
    desk.connect()
    thread = desk.annotate("one")
    desk.author.resolve(thread, resolved=True)
    desk.author.resolve(thread, resolved=False)
    desk.read()
    desk.control({"type": "saved", "frames": 3})
    assert len(desk.peer.unsaved) == 1


def test_what_was_sent_and_not_saved_is_sent_again_on_the_next_connection(desk: Desk) -> None:
    desk.connect()
    desk.annotate("lost on the way")
    assert desk.peer.disconnected(1006, "") == "later"
    assert desk.peer.status == "offline"
    desk.server = Replica()  # it never arrived
    desk.connect()
    assert len(desk.server.mirror.annotations()) == 1
    desk.control({"type": "saved", "frames": 1})
    assert desk.peer.status == "synced"


def test_a_server_without_control_frames_has_saved_what_came_before_a_question(desk: Desk) -> None:
    desk.connect(hello=False)
    desk.annotate("one")
    assert desk.peer.session is not None
    number = desk.peer.session.ask()
    desk.annotate("two")
    desk.say(wire.step2(desk.server.diff(desk.server.state_vector())))
    assert desk.peer.session.answered == number
    assert len(desk.peer.unsaved) == 2


def test_taking_back_what_is_not_there_is_nothing_to_send(desk: Desk) -> None:
    desk.connect()
    comment = desk.author.annotate(Passage("quote"), "why?").comments[0]
    desk.read()
    desk.control({"type": "saved", "frames": 2})
    desk.author.react(comment, "👍", on=False)
    assert (desk.read(), desk.peer.status) == ([], "synced")


def test_a_batch_leaves_as_one_update(desk: Desk) -> None:
    desk.connect()
    with desk.author.batch():
        thread = desk.annotate("one")
        desk.author.reply(thread, "two")
        assert desk.read() == []
    assert [type(message) for message in desk.read()] == [wire.Update]
    (found,) = desk.server.mirror.annotations()
    assert [comment.body for comment in found.comments] == ["one", "two"]


def test_a_batch_over_the_servers_frame_limit_leaves_in_parts(desk: Desk) -> None:
    desk.connect(hello=False)
    desk.control({"type": "hello", "epoch": 1, "role": "editor", "limits": {"frame": 4000}})
    with desk.author.batch():
        for number in range(20):
            desk.annotate(str(number))
    frames = [bytes(message.update) for message in desk.read()]
    assert len(frames) > 1
    assert all(len(frame) < 4000 for frame in frames)
    assert len(desk.server.mirror.annotations()) == 20


def test_a_batch_that_begins_offline_is_merged_at_the_connection(desk: Desk) -> None:
    with desk.author.batch():
        thread = desk.annotate("one")
        desk.connect()
        desk.author.reply(thread, "two")
    desk.read()
    (found,) = desk.server.mirror.annotations()
    assert [comment.body for comment in found.comments] == ["one", "two"]


def test_events_tell_what_others_did_and_not_what_was_there_before(desk: Desk) -> None:
    desk.server.write([("annotations", "b0", entity(broadcastId="old"))])
    desk.connect()
    desk.annotate("mine")
    desk.others_write(
        ("annotations", "b1", entity(broadcastId="g1")),
        ("comments", "b1/c1", entity(body="hi", broadcastId="g1")),
    )
    desk.others_write(("resolved", "b1", {"by": "b", "resolved": True, "broadcastId": "g2"}))
    desk.others_write(
        ("deleted", "b1/bob", {"by": "bob", "at": 2, "broadcastId": "g3"}),
        ("annotations", "b1", None),
        ("comments", "b1/c1", None),
    )
    chat = [event for event in desk.told if event.type.endswith("text-chat")]
    assert [(event.type, event.annotation_id, event.broadcast_id) for event in chat] == [
        ("new-text-chat", "b1", "g1"),
        ("updated-text-chat", "b1", "g2"),
        ("deleted-text-chat", "b1", "g3"),
    ]
    assert chat[0].annotation is not None
    assert chat[0].annotation.body == "hi"
    assert chat[2].annotation is None


def test_gestures_of_one_frame_are_told_apart_and_in_order(desk: Desk) -> None:
    desk.connect()
    first = desk.server.write(
        [("resolved", "b1", {"by": "b", "resolved": True, "broadcastId": "g2"})]
    )
    second = desk.server.write([("annotations", "b1", entity(broadcastId="g1"))])
    desk.say(wire.update(merged([first[0], second[0]])))
    assert [(event.type, event.broadcast_id) for event in desk.told if event.annotation_id] == [
        ("new-text-chat", "g1"),
        ("updated-text-chat", "g2"),
    ]


def test_what_changed_while_away_is_news(desk: Desk) -> None:
    desk.connect()
    desk.peer.disconnected(1006, "")
    desk.server.write([("annotations", "b1", entity(broadcastId="g1"))])
    desk.connect()
    assert [event.type for event in desk.told if event.annotation_id] == ["new-text-chat"]


def test_people_are_told_by_the_server_or_else_by_their_awareness(desk: Desk) -> None:
    desk.connect()
    people = [{"id": "ada", "name": "Ada", "tabs": 2}, {"id": "bob", "name": "Bob", "tabs": 1}]
    desk.control({"type": "presence", "count": 2, "users": people})
    assert desk.peer.users == (ADA, User("bob", "Bob"))
    desk.control({"type": "presence", "count": 60})
    assert (desk.peer.count, len(desk.peer.users)) == (60, 2)
    desk.peer.disconnected(1006, "")
    assert (desk.peer.count, desk.peer.users) == (0, ())

    desk.connect(hello=False)
    entries = [
        wire.AwarenessEntry(1, 1, '{"user":{"name":"Bob"}}'),
        wire.AwarenessEntry(2, 1, '{"user":{"id":"bob","name":"Bob"}}'),
        wire.AwarenessEntry(3, 1, '{"user":{"id":"ada","name":"Ada"}}'),
        wire.AwarenessEntry(4, 1, '{"cursor":1}'),
    ]
    desk.say(wire.awareness_of(wire.encode_entry(entry) for entry in entries))
    assert set(desk.peer.users) == {ADA, User("Bob", "Bob"), User("bob", "Bob")}
    gone = [wire.encode_entry(wire.AwarenessEntry(n, 2, "null")) for n in (1, 2)]
    desk.say(wire.awareness_of(gone))
    assert desk.peer.users == (ADA,)


def test_of_many_people_the_list_is_asked_for_when_the_page_opens(desk: Desk) -> None:
    desk.connect()
    assert not desk.peer.session.ready
    desk.control({"type": "presence", "count": 60})
    (question,) = desk.read()
    assert question == wire.Control({"type": "presence"})
    assert not desk.peer.session.ready
    desk.control({"type": "presence", "count": 2, "users": [{"id": "x", "name": "X"}]})
    assert desk.peer.session.ready
    desk.peer.session.ask_people()
    assert desk.read() == []
    desk.control({"type": "presence", "count": 61})
    assert desk.read() == []  # not at every change: only when somebody wants to know
    desk.peer.session.ask_people()
    assert len(desk.read()) == 1


def test_the_limits_that_the_server_states_hold_here_and_no_others(desk: Desk) -> None:
    desk.connect(hello=False)
    limits = {"frame": 1, "body": 5, "quote": True, "title": "long", "clock_ahead_ms": 1}
    desk.control({"type": "hello", "epoch": 1, "role": "editor", "limits": limits})
    assert (desk.peer.limits.body, desk.peer.limits.clock_ahead_ms) == (5, 1)
    assert desk.peer.limits.quote == desk.peer.limits.title == UNLIMITED.quote


@pytest.mark.parametrize(
    "body",
    [
        {"type": "saved"},
        {"type": "saved", "frames": "many"},
        {"type": "saved", "frames": float("nan")},
        {"type": "saved", "frames": 10**400},
        {"type": "presence", "count": float("inf"), "users": []},
        {"type": "refused"},
        {"type": "refused", "operations": [1, {}]},
        {"type": "presence", "users": [1, {}, {"id": 3}]},
        {"type": "hello"},
        {"type": "hello", "limits": [1]},
        {"type": "something of the next version"},
    ],
)
def test_control_frames_of_another_version_do_no_harm(desk: Desk, body: dict[str, Any]) -> None:
    desk.connect()
    assert desk.control(body)
    desk.annotate("mine")
    assert len(desk.read()) == 1


def test_another_role_counts_from_the_moment_it_is_told(desk: Desk) -> None:
    desk.connect()
    desk.control({"type": "role", "role": "viewer"})
    with pytest.raises(Refused, match="viewer"):
        desk.annotate("not any more")
    assert not desk.peer.unsaved


def test_what_waits_for_a_moderator_is_known_until_she_is_none_any_more():
    desk = Desk()
    desk.connect()
    assert desk.peer.watched is None
    flags = [{"entity": "a1", "user": "bob", "at": 1, "reason": "spam"}]
    told = {
        "counts": {"flags": 1, "hidden": 0, "closed": 0, "rulings": 1},
        "flags": flags,
        "hidden": [],
        "closed": [],
        "rulings": [{"entity": "a1", "action": "unhide", "by": "mod", "at": 1, "reason": "fair"}],
    }
    desk.control({"type": "moderation", "moderates": True, **told})
    assert desk.peer.watched == told
    desk.control({"type": "moderation", "moderates": False})
    assert desk.peer.watched is None
    desk.control({"type": "moderation", "moderates": True, **told})
    desk.peer.disconnected(1006, "")
    assert desk.peer.watched is None
    news = [event.detail for event in desk.told if event.type == "moderation"]
    assert news == ["1", "0", "1", "0"]


@pytest.mark.parametrize("counts", [None, [], {}, {"flags": "many"}, {"flags": float("nan")}])
def test_counts_that_no_server_of_ours_sends_do_no_harm(counts):
    desk = Desk()
    desk.connect()
    desk.control({"type": "moderation", "moderates": True, "counts": counts})
    assert [event.detail for event in desk.told if event.type == "moderation"] == ["0"]
