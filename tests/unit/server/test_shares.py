"""What connections share: places for large messages, memory for states, sockets of an address."""

import itertools
from dataclasses import replace

import anyio
import pytest

from crdt_chat.errors import TryLater
from crdt_chat.identity import Grant, Role
from crdt_chat.protocol.outbox import Outbox
from crdt_chat.server.rooms.peer import LARGE_STATE, Peer
from crdt_chat.server.rooms.services import StateShare
from crdt_chat.server.sockets.addresses import Addresses, place_of
from crdt_chat.server.sockets.channel import binary_frame
from crdt_chat.server.sockets.intake import Intake

pytestmark = pytest.mark.anyio
GRANT = Grant("t", "ada", "Ada", Role.EDITOR)


NUMBERS = itertools.count(1)


class Comer:
    """A connection at the intake; each of another user if nothing is said."""

    def __init__(self, tenant: str = "t", user: str = "") -> None:
        self.whose = tenant, user or f"user {next(NUMBERS)}"
        self.reads = False

    def proceed(self) -> None:
        self.reads = True


def test_large_messages_take_turns_in_the_order_in_which_they_came() -> None:
    intake = Intake(64, 16, patience_s=1)
    comers = [Comer() for _ in range(6)]
    assert [intake.enter(comer) for comer in comers] == [True, True, True, False, False, False]
    intake.forget(comers[3])
    intake.leave(comers[0])
    assert [comer.reads for comer in comers] == [False, False, False, False, True, False]
    intake.leave(comers[1])
    assert comers[5].reads
    intake.leave(comers[4])
    intake.leave(comers[5])
    assert intake.enter(Comer())
    assert intake.enter(Comer())
    assert not intake.enter(Comer())


def test_a_user_with_many_slow_messages_keeps_her_own_place_only() -> None:
    intake = Intake(64, 16, patience_s=1)
    hers = [Comer(user="eve") for _ in range(5)]
    assert [intake.enter(comer) for comer in hers] == [True, False, False, False, False]
    assert intake.enter(Comer(user="ada"))
    assert intake.enter(Comer(user="bob"))
    intake.leave(hers[0])
    assert [comer.reads for comer in hers] == [False, True, False, False, False]


def test_a_tenant_full_of_slow_users_leaves_a_place_for_others() -> None:
    intake = Intake(64, 16, patience_s=1)
    theirs = [Comer("evil") for _ in range(9)]
    assert sum(intake.enter(comer) for comer in theirs) == 3
    ours = [Comer("good"), Comer("good")]
    assert [intake.enter(comer) for comer in ours] == [True, False]
    # Whoever has fewer goes first, though they came later.
    intake.leave(ours[0])
    assert ours[1].reads
    intake.leave(theirs[0])
    assert [comer.reads for comer in theirs] == [False] * 3 + [True] + [False] * 5
    intake.leave(ours[1])
    assert sum(comer.reads for comer in theirs) == 1, "the last place is no tenant's"
    for comer in (*theirs[1:4], *theirs[4:]):
        intake.leave(comer)
    assert intake._free == 4
    assert not intake._kept
    assert not intake._tenants


def test_a_share_below_one_message_still_takes_one() -> None:
    assert Intake(1, 16, patience_s=1).enter(Comer())


async def test_joiners_wait_while_too_many_states_are_on_their_way() -> None:
    share = StateShare(LARGE_STATE)
    peer = Peer(1, GRANT, Outbox(1), states=share)
    await share.wait(("t", "bob"))
    peer.state(binary_frame(b"x" * LARGE_STATE), 1)
    came = []

    async def join(number: int) -> None:
        await share.wait(("t", "bob"))
        came.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(join, number)
        await anyio.wait_all_tasks_blocked()
        assert came == []
        peer.unload()
    assert sorted(came) == [0, 1, 2]
    assert share.bytes == 0


def reading(share: StateShare, tenant: str, user: str, frame: bytes) -> Peer:
    """Somebody to whom a large state is on its way, and who takes none of it."""
    grant = replace(GRANT, tenant=tenant, user=user)
    peer = Peer(1, grant, Outbox(1), states=share, write=lambda _frame: True)
    peer.state(frame, 1)
    return peer


async def waits(share: StateShare, tenant: str, user: str) -> bool:
    with anyio.move_on_after(0.01) as scope:
        await share.wait((tenant, user))
    return scope.cancelled_caught


async def test_readers_who_take_nothing_keep_only_their_own_out() -> None:
    """One user's many sockets her own, one tenant's many users their own; what is shared counts once."""
    share = StateShare(40 * LARGE_STATE)
    frames = [binary_frame(bytes([number]) * LARGE_STATE) for number in range(30)]
    peers = [reading(share, "evil", "eve", frame) for frame in frames[:10]]
    assert await waits(share, "evil", "eve")
    assert not await waits(share, "evil", "ada")
    peers += [reading(share, "evil", f"user {number}", frames[number]) for number in range(10, 30)]
    assert await waits(share, "evil", "ada")
    assert not await waits(share, "good", "eve")
    # All of a page's readers have one and the same frame.
    peers += [reading(share, "good", f"user {number}", frames[0]) for number in range(100)]
    assert not await waits(share, "good", "user 1")
    for peer in peers:
        peer.unload()
    assert not await waits(share, "evil", "eve")
    assert share.bytes == 0
    assert not share._bytes
    assert not share._readers


async def test_small_states_are_not_counted() -> None:
    share = StateShare(1)
    peer = Peer(1, GRANT, Outbox(1), states=share)
    peer.state(binary_frame(b"x" * (LARGE_STATE - 20)), 1)
    await share.wait(("t", "bob"))


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


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"), ("", ""), ("testclient", "testclient"), ("a:b", "a:b"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("::1", "::/64"), ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)  # fmt: skip
def test_a_machine_with_many_addresses_of_ipv6_is_one(address: str, place: str) -> None:
    assert place_of(address) == place


def test_the_sockets_of_a_network_of_ipv6_are_counted_together() -> None:
    addresses = Addresses(1)
    with addresses.counted({"client": ("2001:db8::1", 5)}):
        with addresses.counted({"client": ("2001:db8::2", 5)}), pytest.raises(TryLater):
            addresses.check({"client": ("2001:db8::3", 5)})
        addresses.check({"client": ("2001:db8:0:1::3", 5)})
    assert not addresses._sockets
