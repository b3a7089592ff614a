"""The outbox: bounded for increments, never for what must arrive."""

from crdt_chat.protocol.outbox import Outbox


def drain(outbox: Outbox) -> list[bytes]:
    frames = []
    while (frame := outbox.pop()) is not None:
        frames.append(frame)
    return frames


def test_increments_wait_for_the_step_2() -> None:
    outbox = Outbox(100)
    outbox.increment(b"early", 3)
    outbox.state(b"state", 3)
    outbox.increment(b"later", 4)
    assert drain(outbox) == [b"state", b"later"]
    assert outbox.seq == 4


def test_a_slow_reader_lags_instead_of_growing() -> None:
    outbox = Outbox(100)
    outbox.state(b"s" * 500, 1)
    for seq in range(2, 1000):
        outbox.increment(b"x" * 40, seq)
    assert outbox.lagging
    assert outbox.size == 500
    assert outbox.seq == 1
    assert not outbox.behind()
    drain(outbox)
    assert outbox.behind()
    outbox.state(b"merged", 999)
    assert not outbox.lagging
    outbox.increment(b"next", 1000)
    assert drain(outbox) == [b"merged", b"next"]


def test_one_increment_larger_than_the_limit_still_goes_out() -> None:
    outbox = Outbox(10)
    outbox.state(b"", 0)
    drain(outbox)
    outbox.increment(b"x" * 50, 1)
    assert not outbox.lagging
    assert drain(outbox) == [b"x" * 50]


def test_presence_over_the_limit_is_replaced_by_all_states_later() -> None:
    outbox = Outbox(10)
    outbox.push(b"x" * 20)
    outbox.presence(b"someone came")
    assert outbox.stale_presence
    assert outbox.size == 20
    drain(outbox)
    assert outbox.behind()


def test_frames_that_must_arrive_are_kept_beyond_the_limit() -> None:
    outbox = Outbox(10)
    outbox.push(b"x" * 20)
    outbox.push(b"y" * 20)
    assert drain(outbox) == [b"x" * 20, b"y" * 20]
    assert outbox.size == 0


def test_what_is_forgotten_is_not_sent_and_weighs_nothing():
    outbox = Outbox(100)
    outbox.push(b"a secret")
    outbox.clear()
    assert outbox.pop() is None
    assert outbox.size == 0
    outbox.push(b"the last word")
    assert outbox.pop() == b"the last word"


def test_increments_wait_again_where_the_step_2_was_forgotten() -> None:
    outbox = Outbox(100)
    outbox.state(b"state of the old epoch", 3)
    outbox.clear()
    outbox.increment(b"of the new epoch", 4)
    assert drain(outbox) == []
