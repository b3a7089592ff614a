"""Refusals, resets, new epochs and closes: what of ones own is written again, and when it ends."""

import pytest
from desk import Desk, entity

from crdt_chat.client.errors import Refused
from crdt_chat.client.gestures import Passage
from crdt_chat.client.peer import MOST_RESETS
from crdt_chat.client.replica import Replica
from crdt_chat.errors import Forbidden, Malformed, NotFound, Unauthorized
from crdt_chat.protocol import wire


@pytest.fixture
def desk() -> Desk:
    return Desk()


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
