"""Rooms, connections and commits against hostile peers and a failing disk, in virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from pycrdt import Doc, Map
from simnet.disk import Disk
from simnet.link import Link, Quality
from simnet.loop import run
from simnet.process import Process, config_of, running

from crdt_chat.config import Limits
from crdt_chat.errors import Malformed, Restarting, Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.protocol import wire
from crdt_chat.server.connection import Visit
from crdt_chat.server.guard import Guard, Session
from crdt_chat.server.loading import page_of
from crdt_chat.server.rewriting import kept_in, replacement
from crdt_chat.server.services import Clock
from store.memory import MemoryStore
from store.records import EventRow, LogEntry, Rewrite, StoredPage

KEY = PageKey("t", "p")
ADA = Grant("t", "ada", "Ada", Role.EDITOR)
PERFECT = Quality(0.001, 0.001)
T0 = 1_750_000_000_000
EMPTY = b"\x00"


class Site:
    """A disk, a server on it, and whoever dials in."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.disk = Disk(Random(1), slowest=0.002)
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: T0 + int(loop.time() * 1000), loop.time)
        self.process = Process(self.disk, config_of("t", limits or Limits()), clock, Random(2))

    @property
    def room(self):
        room = self.process.rooms.find(KEY)
        assert room is not None
        return room

    def dial(
        self, grant: Grant = ADA, *, caps: bool = True, quality: Quality = PERFECT
    ) -> "Caller":
        caller = Caller()
        caller.link = Link(caller, Random(3), replace(quality), lambda _link, _frame: None)
        self.process.accept(caller.link, Visit(KEY, grant, speaks_control=caps))
        return caller

    async def write(self, name: str = "a1", title: str = "x") -> None:
        """A durable annotation, made by the server."""
        selector = [{"type": "TextQuoteSelector", "exact": "words"}]
        value = {"creator": "ada", "created": T0, "target": {"selector": selector}, "title": title}
        async with self.process.rooms.open(KEY) as room:
            verdict = await room.write([("annotations", name, value)], ADA)
        assert verdict.kind == "accepted", verdict


