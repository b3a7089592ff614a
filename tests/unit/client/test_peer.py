"""The peer against a server made of frames: what it sends, what it keeps, and how it starts anew."""

from itertools import count
from typing import Any

import pytest

from crdt_chat.client.author import Author
from crdt_chat.client.errors import Refused
from crdt_chat.client.gestures import Passage
from crdt_chat.client.model import Event, User
from crdt_chat.client.peer import MOST_RESETS, Peer
from crdt_chat.client.replica import Operation, Replica, merged
from crdt_chat.client.session import UNLIMITED
from crdt_chat.errors import Forbidden, Malformed, NotFound, Unauthorized
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import wire

ADA = User("ada", "Ada")


class Desk:
    """A peer, its author and the server's end of its connection, which tests play by hand."""

    def __init__(self, replica: Replica | None = None) -> None:
        times, ids = count(1), count(1)
        self.peer = Peer(ADA, lambda: None)
        self.author = Author(self.peer, lambda: next(times), lambda: f"id{next(ids)}")
        self.server = replica or Replica()
        self.told: list[Event] = []
        self.peer.listen(self.told.append)
        self.sent: list[wire.Message] = []

    def connect(self, *, hello: bool = True, epoch: int = 7, sync: bool = True) -> None:
        """Open a connection and shake hands."""
        self.peer.connected()
        if hello:
            self.control({"type": "hello", "epoch": epoch, "user": "ada", "role": "editor"})
        if sync:
            self.say(wire.step1(self.server.state_vector()))
            self.say(wire.step2(self.server.diff(self.peer.session.replica.state_vector())))
        self.read()

    def say(self, frame: bytes) -> bool:
        """The server says something. False where the peer ends the connection."""
        return self.peer.receive(frame)

    def control(self, body: dict[str, Any]) -> bool:
        """The server sends a control frame."""
        return self.say(wire.control(body))

    def read(self) -> list[wire.Message]:
        """What the peer has sent since the last time; updates are applied at the server."""
        assert self.peer.session is not None
        messages = [wire.decode(frame) for frame in self.peer.session.outgoing]
        self.peer.session.outgoing.clear()
        for message in messages:
            if isinstance(message, wire.SyncStep2 | wire.Update):
                self.server.apply(message.update)
        self.sent += messages
        return messages

    def others_write(self, *operations: Operation) -> None:
        """Somebody else changes the page."""
        self.say(wire.update(self.server.write(operations)[0]))

    def annotate(self, text: str) -> str:
        """A new annotation of ours; its id."""
        return self.author.annotate(Passage(text), text).id

    def refuse(self, key: str, *, reset: bool = False, rule: str = "size") -> bool:
        """The server refuses one key."""
        operation = {"key": key, "rule": rule, "reason": "It is too long."}
        return self.control({"type": "refused", "reset": reset, "operations": [operation]})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def entity(creator: str = "bob", **more: Json) -> dict[str, Json]:
    return {"creator": creator, "created": 1, "target": {}, **more}


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


def test_a_refusal_is_told_once_with_the_text_that_was_refused(desk: Desk) -> None:
    desk.connect()
    thread = desk.author.annotate(Passage("quote"), "x" * 20_000)  # its limit is not known here
    name = thread.comments[0].name
    assert desk.refuse(f"comments/{name}")
    refused = desk.peer.take_refusals()
    assert isinstance(refused, Refused)
    assert (refused.key, refused.rule) == (f"comments/{name}", "size")
    assert refused.reason == "It is too long."
    assert refused.value["body"] == "x" * 20_000
    assert desk.peer.take_refusals() is None
    assert [event.type for event in desk.told if event.type == "refused"] == ["refused"]
    # The annotation itself was fine, and is still on its way.
    assert len(desk.peer.unsaved) == 1


def test_after_a_reset_everything_but_the_refused_is_written_again_once(desk: Desk) -> None:
    desk.server.write([("annotations", "b1", entity())])
    desk.connect()
    good, bad = desk.annotate("good"), desk.annotate("bad")
    desk.peer.session.outgoing.clear()  # nothing of it reached the page
    first = desk.peer.replica
    assert not desk.refuse(f"annotations/{bad}", reset=True)
    assert desk.peer.disconnected(1000, "") == "at once"
    # Meanwhile the reader sees what she saw, and may write on.
    assert desk.peer.mirror.annotation("b1") is not None
    late = desk.annotate("late")
    desk.connect()
    assert desk.peer.replica is not first
    assert {item.id for item in desk.server.mirror.annotations()} == {"b1", good, late}
    assert desk.peer.mirror.annotation(bad) is None
    refused = desk.peer.take_refusals()
    assert refused is not None
    assert [item.rule for item in refused.refusals] == ["size", "unknown"]
    assert {key.partition("/")[0] for key in desk.server.mirror.roots["comments"]} == {good, late}
    assert desk.server.mirror.annotation(good) == desk.peer.mirror.annotation(good)
    desk.control({"type": "saved", "frames": 99})
    assert desk.peer.status == "synced"


