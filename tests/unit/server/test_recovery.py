"""A room that is rebuilt because its gate or its page broke, and who is on it, in virtual time."""

from dataclasses import replace

import anyio
import pytest
from pycrdt import Doc, Map
from simnet.site import EMPTY, KEY, T0, Site, annotation, at_a_site

from crdt_chat.config import Limits
from crdt_chat.errors import Malformed, TryLater
from crdt_chat.protocol import wire
from crdt_chat.server.rooms import snapshots
from store.memory import MemoryStore
from store.records import LogEntry, PageCommit, Rewrite


def test_a_state_vector_that_comes_while_a_page_is_rebuilt_cannot_end_the_server() -> None:
    async def story(site: Site) -> None:
        eve = await site.joined()
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
        silent = await site.joined()
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


def test_an_offline_batch_may_be_large_again_when_it_is_asked_for_again() -> None:
    """4413 is for ever: what the failed commit took away would stay on that one machine."""

    async def story(site: Site) -> None:
        doc = Doc(client_id=70_000)
        for number in range(40):
            annotation(doc, f"a{number}", title="t" * 400)
        batch = wire.step2(doc.get_update())
        assert len(batch) > 10_000
        site.disk.fails = 1.0
        ada = await site.joined()
        ada.say(batch)
        await ada.until(lambda: site.room.suspended)
        site.disk.fails = 0.0
        await ada.until(lambda: ada.count(wire.SyncStep1) == 2)
        ada.say(batch)
        await ada.until(lambda: ada.code is not None or ada.saved == 2)
        assert ada.code is None
        assert site.room.page.counts().annotations == 40

    at_a_site(story, replace(Limits(), frame_bytes=10_000))


def test_whoever_is_on_a_page_that_was_rewritten_is_told_so() -> None:
    async def story(site: Site) -> None:
        await site.write()
        ada = await site.joined()
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


def test_a_fault_of_the_gate_rebuilds_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(site: Site) -> None:
        await site.write()
        ada, eve = await site.joined(), site.dial()
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


def test_a_page_that_cannot_be_applied_is_not_opened_and_the_server_goes_on() -> None:
    async def story(site: Site) -> None:
        entry = LogEntry(b"o" * 16, "ada", "0", T0, b"no update")
        await site.disk.kept.commit([PageCommit("t", "p", 0, [entry])])
        with pytest.raises(TryLater):
            async with site.process.rooms.open(KEY):
                pass
        ada = site.dial()
        await ada.until(lambda: ada.code is not None)
        assert ada.code == TryLater.close_code

    at_a_site(story)


def test_who_comes_across_a_page_that_was_broken_before_is_asked_again() -> None:
    async def story(site: Site) -> None:
        await site.write()
        ada = await site.joined()
        ada.say(wire.step2(b"\x00\x00"))
        doc, broken = Doc(client_id=70_000), site.room.page
        broken._content.broken = True
        ada.say(wire.update(annotation(doc, "a2")))
        await ada.until(lambda: ada.count(wire.SyncStep1) == 2)
        assert site.room.page is not broken
        ada.say(wire.step2(doc.get_update()))
        await ada.until(lambda: ada.saved == 3)
        assert ada.code is None

    at_a_site(story)


def test_a_reader_catches_up_however_often_the_page_goes_on_meanwhile() -> None:
    async def story(site: Site) -> None:
        ada = await site.synced()
        (peer,) = site.room.peers.values()
        left, at_work = 600, False

        async def aside(job, *, tenant="", reads=None):
            nonlocal left, at_work
            if left and not at_work:
                left, at_work = left - 1, True
                await site.write(f"b{left}")
                at_work = False
            return job()

        peer.outbox.lagging = True
        await site.write("a")
        site.process.rooms.services.aside = aside
        peer.wake()
        await ada.until(lambda: peer.outbox.seq == site.room.committed == 601)
        await anyio.sleep(1)
        doc: Doc[Map[object]] = Doc()
        for message in ada.heard:
            if isinstance(message, wire.SyncStep2 | wire.Update):
                doc.apply_update(message.update)
        assert len(doc.get("annotations", type=Map)) == 601
        assert ada.code is None

    at_a_site(story, replace(Limits(), slice_ms=0.01))


def test_a_snapshot_that_does_not_read_back_is_not_made_again_every_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(site: Site) -> None:
        ada = site.dial()
        for number in range(snapshots.ROWS + 1):
            await site.write(f"a{number}")
        page = site.room.page
        monkeypatch.setattr(snapshots, "reads_back", lambda _page, _state: False)
        await anyio.sleep(100.0)
        tries = [record for record in caplog.records if "does not read back" in record.message]
        assert 1 <= len(tries) <= 3
        count = site.room.services.metrics.registry.get_sample_value(
            "crdt_chat_snapshots_unverified_total"
        )
        assert count == len(tries)
        assert site.room.page is page
        monkeypatch.undo()
        await anyio.sleep(100.0)
        assert site.room.snapshot_seq > 0
        assert ada.code is None

    at_a_site(story)