class Caller:
    """A client that says what it is told to say and remembers what it hears."""

    link: Link

    def __init__(self) -> None:
        self.heard: list[wire.Message] = []
        self.code: int | None = None

    def took(self, link: Link, frame: bytes) -> None:
        self.heard.append(wire.decode(frame))

    def ended(self, link: Link, code: int) -> None:
        self.code = code

    def say(self, frame: bytes) -> None:
        self.link.send(frame)

    def controls(self, kind: str) -> list[dict[str, object]]:
        """The control frames of this type."""
        found = [message.body for message in self.heard if isinstance(message, wire.Control)]
        return [dict(body) for body in found if body["type"] == kind]

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.heard)

    @property
    def saved(self) -> int:
        return max((int(str(body["frames"])) for body in self.controls("saved")), default=0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it in virtual time, a minute at most."""
        for _ in range(60_000):
            if condition():
                return
            await anyio.sleep(0.001)
        raise AssertionError(f"it never came: {self.heard[-5:]}")


def at_a_site(story: Callable[[Site], Awaitable[None]], limits: Limits | None = None) -> None:
    """Tell a story at a running server; the server must survive it."""

    async def main() -> None:
        site = Site(limits)
        async with running(site.process):
            await story(site)

    run(main())


def annotation(doc: Doc, name: str, *, user: str = "ada", title: str = "t") -> bytes:
    """Make an annotation in a client's document. Returns the update."""
    before = doc.get_state()
    selector = [{"type": "TextQuoteSelector", "exact": "words"}]
    value = {"creator": user, "created": 1, "target": {"selector": selector}, "title": title}
    doc.get("annotations", type=Map)[name] = value
    return doc.get_update(before)


def test_a_state_vector_that_comes_while_a_page_is_rebuilt_cannot_end_the_server() -> None:
    async def story(site: Site) -> None:
        eve = site.dial()
        await eve.until(lambda: eve.count(wire.SyncStep1) == 1)
        site.disk.full = True
        doc = Doc(client_id=70_000)
        eve.say(wire.update(annotation(doc, "a1")))
        await eve.until(lambda: site.room.suspended)
        eve.say(wire.step1(b"\xff\xff\xff"))
        await anyio.sleep(0.1)
        site.disk.full = False
        await eve.until(lambda: eve.code is not None)
        assert eve.code == Malformed.close_code
        assert not site.room.suspended

    at_a_site(story)


def test_who_has_not_asked_yet_is_given_no_increment_after_a_rebuild() -> None:
    """An increment before the step 2 would leave a gap in a Yjs document for ever."""

    async def story(site: Site) -> None:
        await site.write()
        silent = site.dial()
        await silent.until(lambda: silent.count(wire.SyncStep1) == 1)
        site.disk.fails = 1.0
        with pytest.raises(Exception, match="could not be saved"):
            await site.write("a2")
        site.disk.fails = 0.0
        await silent.until(lambda: silent.count(wire.SyncStep1) == 2)
        await anyio.sleep(1.0)
        assert silent.count(wire.Update) == 0
        silent.say(wire.step1(EMPTY))
        await silent.until(lambda: silent.count(wire.SyncStep2) == 1)

    at_a_site(story)


def test_every_step_1_is_answered_once_though_the_commit_that_covers_it_fails() -> None:
    async def story(site: Site) -> None:
        ada = site.dial()
        ada.say(wire.step1(EMPTY))
        await ada.until(lambda: ada.count(wire.SyncStep2) == 1)
        site.disk.full = True
        ada.say(wire.update(annotation(Doc(client_id=70_000), "a1")))
        ada.say(wire.step1(EMPTY))
        await ada.until(lambda: site.room.suspended)
        ada.say(wire.step1(EMPTY))
        await anyio.sleep(0.5)
        assert ada.count(wire.SyncStep2) == 1
        site.disk.full = False
        await ada.until(lambda: ada.count(wire.SyncStep2) == 3)
        await anyio.sleep(1.0)
        assert ada.count(wire.SyncStep2) == 3

    at_a_site(story)


def test_a_full_disk_at_a_snapshot_ends_nothing_but_the_snapshot() -> None:
    async def story(site: Site) -> None:
        for number in range(60):
            await site.write(f"a{number}")
        site.disk.full = True
        await anyio.sleep(70.0)
        assert len(site.process.rooms) == 1, "an unsaved snapshot was taken for a saved one"
        site.disk.full = False
        await anyio.sleep(5.0)
        assert len(site.process.rooms) == 0
        stored = await site.disk.kept.load("t", "p")
        assert stored is not None
        assert stored.snapshot_seq == 60

    at_a_site(story)


@pytest.mark.parametrize("written", [True, False])
def test_a_page_that_was_only_read_is_let_go_and_owners_of_client_ids_stay(written: bool) -> None:
    async def story(site: Site) -> None:
        if written:
            await site.write()
        reader = site.dial()
        await reader.until(lambda: reader.count(wire.SyncStep1) == 1)
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


def test_an_offline_batch_may_be_large_again_when_it_is_asked_for_again() -> None:
    """4413 is for ever: what the failed commit took away would stay on that one machine."""

    async def story(site: Site) -> None:
        doc = Doc(client_id=70_000)
        for number in range(40):
            annotation(doc, f"a{number}", title="t" * 400)
        batch = wire.step2(doc.get_update())
        assert len(batch) > 10_000
        site.disk.fails = 1.0
        ada = site.dial()
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        ada.say(batch)
        await ada.until(lambda: site.room.suspended)
        site.disk.fails = 0.0
        await ada.until(lambda: ada.count(wire.SyncStep1) == 2)
        ada.say(batch)
        await ada.until(lambda: ada.code is not None or ada.saved == 2)
        assert ada.code is None
        assert site.room.page.counts().annotations == 40

    at_a_site(story, replace(Limits(), frame_bytes=10_000))


def test_an_offline_batch_does_not_slow_down_what_follows_it() -> None:
    async def story(site: Site) -> None:
        doc = Doc(client_id=70_000)
        for number in range(40):
            annotation(doc, f"a{number}")
        ada = site.dial()
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        ada.say(wire.step2(doc.get_update()))
        ada.say(wire.update(annotation(doc, "b1")))
        ada.say(wire.update(annotation(doc, "b2")))
        began = anyio.current_time()
        await ada.until(lambda: ada.saved == 3)
        assert anyio.current_time() - began < 1.0

    at_a_site(story, replace(Limits(), operations_per_s=1.0, operations_burst=10.0))


def test_a_step_2_that_was_under_way_when_the_page_was_rebuilt_saves_nothing() -> None:
    """It answers a step 1 that counted what the failed commit took away."""

    async def story(site: Site) -> None:
        ada = site.dial()
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        site.disk.full = True
        doc = Doc(client_id=70_000)
        ada.say(wire.update(annotation(doc, "a1")))
        await ada.until(lambda: site.room.suspended)
        site.disk.full = False
        await ada.until(lambda: not site.room.suspended)
        ada.say(wire.step2(b"\x00\x00"))
        await ada.until(lambda: ada.count(wire.SyncStep1) == 2)
        await anyio.sleep(0.5)
        assert ada.saved == 0
        ada.say(wire.step2(doc.get_update()))
        await ada.until(lambda: ada.saved == 3)

    at_a_site(story)


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


def test_questions_and_gaps_count_as_operations() -> None:
    async def story(site: Site) -> None:
        eve = site.dial(caps=False)
        for _ in range(40):
            eve.say(wire.step1(EMPTY))
        await anyio.sleep(10.0)
        assert eve.count(wire.SyncStep2) < 25
        await eve.until(lambda: eve.count(wire.SyncStep2) == 40)

    at_a_site(story, replace(Limits(), operations_per_s=1.0, operations_burst=10.0))


def test_a_commit_that_failed_and_is_durable_all_the_same_is_shown_once() -> None:
    """An fsync may fail after the log was written: what is there after a reload counts."""

    async def story(site: Site) -> None:
        await site.write("a1")
        ada, told = site.dial(), list[EventRow]()
        ada.say(wire.step1(EMPTY))
        await ada.until(lambda: ada.count(wire.SyncStep2) == 1)
        site.room.listeners.add(told.append)
        site.disk.lies = 1.0
        with pytest.raises(Exception, match="could not be saved"):
            await site.write("a2")
        site.disk.lies = 0.0
        await ada.until(lambda: not site.room.suspended)
        await ada.until(lambda: ada.count(wire.Update) == 1)
        assert [row.entity for row in told] == ["a2"]
        await site.write("a3")
        await ada.until(lambda: ada.count(wire.Update) == 2)
        assert [row.entity for row in told] == ["a2", "a3"]

    at_a_site(story)


def test_whoever_is_on_a_page_that_was_rewritten_is_told_so() -> None:
    async def story(site: Site) -> None:
        await site.write()
        ada = site.dial()
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        kept: MemoryStore = site.disk.kept
        state = site.room.page.state()
        entry = LogEntry(b"r" * 16, "server", "0", T0, state)
        await kept.rewrite("t", "p", None, Rewrite(entry, owners=[(1, "")]))
        with pytest.raises(Exception, match="could not be saved"):
            await site.write("a2")
        await ada.until(lambda: ada.code is not None)
        assert ada.code == 4409

    at_a_site(story)


def test_an_id_that_is_announced_while_the_page_is_rebuilt_is_known_afterwards() -> None:
    async def story(site: Site) -> None:
        await site.write()
        site.disk.full = True
        with pytest.raises(Exception, match="could not be saved"):
            await site.write("a2")
        ada = site.dial()
        entry = wire.AwarenessEntry(70_000, 1, "{}")
        ada.say(wire.awareness_of([wire.encode_entry(entry)]))
        await anyio.sleep(0.1)
        site.disk.full = False
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        assert (70_000, "ada") in site.room.page.announced

    at_a_site(story)


def test_a_state_for_somebody_who_left_meanwhile_does_not_count_for_ever() -> None:
    async def story(site: Site) -> None:
        for number in range(300):
            await site.write(f"a{number}", title="t" * 300)
        assert len(site.room.page.state()) > 64 * 1024
        site.disk.slowest = 1.0
        ada = site.dial()
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        ada.say(wire.update(annotation(Doc(client_id=70_000), "b1")))
        ada.say(wire.step1(EMPTY))
        await anyio.sleep(0.01)
        ada.link.close()
        await anyio.sleep(5.0)
        assert site.process.rooms.services.states.bytes == 0

    at_a_site(story)


def test_a_cursor_that_moves_tells_nobody_how_many_are_here() -> None:
    async def story(site: Site) -> None:
        ada, bob = site.dial(), site.dial(Grant("t", "bob", "Bob", Role.EDITOR))
        await ada.until(lambda: any(body["count"] == 2 for body in ada.controls("presence")))
        told = len(ada.controls("presence"))
        for clock in range(1, 6):
            entry = wire.AwarenessEntry(70_000, clock, json.dumps({"cursor": clock}))
            bob.say(wire.awareness_of([wire.encode_entry(entry)]))
            await anyio.sleep(0.2)
        assert ada.count(wire.Awareness) == 5
        assert len(ada.controls("presence")) == told

    at_a_site(story)


@pytest.mark.parametrize("caps", [True, False])
def test_who_is_alone_hears_a_sign_of_life_within_30_seconds(caps: bool) -> None:
    """y-websocket takes a server that says nothing for so long for dead, and reconnects."""

    async def story(site: Site) -> None:
        ada = site.dial(caps=caps)
        entry = wire.AwarenessEntry(70_000, 1, "{}")
        ada.say(wire.awareness_of([wire.encode_entry(entry)]))
        await anyio.sleep(5.0)
        for _ in range(3):
            heard = len(ada.heard)
            await anyio.sleep(20.0)
            assert len(ada.heard) > heard

    at_a_site(story)


def test_what_waits_behind_a_failed_commit_is_not_written_while_a_page_is_rewritten() -> None:
    """It builds on what was lost: the log would have a hole, and nobody could load the page again."""

    async def story(site: Site) -> None:
        await site.write("a1")
        site.disk.slowest = 0.5
        doc = Doc(client_id=70_000)
        ada = site.dial()
        await ada.until(lambda: ada.count(wire.SyncStep1) == 1)
        ada.say(wire.update(annotation(doc, "b1")))
        await anyio.sleep(0.005)
        ada.say(wire.update(annotation(doc, "b2")))
        await anyio.sleep(0.005)
        site.disk.fails = 1.0
        services = site.process.rooms.services

        def same(stored: StoredPage) -> Rewrite:
            page, kept = kept_in(stored, PageLimits())
            return replacement(services, stored, page, kept, "operator")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(site.room.rewrite, same)
            await ada.until(lambda: site.disk.counts["failed commits"] == 1)
            site.disk.fails = 0.0
        assert [name for name, _ in site.room.page.items("annotations")] == ["a1"]
        stored = await site.disk.kept.load("t", "p")
        assert stored is not None
        assert dict(page_of(stored, PageLimits(), 1).items("annotations")).keys() == {"a1"}
        await ada.until(lambda: ada.code == 4409)
        queue = services.queue
        assert (queue.updates, queue.bytes) == (0, 0)

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
        eve = site.dial(caps=False)
        await eve.until(lambda: eve.count(wire.SyncStep1) == 1)
        before = len(asyncio.all_tasks())
        for _ in range(100):
            eve.say(wire.step2(later))
        await anyio.sleep(0.5)
        assert len(asyncio.all_tasks()) <= before + 1
        await eve.until(lambda: eve.count(wire.SyncStep1) == 2)

    at_a_site(story)


def test_a_loss_that_only_sending_notices_has_its_grace() -> None:
    async def story(site: Site) -> None:
        ada, bob = site.dial(), site.dial(Grant("t", "bob", "Bob", Role.EDITOR))
        await ada.until(lambda: any(body["count"] == 2 for body in ada.controls("presence")))
        bob.link.down.dead = bob.link.gone = True  # sending fails; nothing is received
        await site.write()
        site.room.people.refresh(site.room.peers[2])
        await ada.until(lambda: len(site.room.peers) == 1)
        assert site.room.people.presence.count == 2
        await ada.until(lambda: site.room.people.presence.count == 1)

    at_a_site(story)


def test_a_reader_who_takes_nothing_is_not_told_of_everybody_who_comes_and_goes() -> None:
    async def story(site: Site) -> None:
        slow = site.dial(quality=replace(PERFECT, buffer=1))
        slow.link.down.paused = True
        await anyio.sleep(0.1)
        for number in range(200):
            guest = site.dial(Grant("t", f"guest{number}", "G", Role.EDITOR))
            await anyio.sleep(0.1)
            guest.link.close()
            await anyio.sleep(0.1)
        peer = site.room.peers[1]
        assert peer.outbox.size <= 1_000 + 500
        slow.link.quality.buffer = 1 << 20
        slow.link.down.resume()
        await slow.until(lambda: [body["count"] for body in slow.controls("presence")][-1:] == [1])

    at_a_site(story, replace(Limits(), outbox_bytes=1_000, outbox_patience_s=1_000.0))


def test_a_lagging_reader_is_given_the_state_when_rows_cannot_be_read() -> None:
    async def story(site: Site) -> None:
        slow = site.dial(caps=False, quality=replace(PERFECT, buffer=1))
        slow.say(wire.step1(EMPTY))
        await slow.until(lambda: slow.count(wire.SyncStep2) == 1)
        slow.link.down.paused = True
        for number in range(20):
            await site.write(f"a{number}")
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


def test_many_small_frames_do_not_keep_the_loop_from_others() -> None:
    """With a clock that rises with each look, as if every frame cost a millisecond."""

    async def main() -> None:
        site = Site()
        ticks = iter(range(1_000_000))
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: T0, lambda: loop.time() + next(ticks) * 0.001)
        site.process = Process(site.disk, config_of("t", Limits()), clock, Random(2))
        async with running(site.process):
            eve = site.dial(caps=False)
            await eve.until(lambda: eve.count(wire.SyncStep1) == 1)
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


def test_a_fault_of_the_gate_rebuilds_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(site: Site) -> None:
        await site.write()
        ada, eve = site.dial(), site.dial()
        await eve.until(lambda: eve.count(wire.SyncStep1) == 1)
        page = site.room.page

        def fails(*_arguments: object) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(page, "_carry_out", fails)
        eve.say(wire.update(annotation(Doc(client_id=70_000), "a2")))
        await ada.until(lambda: ada.count(wire.SyncStep1) == 2)
        assert site.room.page is not page
        assert eve.code == Malformed.close_code
        await site.write("a3")

    at_a_site(story)


def test_half_a_surrogate_pair_is_refused_and_nothing_is_rebuilt() -> None:
    async def story(site: Site) -> None:
        await site.write()
        async with site.process.rooms.open(KEY) as room:
            page = room.page
            with pytest.raises(Malformed):
                await site.write("a2", title="\ud800")
            assert room.page is page
        await site.write("a3")

    at_a_site(story)