def test_a_second_reset_gives_up_what_was_written_again(desk: Desk) -> None:
    desk.connect()
    thread = desk.annotate("unlucky")
    for _ in range(2):
        desk.peer.session.outgoing.clear()
        desk.peer.disconnected(4403, "start anew")
        desk.connect(sync=False)
        desk.say(wire.step1(desk.server.state_vector()))
        desk.say(wire.step2(desk.server.diff(desk.peer.session.replica.state_vector())))
    assert len(desk.peer.unsaved) == 0
    refused = desk.peer.take_refusals()
    assert refused is not None
    assert {item.rule for item in refused.refusals} == {"reset"}
    assert refused.refusals[0].key == f"annotations/{thread}"


def test_what_was_saved_before_a_reset_is_not_written_twice(desk: Desk) -> None:
    desk.connect()
    desk.annotate("saved, but not yet said so")
    desk.read()
    desk.peer.disconnected(4403, "start anew")
    desk.connect()
    assert len(desk.peer.unsaved) == 0
    assert isinstance(desk.sent[-1], wire.SyncStep2)


def test_what_somebody_deleted_meanwhile_is_not_written_again_after_a_reset(desk: Desk) -> None:
    desk.connect()
    thread = desk.annotate("mine")
    desk.read()
    desk.control({"type": "saved", "frames": 9})
    comment = desk.author.edit(desk.peer.mirror.annotations()[0].comments[0], "edited")
    desk.peer.session.outgoing.clear()
    desk.peer.disconnected(4403, "start anew")
    desk.server.write(
        [
            ("deleted", f"{comment.name}/eve", {"by": "eve", "at": 2}),
            ("comments", comment.name, None),
        ]
    )
    desk.connect()
    refused = desk.peer.take_refusals()
    assert refused is not None
    assert (refused.rule, refused.value["body"]) == ("deleted", "edited")
    assert desk.server.mirror.annotation(thread).comments == ()


def test_a_new_epoch_brings_back_ones_own_notes_that_the_page_has_lost(desk: Desk) -> None:
    desk.server.write([("annotations", "b1", entity()), ("annotations", "b2", entity())])
    desk.connect()
    kept, gone = desk.annotate("kept"), desk.annotate("deleted since")
    desk.read()
    desk.control({"type": "saved", "frames": 9})
    assert desk.peer.epoch == 7
    desk.peer.disconnected(4409, "the page was rewritten")
    assert desk.peer.epoch is None
    desk.server = Replica()
    desk.server.write([("annotations", "b1", entity()), ("deleted", f"{gone}/ada", {"by": "ada"})])
    desk.connect(epoch=8)
    assert {item.id for item in desk.server.mirror.annotations()} == {"b1", kept}
    assert (desk.peer.epoch, desk.peer.role) == (8, "editor")


@pytest.mark.parametrize(
    ("code", "fault"),
    [(4401, Unauthorized), (4404, NotFound), (4400, Malformed), (4477, Forbidden)],
)
def test_a_close_with_44xx_ends_it_for_good(desk: Desk, code: int, fault: type[Exception]) -> None:
    desk.connect()
    assert desk.peer.disconnected(code, "no, for a reason") == "never"
    assert type(desk.peer.fault) is fault
    assert "no, for a reason" in str(desk.peer.fault)
    assert desk.peer.status == "closed"


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 1013, 4529])
def test_any_other_close_is_retried(desk: Desk, code: int) -> None:
    desk.connect()
    assert desk.peer.disconnected(code, "") == "later"
    assert desk.peer.fault is None


def test_forbidden_at_the_door_is_for_good_and_not_a_reset(desk: Desk) -> None:
    desk.peer.connected()
    assert desk.peer.disconnected(4403, "not for you") == "never"


def test_a_server_that_resets_again_and_again_is_left(desk: Desk) -> None:
    answers = []
    for _ in range(MOST_RESETS + 1):
        desk.connect()
        answers.append(desk.peer.disconnected(4403, "start anew"))
    assert answers == ["at once"] * MOST_RESETS + ["never"]


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


def test_a_document_that_an_update_breaks_is_dropped(desk: Desk) -> None:
    from crdt_chat.client.replica import ReplicaBroken

    desk.connect()
    desk.annotate("mine")
    desk.read()
    with pytest.raises(ReplicaBroken):
        desk.say(wire.update(b"\x01\x02\x03"))
    desk.peer.broken()
    assert desk.peer.disconnected(1006, "") == "later"
    desk.connect()
    assert len(desk.peer.mirror.annotations()) == 1


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
