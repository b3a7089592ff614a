"""A room when a commit fails, or is only said to have failed, and when the disk is full, in virtual time."""

from dataclasses import replace

import anyio
import pytest
from pycrdt import Doc, Map
from simnet.site import ADA, EMPTY, KEY, Site, annotation, at_a_site

from crdt_chat.errors import Malformed
from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.protocol import wire
from crdt_chat.server.privacy.rewriting import kept_in, replacement
from crdt_chat.server.rooms.loading import page_of
from store.records import EventRow, Rewrite, StoredPage


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


def test_every_step_1_is_answered_once_though_the_commit_that_covers_it_fails() -> None:
    async def story(site: Site) -> None:
        ada = await site.synced()
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


def test_a_step_2_that_was_under_way_when_the_page_was_rebuilt_saves_nothing() -> None:
    """It answers a step 1 that counted what the failed commit took away."""

    async def story(site: Site) -> None:
        ada = await site.joined()
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


def test_a_commit_that_failed_and_is_durable_all_the_same_is_shown_once() -> None:
    """An fsync may fail after the log was written: what is there after a reload counts."""

    async def story(site: Site) -> None:
        await site.write("a1")
        ada, told = await site.synced(), list[EventRow]()
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


def test_a_reset_is_told_though_the_commit_that_held_it_back_was_called_failed() -> None:
    """What was refused is durable then: it is trimmed when it comes again, and refused no more."""

    async def story(site: Site) -> None:
        await site.write()
        async with site.process.rooms.open(KEY) as room:
            await room.write([("page", "title", "ours")], replace(ADA, role=Role.MODERATOR))
        ada, doc = site.dial(), Doc(client_id=70_000)
        ada.say(wire.step1(EMPTY))
        ada.say(wire.awareness_of([wire.encode_entry(wire.AwarenessEntry(70_000, 1, "{}"))]))
        await ada.until(lambda: ada.count(wire.SyncStep2) == 1)
        doc.get("page", type=Map)["title"] = "hers"
        site.disk.lies = 1.0
        ada.say(wire.update(doc.get_update()))
        await ada.until(lambda: site.room.suspended)
        site.disk.lies = 0.0
        await ada.until(lambda: bool(ada.controls("refused")))
        assert ada.controls("refused") == [{"type": "refused", "reset": True, "operations": []}]

    at_a_site(story)


def test_what_waits_behind_a_failed_commit_is_not_written_while_a_page_is_rewritten() -> None:
    """It builds on what was lost: the log would have a hole, and nobody could load the page again."""

    async def story(site: Site) -> None:
        await site.write("a1")
        site.disk.slowest = 0.5
        doc = Doc(client_id=70_000)
        ada = await site.joined()
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


def test_what_the_store_never_takes_is_not_asked_for_without_end() -> None:
    async def story(site: Site) -> None:
        await site.write()
        ada, eve = site.dial(), site.dial()
        doc = Doc(client_id=70_000)
        annotation(doc, "poison")
        site.disk.refuses = lambda commit: any(b"poison" in one.update for one in commit.entries)
        for turn in range(1, 4):
            await eve.until(lambda turn=turn: eve.count(wire.SyncStep1) == turn)
            assert eve.code is None
            eve.say(wire.step2(doc.get_update()))
        await eve.until(lambda: eve.code is not None)
        assert eve.code == Malformed.close_code
        await ada.until(lambda: not site.room.suspended)
        await site.write("a2")
        assert ada.code is None

    at_a_site(story)


def test_a_disk_that_takes_nothing_for_long_closes_nobody() -> None:
    async def story(site: Site) -> None:
        ada, doc = await site.joined(), Doc(client_id=70_000)
        for turn in range(2, 7):
            site.disk.full = True
            annotation(doc, f"a{turn}")
            ada.say(wire.step2(doc.get_update()))
            await ada.until(lambda: site.room.suspended)
            site.disk.full = False
            await ada.until(lambda turn=turn: ada.count(wire.SyncStep1) == turn)
        ada.say(wire.step2(doc.get_update()))
        await ada.until(lambda: ada.saved == 6)
        assert ada.code is None

    at_a_site(story)


def test_a_fault_in_telling_of_a_commit_leaves_nobody_waiting_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(site: Site) -> None:
        ada = await site.joined()

        def fail(*_arguments: object) -> int:
            monkeypatch.undo()
            raise ValueError("no")

        monkeypatch.setattr("crdt_chat.server.rooms.room.fan_out", fail)
        with anyio.fail_after(60):
            await site.write("a1")
        # The page is rebuilt from what is durable, and goes on.
        await ada.until(lambda: ada.count(wire.SyncStep1) == 2)
        await site.write("a2")
        assert site.room.page.counts().annotations == 2
        assert ada.code is None

    at_a_site(story)
