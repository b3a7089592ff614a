"""Connections that ask much, read nothing or leave in the middle, in virtual time."""

import asyncio
import gc
import json
import types
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from pycrdt import Doc, Map
from simnet.link import Link
from simnet.loop import run
from simnet.process import Process, config_of, running
from simnet.site import ADA, EMPTY, KEY, PERFECT, T0, Caller, Site, annotation, at_a_site

from crdt_chat.config import Limits
from crdt_chat.errors import Restarting, Unauthorized
from crdt_chat.identity import PageKey
from crdt_chat.protocol import wire
from crdt_chat.server.access.guard import Guard, Session
from crdt_chat.server.connections.connection import Visit
from crdt_chat.server.rooms import peer as peers
from crdt_chat.server.rooms.services import Clock


@pytest.mark.parametrize("written", [True, False])
def test_a_page_that_was_only_read_is_let_go_and_owners_of_client_ids_stay(written: bool) -> None:
    async def story(site: Site) -> None:
        if written:
            await site.write()
        reader = await site.joined()
        entry = wire.AwarenessEntry(70_000, 1, "{}")
        reader.say(wire.awareness_of([wire.encode_entry(entry)]))
        await reader.until(lambda: bool(site.room.page.announced))
        reader.link.close()
        await anyio.sleep(65.0)
        assert len(site.process.rooms) == 0
        stored = await site.disk.kept.load("t", "p")
        assert (stored is not None) == written
        assert stored is None or (70_000, "ada") in stored.owners

    at_a_site(story)


def test_an_offline_batch_does_not_slow_down_what_follows_it() -> None:
    async def story(site: Site) -> None:
        doc = Doc(client_id=70_000)
        for number in range(40):
            annotation(doc, f"a{number}")
        ada = await site.joined()
        ada.say(wire.step2(doc.get_update()))
        ada.say(wire.update(annotation(doc, "b1")))
        ada.say(wire.update(annotation(doc, "b2")))
        began = anyio.current_time()
        await ada.until(lambda: ada.saved == 3)
        assert anyio.current_time() - began < 1.0

    at_a_site(story, replace(Limits(), operations_per_s=1.0, operations_burst=10.0))


def test_who_asks_and_never_reads_costs_a_few_answers_only() -> None:
    async def story(site: Site) -> None:
        for number in range(30):
            await site.write(f"a{number}", title="t" * 300)
        state = len(site.room.page.state())
        eve = site.dial(caps=False, quality=replace(PERFECT, buffer=1))
        eve.link.down.paused = True
        for number in range(300):
            # All different, so that no answer is shared.
            eve.say(wire.step1(b"\x01" + wire.varuint(1_000 + number) + b"\x01"))
        await anyio.sleep(5.0)
        (peer,) = site.room.peers.values()
        assert peer.outbox.size < 6 * state
        eve.link.down.resume()
        eve.link.quality.buffer = 1 << 20
        await eve.until(lambda: eve.count(wire.SyncStep2) == 300)

    limits = replace(Limits(), outbox_bytes=5_000, operations_per_s=1e6, operations_burst=1e6)
    at_a_site(story, limits)


def test_who_is_refused_and_takes_nothing_keeps_no_large_frame_meanwhile() -> None:
    """However long she takes for what is queued: nothing of what she sent is in memory, nor any place."""

    async def story(site: Site) -> None:
        for number in range(30):
            await site.write(f"a{number}", title="t" * 300)
        eve = await site.joined(quality=replace(PERFECT, buffer=1))
        eve.link.down.paused = True
        eve.say(wire.step1(EMPTY))
        eve.say(wire.step2(b"\xff" * 2_000_000))
        await eve.until(lambda: not eve.link.kept)
        assert eve.code is None
        gc.collect()
        assert not [each for each in gc.get_objects() if holds(each, 2_000_000)]
        await anyio.sleep(Limits().outbox_patience_s + 1.0)
        assert eve.code is not None

    at_a_site(story)


def holds(each: object, size: int) -> bool:
    """Whether a frame of a task, a fault or a queue refers to bytes of this size."""
    if not isinstance(each, types.CoroutineType | types.FrameType | dict | deque | list | tuple):
        return False
    return any(
        isinstance(one, bytes | bytearray) and len(one) >= size for one in gc.get_referents(each)
    )


def test_questions_and_gaps_count_as_operations() -> None:
    async def story(site: Site) -> None:
        eve = site.dial(caps=False)
        for _ in range(40):
            eve.say(wire.step1(EMPTY))
        await anyio.sleep(10.0)
        assert eve.count(wire.SyncStep2) < 25
        await eve.until(lambda: eve.count(wire.SyncStep2) == 40)

    at_a_site(story, replace(Limits(), operations_per_s=1.0, operations_burst=10.0))


def test_a_state_for_somebody_who_left_meanwhile_does_not_count_for_ever() -> None:
    async def story(site: Site) -> None:
        for number in range(300):
            await site.write(f"a{number}", title="t" * 300)
        assert len(site.room.page.state()) > 64 * 1024
        site.disk.slowest = 1.0
        ada = await site.joined()
        ada.say(wire.update(annotation(Doc(client_id=70_000), "b1")))
        ada.say(wire.step1(EMPTY))
        await anyio.sleep(0.01)
        ada.link.close()
        await anyio.sleep(5.0)
        assert site.process.rooms.services.states.bytes == 0

    at_a_site(story)


