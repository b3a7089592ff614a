"""What connections share: places for large messages, memory for states, sockets of an address."""

import anyio
import pytest

from crdt_chat.errors import TryLater
from crdt_chat.identity import Grant, Role
from crdt_chat.protocol.outbox import Outbox
from crdt_chat.server.addresses import Addresses
from crdt_chat.server.channel import binary_frame
from crdt_chat.server.intake import Intake
from crdt_chat.server.peer import LARGE_STATE, Peer
from crdt_chat.server.services import StateShare

pytestmark = pytest.mark.anyio
GRANT = Grant("t", "ada", "Ada", Role.EDITOR)


class Comer:
    """A connection at the intake."""

    def __init__(self) -> None:
        self.reads = False

    def proceed(self) -> None:
        self.reads = True


def test_large_messages_take_turns_in_the_order_in_which_they_came() -> None:
    intake = Intake(40, 16, patience_s=1)
    comers = [Comer() for _ in range(5)]
    assert [intake.enter(comer) for comer in comers] == [True, True, False, False, False]
    intake.forget(comers[2])
    intake.leave()
    assert [comer.reads for comer in comers] == [False, False, False, True, False]
    intake.leave()
    assert comers[4].reads
    intake.leave()
    intake.leave()
    assert intake.enter(Comer())
    assert intake.enter(Comer())
    assert not intake.enter(Comer())


def test_a_share_below_one_message_still_takes_one() -> None:
    assert Intake(1, 16, patience_s=1).enter(Comer())


async def test_joiners_wait_while_too_many_states_are_on_their_way() -> None:
    share = StateShare(LARGE_STATE)
    peer = Peer(1, GRANT, Outbox(1), states=share)
    await share.wait()
    peer.state(binary_frame(b"x" * LARGE_STATE), 1)
    came = []

    async def join(number: int) -> None:
        await share.wait()
        came.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(join, number)
        await anyio.wait_all_tasks_blocked()
        assert came == []
        peer.unload()
    assert sorted(came) == [0, 1, 2]
    assert share.bytes == 0


async def test_small_states_are_not_counted() -> None:
    share = StateShare(1)
    peer = Peer(1, GRANT, Outbox(1), states=share)
    peer.state(binary_frame(b"x" * (LARGE_STATE - 20)), 1)
    await share.wait()


async def test_who_takes_a_large_frame_slowly_is_not_stuck() -> None:
    left = [1_000_000]
    peer = Peer(1, GRANT, Outbox(1), backlog=lambda: left[0])
    peer.sending_since = 0.0
    for now in range(1, 300):
        left[0] -= 1_000
        assert not peer.stuck(float(now), 60)
    assert not peer.stuck(359.0, 60)
    assert peer.stuck(360.0, 60)


def test_the_sockets_of_an_address_are_counted_while_they_are_open() -> None:
    addresses, scope = Addresses(1), {"client": ("192.0.2.1", 5)}
    with addresses.counted(scope):
        addresses.check(scope)
        with addresses.counted(scope):
            with pytest.raises(TryLater):
                addresses.check(scope)
            addresses.check({"client": ("192.0.2.2", 5)})
        addresses.check(scope)
