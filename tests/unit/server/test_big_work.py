"""Rooms with big work under way: people come, leave and are answered; housekeeping and faults go on."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from held import Held
from holding import BIG, NOW, OTHER, Client, visiting

from crdt_chat.config import Config, Limits
from crdt_chat.errors import PageBroken
from crdt_chat.identity import PageKey
from crdt_chat.page.update import Item, encode
from crdt_chat.protocol import wire
from crdt_chat.server.app import App, build
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.turn import thaw
from store.memory import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("thawed")]


def batch(count: int, client: int = 7) -> bytes:
    """A step 2 of so many annotations."""
    value = {"creator": "ada", "created": NOW, "target": {"selector": []}, "title": "t" * 400}
    items = [Item(client, n, 1, None, "annotations", f"a{n}", (value,)) for n in range(count)]
    return wire.step2(encode({client: items}, {}))


def room_of(app: App, key: PageKey = BIG) -> Room:
    """The page, which is in memory."""
    room = app.rooms.find(key)
    assert room is not None
    return room


@asynccontextmanager
async def held_server() -> AsyncIterator[tuple[App, Held]]:
    """A server whose big jobs wait until they are told to go on."""
    aside = Held()
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        app.services.aside = aside
        yield app, aside


async def send_much(ada: Client, aside: Held) -> None:
    """A batch that is being judged when this returns."""
    await ada.until(wire.SyncStep1)
    await ada.send(batch(400))
    await aside.begun.wait()


async def _later(event: anyio.Event) -> None:
    await anyio.sleep(0.01)
    event.set()


async def names_on(app: App) -> int:
    async with visiting(app, BIG, "dan") as dan:
        await dan.send(wire.step1(b"\x00"))
        await dan.until(wire.SyncStep2)
        room = room_of(app)
        return room.page.counts().annotations


async def test_who_leaves_in_the_midst_of_a_big_batch_has_all_of_it_stored() -> None:
    async with held_server() as (app, aside):
        async with visiting(app, BIG, "ada") as ada:
            await send_much(ada, aside)
            room = room_of(app)
            assert room.turn.busy
            app.services.tasks.start_soon(_later, aside.go)
        with anyio.fail_after(60):
            assert await names_on(app) == 400
            await room.finish()
            assert room.committed == 1


async def test_what_was_judged_on_a_page_that_broke_down_meanwhile_is_asked_for_again() -> None:
    async with held_server() as (app, aside):
        async with visiting(app, BIG, "ada") as ada:
            await send_much(ada, aside)
            room = room_of(app)
            room.break_down(PageBroken("tried"))
            aside.go.set()
            with anyio.fail_after(60):
                await ada.until(wire.SyncStep1)
                assert room.page.counts().annotations == 0
                await ada.send(batch(400))
                await ada.saved()
        assert room.page.counts().annotations == 400


async def test_who_comes_while_a_big_batch_is_judged_is_served_after_it() -> None:
    async with (
        held_server() as (app, aside),
        visiting(app, BIG, "ada") as ada,
        visiting(app, BIG, "bob") as bob,
    ):
        await bob.until(wire.SyncStep1)
        await send_much(ada, aside)
        await bob.send(wire.step1(b"\x00"))
        async with visiting(app, BIG, "cleo") as cleo:
            await anyio.sleep(0.01)
            aside.go.set()
            with anyio.fail_after(60):
                # Asked in the turn after the batch, with all that is known by then.
                await cleo.until(wire.SyncStep1)
                answer = await bob.until(wire.SyncStep2)
                assert isinstance(answer, wire.SyncStep2)
                assert len(answer.update) > 100_000
                await ada.saved()


async def test_who_leaves_while_another_is_answered_after_a_rebuild_does_not_end_the_server() -> (
    None
):
    aside = Held()
    async with build(
        Config(open_tenants=("open",), limits=Limits(slice_ms=0.01)), MemoryStore()
    ) as app:
        aside.go.set()
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            await ada.send(batch(40))
            await ada.saved()
            async with visiting(app, BIG, "bob") as bob:
                await bob.until(wire.SyncStep1)
                room = room_of(app)
                room.break_down(PageBroken("tried"))
                await ada.send(wire.step1(b"\x00"))
                with anyio.fail_after(60):
                    await aside.until_held(lambda: not room.suspended)
                # The page is there again, ada's answer is being made; bob's turn comes after hers.
                assert room.turn.busy
            aside.go.set()
            with anyio.fail_after(60):
                await ada.until(wire.SyncStep2)
            assert await names_on(app) == 40


async def test_what_was_set_aside_at_the_start_stays_so_while_nothing_big_happens() -> None:
    gc.freeze()
    before = gc.get_freeze_count()
    thaw()
    assert gc.get_freeze_count() == before
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        await app.services.aside(list)
    assert gc.get_freeze_count() == 0


async def test_nothing_stays_hidden_from_the_garbage_collector_when_a_server_ends() -> None:
    before = gc.get_freeze_count()
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        await app.services.aside(list)
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0


async def test_a_server_that_is_never_quiet_collects_its_garbage_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collects = anyio.Event()
    monkeypatch.setattr("crdt_chat.server.rooms.rooms.TICK_S", 0.01)
    monkeypatch.setattr("crdt_chat.server.rooms.rooms.thaw", collects.set)
    limits = Limits(presence_renewal_s=0.05)
    async with build(Config(open_tenants=("open",), limits=limits), MemoryStore()) as app:
        app.services.queue.updates = 1
        with anyio.fail_after(60):
            await collects.wait()


async def test_housekeeping_goes_on_while_a_snapshot_waits_for_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aside, renewed = Held(), anyio.Event()
    monkeypatch.setattr("crdt_chat.server.rooms.rooms.TICK_S", 0.01)
    monkeypatch.setattr("crdt_chat.server.rooms.snapshots.ROWS", 1)
    limits = Limits(presence_renewal_s=0.05, slice_ms=0.01)
    async with build(Config(open_tenants=("open",), limits=limits), MemoryStore()) as app:
        aside.go.set()
        app.services.aside = aside
        async with visiting(app, BIG, "ada") as ada, visiting(app, OTHER, "bob"):
            await ada.until(wire.SyncStep1)
            room = room_of(app)
            await ada.send(batch(1))
            with anyio.fail_after(60):
                await aside.until_held(lambda: room.committed == 1 and not room.dirty)
            assert room.turn.busy
            other = room_of(app, OTHER)
            monkeypatch.setattr(other.people, "renew", renewed.set)
            with anyio.move_on_after(60):
                await renewed.wait()
            held = room.turn.busy
            aside.go.set()
            assert renewed.is_set()
            assert held


async def test_a_fault_in_the_background_ends_one_page_and_no_server() -> None:
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            room = room_of(app)

            async def fail(text: str) -> None:
                raise ValueError(text)

            app.services.start(fail, "of nobody's page")
            app.services.start(fail, "of this page", fail=room.break_down)
            with anyio.fail_after(60):
                await ada.until(wire.SyncStep1)
            assert not room.suspended
        assert await names_on(app) == 0


async def test_a_peer_that_cannot_be_asked_again_breaks_its_page_and_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with build(Config(open_tenants=("open",)), MemoryStore()) as app:
        async with visiting(app, BIG, "ada") as ada:
            await ada.until(wire.SyncStep1)
            room = room_of(app)
            answer, failed = room.answer, []

            async def fail_once(*arguments: object) -> None:
                if not failed:
                    failed.append(1)
                    raise ValueError("no")
                await answer(*arguments)

            monkeypatch.setattr(room, "answer", fail_once)
            peer = next(iter(room.peers.values()))
            room.break_down(PageBroken("tried"))
            peer.owed = 1
            peer.vector = b"\x00"
            with anyio.fail_after(60):
                await ada.until(wire.SyncStep1)
                await ada.until(wire.SyncStep1)
            assert failed
        assert await names_on(app) == 0