class Revoking:
    """A guard that finds, the moment it looks, that this session may not be here any more."""

    @contextmanager
    def watch(self, session: Session, _key: PageKey, _abort: object = None) -> Iterator[None]:
        session.close(Unauthorized("revoked"))
        yield

    def sessions(self, _tenant: str, _user: str) -> int:
        return 1


def test_who_is_revoked_between_grant_and_page_is_told_so() -> None:
    async def story(site: Site) -> None:
        ada = Caller()
        ada.link = Link(ada, Random(3), replace(PERFECT), lambda _link, _frame: None)
        visit = Visit(KEY, ADA, speaks_control=True, guard=cast(Guard, Revoking()))
        site.process.accept(ada.link, visit)
        await ada.until(lambda: ada.code is not None)
        assert ada.code == Unauthorized.close_code
        assert not ada.heard

    at_a_site(story)


def test_one_who_does_not_read_keeps_nobody_from_being_told_of_a_restart() -> None:
    async def story(site: Site) -> None:
        other = PageKey("t", "q")
        stuck = site.dial(quality=replace(PERFECT, buffer=1))
        stuck.link.down.paused = True
        reader = Caller()
        reader.link = Link(reader, Random(3), replace(PERFECT), lambda _link, _frame: None)
        site.process.accept(reader.link, Visit(other, ADA, speaks_control=True))
        await reader.until(lambda: reader.count(wire.SyncStep1) == 1)
        with anyio.move_on_after(3.0):
            await site.process.rooms.dismiss(Restarting("the server is restarting"))
        await anyio.sleep(0.1)
        assert reader.code == Restarting.close_code

    at_a_site(story)


def test_a_step_2_that_lacks_something_is_asked_for_again_once_not_once_each() -> None:
    async def story(site: Site) -> None:
        lacking = Doc(client_id=70_000)
        annotation(lacking, "a1")
        later = annotation(lacking, "a2")
        eve = await site.joined(caps=False)
        before = len(asyncio.all_tasks())
        for _ in range(100):
            eve.say(wire.step2(later))
        await anyio.sleep(0.5)
        assert len(asyncio.all_tasks()) <= before + 1
        await eve.until(lambda: eve.count(wire.SyncStep1) == 2)

    at_a_site(story)


def test_a_lagging_reader_is_given_the_state_when_rows_cannot_be_read() -> None:
    async def story(site: Site) -> None:
        slow = await site.synced(caps=False, quality=replace(PERFECT, buffer=1))
        slow.link.down.paused = True
        for number in range(20):
            await site.write(f"a{number}")
        scraped = site.process.rooms.services.metrics.render().decode()
        assert "crdt_chat_connections_lagging 1.0" in scraped
        assert "crdt_chat_lags_total 1.0" in scraped
        site.disk.raises = 1.0
        slow.link.quality.buffer = 1 << 20
        slow.link.down.resume()
        await slow.until(lambda: not site.room.peers[1].outbox.lagging)
        await anyio.sleep(0.1)
        doc: Doc = Doc()
        for message in slow.heard:
            if isinstance(message, (wire.SyncStep2, wire.Update)):
                doc.apply_update(message.update)
        assert len(json.loads(str(doc.get("annotations", type=Map)))) == 20
        assert slow.code is None

    at_a_site(story, replace(Limits(), outbox_bytes=500))


def test_a_state_that_a_drained_reader_took_at_once_keeps_no_memory_of_hers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Her share was full of it until something else was sent: her second tab waited for ever."""
    monkeypatch.setattr(peers, "LARGE_STATE", 1)

    async def story(site: Site) -> None:
        slow = await site.synced(caps=False, quality=replace(PERFECT, buffer=1))
        slow.link.down.paused = True
        for number in range(20):
            await site.write(f"a{number}")
        assert site.room.peers[1].outbox.lagging
        slow.link.quality.buffer = 1 << 20
        slow.link.down.resume()
        await slow.until(lambda: not site.room.peers[1].outbox.lagging)
        await site.synced()
        await anyio.sleep(0.1)
        assert site.process.rooms.services.states.bytes == 0

    at_a_site(story, replace(Limits(), outbox_bytes=500, state_frames_bytes=4))


def test_many_small_frames_do_not_keep_the_loop_from_others() -> None:
    """With a clock that rises with each look, as if every frame cost a millisecond."""

    async def main() -> None:
        site = Site()
        ticks = iter(range(1_000_000))
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: T0, lambda: loop.time() + next(ticks) * 0.001)
        site.process = Process(site.disk, config_of("t", Limits()), clock, Random(2))
        async with running(site.process):
            eve = await site.joined(caps=False)
            turns = 0

            async def somebody_else() -> None:
                nonlocal turns
                while len(eve.link._inbox) or not turns:
                    turns += 1
                    await anyio.lowlevel.checkpoint()

            eve.link.down.paused = True
            for _ in range(500):
                eve.link._tell_server({"type": "websocket.receive", "bytes": wire.awareness_of([])})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(somebody_else)
            assert turns > 20

    run(main())
