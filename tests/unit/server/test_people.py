"""Who is told that somebody came, went or moved, in virtual time."""

import json
from dataclasses import replace

import anyio
import pytest
from simnet.site import PERFECT, Site, at_a_site

from crdt_chat.config import Limits
from crdt_chat.identity import Grant, Role
from crdt_chat.protocol import wire


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


@pytest.mark.parametrize(("others", "frames"), [(0, 20), (29, 8), (400, 4)])
def test_a_large_audience_is_told_less_often_and_all_the_same(others: int, frames: int) -> None:
    """To tell 400 people takes some 4 ms: a second of moves must not come to 20 times that."""

    async def story(site: Site) -> None:
        ada = site.dial()
        movers = [site.dial(Grant("t", f"m{n}", "Mo", Role.EDITOR)) for n in range(20)]
        for number in range(others):
            site.dial(Grant("t", f"o{number}", "O", Role.EDITOR), caps=False)
        await anyio.sleep(5.0)
        before = ada.count(wire.Awareness)
        for number, mover in enumerate(movers):
            state = json.dumps({"cursor": number})
            entry = wire.AwarenessEntry(70_000 + number, 1, state)
            mover.say(wire.awareness_of([wire.encode_entry(entry)]))
            await anyio.sleep(0.05)
        await anyio.sleep(1.0)
        assert ada.count(wire.Awareness) - before == pytest.approx(frames, abs=1)
        told = [each for each in ada.heard if isinstance(each, wire.Awareness)]
        assert told[-1].entries[-1].client == 70_019

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
