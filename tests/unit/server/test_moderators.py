"""What moderators are told on their sockets, who else is told nothing, and when; in virtual time."""

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from simnet.site import ADA, KEY, T0, Caller, Site, at_a_site

from crdt_chat.config import Limits
from crdt_chat.errors import TryLater
from crdt_chat.identity import Grant, Role
from crdt_chat.protocol import wire
from crdt_chat.server.moderation.moderation import Moderation, Request
from crdt_chat.server.moderation.moderators import AGAIN_S, EXCERPT, PAUSE_S
from store.errors import Unavailable

MOD = Grant("t", "mod", "Mod", Role.MODERATOR)
BOB = Grant("t", "bob", "Bob", Role.COMMENTER)
LONG = 30.0


def now(site: Site) -> int:
    return site.process.rooms.services.clock.now()


def verbs(site: Site) -> Moderation:
    return Moderation(site.process.rooms, site.disk.kept.moderation)


async def act(site: Site, action: str, entity: str, reason: str = "", grant: Grant = MOD) -> None:
    await verbs(site).act(KEY, grant, Request(action, entity, reason))


async def flag(site: Site, entity: str, reason: str = "", grant: Grant = BOB) -> None:
    await verbs(site).flag(KEY, grant, Request("flag", entity, reason))


async def told(caller: Caller, **wanted: Any) -> dict[str, Any]:
    """The newest frame for moderators, once it has these fields."""

    def found() -> bool:
        frames = caller.controls("moderation")
        return bool(frames) and wanted.items() <= frames[-1].items()

    await caller.until(found)
    return caller.controls("moderation")[-1]


def counts(flags: int = 0, hidden: int = 0, closed: int = 0, rulings: int = 0) -> dict[str, int]:
    return {"flags": flags, "hidden": hidden, "closed": closed, "rulings": rulings}


def test_a_moderator_is_told_at_join_and_of_each_change_with_its_reason() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        await flag(site, "a1", "spam")
        mod = site.dial(MOD, watches=True)
        frame = await told(mod, counts=counts(flags=1))
        assert frame["moderates"] is True
        at = frame["flags"][0].pop("at")
        assert abs(at - now(site)) < 10_000
        assert frame["flags"] == [{"entity": "a1", "user": "bob", "reason": "spam"}]
        await act(site, "hide", "a1", "off topic")
        frame = await told(mod, counts=counts(hidden=1, rulings=1))
        [hidden] = frame["hidden"]
        assert (hidden["entity"], hidden["by"], hidden["reason"]) == ("a1", "mod", "off topic")
        assert (hidden["creator"], hidden["excerpt"]) == ("ada", "words")
        await act(site, "unhide", "a1")
        await told(mod, counts=counts(rulings=2))
        await act(site, "close", "page", "enough")
        frame = await told(mod, counts=counts(closed=1, rulings=3))
        await mod.until(lambda: mod.controls("moderation")[-1]["closed"][0]["reason"] == "enough")
        assert frame["closed"][0]["by"] == "mod"
        await act(site, "reopen", "page")
        await told(mod, counts=counts(rulings=4))

    at_a_site(story)


def test_the_reason_of_what_was_put_back_is_told_newest_first() -> None:
    """Nothing else of the page shows an unhiding, a restore, a reopening or an answered flag."""

    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        assert (await told(mod, counts=counts()))["rulings"] == []
        await flag(site, "a1", "spam")
        other = replace(MOD, user="mia")
        said = [
            ("hide", "a1", "off topic", MOD), ("unhide", "a1", "a mistake", other),
            ("close", "a1", "enough", MOD), ("reopen", "a1", "they are calm", other),
            ("close", "page", "a wave of spam", MOD), ("reopen", "page", "", MOD),
        ]  # fmt: skip
        for action, entity, reason, grant in said:
            await act(site, action, entity, reason, grant)
        async with site.process.rooms.open(KEY) as room:
            gone = [("deleted", "a1/ada", {"by": "ada", "at": T0}), ("annotations", "a1", None)]
            await room.write(gone, ADA)
        await act(site, "restore", "a1", "deleted by mistake")
        said.append(("restore", "a1", "deleted by mistake", MOD))
        await flag(site, "a1", "again")
        await act(site, "dismiss", "a1", "it may stay")
        said.append(("dismiss", "a1", "it may stay", MOD))
        frame = await told(mod, counts=counts(rulings=len(said)))
        assert [(e["action"], e["entity"], e["reason"], e["by"]) for e in frame["rulings"]] == [
            (action, entity, reason, grant.user) for action, entity, reason, grant in said[::-1]
        ]
        assert all(abs(entry["at"] - now(site)) < 60_000 for entry in frame["rulings"])
        late = site.dial(MOD, watches=True)
        assert (await told(late, moderates=True))["rulings"] == frame["rulings"]

    at_a_site(story)


def test_what_is_hidden_and_why_it_was_come_in_one_frame() -> None:
    """They are one commit: no moderator is told of a change without its reason."""

    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts())
        await act(site, "hide", "a1", "off topic")
        await told(mod, counts=counts(hidden=1, rulings=1))
        await act(site, "unhide", "a1", "a mistake")
        await told(mod, counts=counts(rulings=2))
        seen = [frame["counts"] for frame in mod.controls("moderation")]
        assert seen == [counts(), counts(hidden=1, rulings=1), counts(rulings=2)]

    at_a_site(story)


@pytest.mark.parametrize("action", ["hide", "close", "unhide", "restore", "reopen"])
def test_a_ruling_is_noted_if_and_only_if_it_is_durable(action: str) -> None:
    """With its reason for moderators and in the audit log, also where a crash hides that it was saved."""

    async def story(site: Site) -> None:
        await site.write("a1")
        if action == "unhide":
            await act(site, "hide", "a1")
        elif action == "restore":
            async with site.process.rooms.open(KEY) as room:
                gone = [("deleted", "a1/ada", {"by": "ada", "at": T0}), ("annotations", "a1", None)]
                await room.write(gone, ADA)
        before = await noted(site)
        for odds, expected in (("fails", before), ("lies", [*before, (action, "because")])):
            setattr(site.disk, odds, 1.0)
            with pytest.raises(TryLater):
                await act(site, action, "a1", "because")
            setattr(site.disk, odds, 0.0)
            assert await noted(site) == expected
            audit = await site.disk.kept.trust.audit("t")
            kept = [(entry.action, json.loads(entry.detail)["reasoned"]) for entry in audit]
            assert kept == [(f"moderation.{verb}", bool(reason)) for verb, reason in expected]
            await anyio.sleep(LONG)

    at_a_site(story)


def test_a_moderator_who_comes_across_a_broken_page_is_told_once_it_is_loaded_again() -> None:
    """Nobody else had touched it, and she was told nothing until something changed (seed 422175)."""

    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts())
        site.room.page._being.broken = True
        site.process.rooms.services.moderators.noted(KEY)
        await act(site, "dismiss", "a1", "fine")
        await told(mod, counts=counts(rulings=1))

    at_a_site(story)


def test_who_is_here_is_told_of_a_ruling_whose_commit_was_only_said_to_have_failed() -> None:
    """What was noted had been read before, and was not read anew with the page (simulated seed 421314)."""

    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts())
        site.disk.lies = 1.0
        with pytest.raises(TryLater):
            await act(site, "close", "page", "enough")
        site.disk.lies = 0.0
        frame = await told(mod, counts=counts(closed=1, rulings=1))
        assert [entry["reason"] for entry in frame["closed"] + frame["rulings"]] == ["enough"] * 2

    at_a_site(story)


async def noted(site: Site) -> list[tuple[str, str]]:
    entries = await site.disk.kept.moderation.of("t", KEY.page)
    return [(entry.action, entry.reason) for entry in entries]


def test_of_more_rulings_than_the_limit_the_newest_are_told() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        for number in range(4):
            await act(site, "dismiss", "a1", f"reason {number}")
        frame = await told(site.dial(MOD, watches=True), counts=counts(rulings=4))
        assert [entry["reason"] for entry in frame["rulings"]] == ["reason 3", "reason 2"]

    at_a_site(story, replace(Limits(), moderation_rulings=2))


def test_a_ruling_that_names_an_erased_user_or_is_hers_is_not_told_again() -> None:
    async def story(site: Site) -> None:
        for number, reason in enumerate(["bob was rude", "calm", "rude"]):
            await site.write(f"a{number}")
            grant = replace(MOD, user="bob") if number == 2 else MOD
            await act(site, "dismiss", f"a{number}", reason, grant)
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts(rulings=3))
        await site.disk.kept.moderation.erase("t", user="bob")
        site.process.rooms.services.moderators.erased("t")
        frame = await told(mod, counts=counts(rulings=1))
        assert "bob" not in str(frame)
        assert [entry["reason"] for entry in frame["rulings"]] == ["calm"]

    at_a_site(story)


def test_what_a_crdt_client_closes_is_told_without_a_reason_of_another_time() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await act(site, "close", "a1", "enough")
        await told(mod, counts=counts(closed=1, rulings=1))
        await act(site, "reopen", "a1")
        await told(mod, counts=counts(rulings=2))
        value = {"by": "mod", "at": now(site), "closed": True}
        async with site.process.rooms.open(KEY) as room:
            await room.write([("closed", "a1", value)], MOD)
        frame = await told(mod, counts=counts(closed=1, rulings=2))
        expected = {"entity": "a1", "by": "mod", "at": value["at"], "reason": ""}
        assert frame["closed"] == [expected]

    at_a_site(story)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.COMMENTER, Role.EDITOR])
def test_who_does_not_moderate_is_told_nothing_however_she_asks(role: Role) -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        eve = site.dial(Grant("t", "eve", "Eve", role), watches=True)
        eve.say(wire.control({"type": "moderation"}))
        eve.say(wire.control({"type": "moderation", "moderates": True}))
        mod = site.dial(MOD, watches=True)
        unasked = site.dial(MOD)
        await flag(site, "a1", "spam")
        await act(site, "close", "a1", "enough")
        await told(mod, counts=counts(flags=1, closed=1, rulings=1))
        await anyio.sleep(LONG)
        assert eve.controls("moderation") == unasked.controls("moderation") == []

    at_a_site(story)


def test_a_stock_client_with_this_capability_alone_gets_these_frames_alone() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, caps=False, watches=True)
        await told(mod, counts=counts())
        await anyio.sleep(LONG)
        kinds = {message.body["type"] for message in mod.heard if isinstance(message, wire.Control)}
        assert kinds == {"moderation"}

    at_a_site(story)


def test_a_role_gives_and_takes_it_on_the_live_socket() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        await flag(site, "a1", "spam")
        eve = site.dial(Grant("t", "eve", "Eve", Role.EDITOR), watches=True)
        await eve.until(lambda: bool(eve.controls("hello")))
        [peer] = site.room.peers.values()
        peer.regrant(replace(peer.grant, role=Role.MODERATOR))
        await told(eve, counts=counts(flags=1))
        peer.regrant(replace(peer.grant, role=Role.COMMENTER))
        await told(eve, moderates=False)
        before = len(eve.controls("moderation"))
        assert eve.controls("moderation")[-1] == {"type": "moderation", "moderates": False}
        await act(site, "close", "a1", "enough")
        await anyio.sleep(LONG)
        assert len(eve.controls("moderation")) == before
        peer.regrant(replace(peer.grant, role=Role.ADMIN))
        await told(eve, counts=counts(flags=1, closed=1, rulings=1))

    at_a_site(story)


def test_the_power_that_ends_while_a_frame_is_made_ends_before_it() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        eve = site.dial(MOD, watches=True)
        await told(eve, counts=counts())
        [peer] = site.room.peers.values()
        await flag(site, "a1", "secret")
        peer.regrant(replace(peer.grant, role=Role.EDITOR))
        await anyio.sleep(LONG)
        assert "secret" not in str(eve.heard)

    at_a_site(story)


def test_nothing_is_told_that_is_not_durable() -> None:
    """While the disk is full nothing is hidden for anybody, and no frame says so."""

    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts())
        site.disk.full = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tried, site)
            await anyio.sleep(LONG)
            assert mod.controls("moderation")[-1]["counts"] == counts()
            late = site.dial(MOD, watches=True)
            await anyio.sleep(LONG)
            assert not any(frame["hidden"] for frame in late.controls("moderation"))
            tasks.cancel_scope.cancel()
        site.disk.full = False
        await mod.until(lambda: not site.room.suspended)
        await act(site, "hide", "a1", "this time")
        frame = await told(mod, counts=counts(hidden=1, rulings=1))
        assert frame["hidden"][0]["reason"] == frame["rulings"][0]["reason"] == "this time"
        await told(late, counts=counts(hidden=1, rulings=1))

    at_a_site(story)


async def _tried(site: Site) -> None:
    while True:
        try:
            await act(site, "hide", "a1", "never durable")
        except Exception:  # noqa: BLE001 - whatever it is told, it tries again
            await anyio.sleep(1)


def test_changes_that_come_together_are_told_together() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts())
        before = len(mod.controls("moderation"))
        began = anyio.current_time()
        for number in range(40):
            await flag(site, "a1", grant=Grant("t", f"u{number}", "U", Role.COMMENTER))
        await told(mod, counts=counts(flags=40))
        frames = len(mod.controls("moderation")) - before
        assert frames <= 2 + (anyio.current_time() - began) / PAUSE_S

    at_a_site(story)


def test_of_more_than_the_limit_the_oldest_flags_and_the_newest_closings_are_told() -> None:
    async def story(site: Site) -> None:
        for number in range(4):
            await site.write(f"a{number}")
            await flag(site, f"a{number}")
            await act(site, "close", f"a{number}")
            await anyio.sleep(1)
        mod = site.dial(MOD, watches=True)
        frame = await told(mod, counts=counts(flags=4, closed=4, rulings=4))
        assert [flag["entity"] for flag in frame["flags"]] == ["a0", "a1", "a2"]
        assert [closed["entity"] for closed in frame["closed"]] == ["a3", "a2", "a1"]
        await act(site, "dismiss", "a0")
        frame = await told(mod, counts=counts(flags=3, closed=4, rulings=5))
        assert [flag["entity"] for flag in frame["flags"]] == ["a1", "a2", "a3"]

    at_a_site(story, replace(Limits(), moderation_entries=3))


def test_of_what_is_hidden_a_frame_holds_the_beginning_only() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        body = "x" * 9_000
        replies = [
            ("comments", f"a1/c{number}", {"creator": "ada", "created": T0, "body": body})
            for number in range(20)
        ]
        async with site.process.rooms.open(KEY) as room:
            await room.write(replies, ADA)
        await act(site, "hide", "a1/c0")
        await act(site, "hide", "a1")
        mod = site.dial(MOD, watches=True)
        frame = await told(mod, counts=counts(hidden=2, rulings=2))
        found = {entry["entity"]: entry["excerpt"] for entry in frame["hidden"]}
        assert found == {"a1": "words", "a1/c0": body[:EXCERPT]}
        assert len(json.dumps(frame)) < 1_000

    at_a_site(story)


def test_a_moderator_who_does_not_read_is_told_the_newest_when_she_does() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts())
        [peer] = site.room.peers.values()
        wake, peer.wake = peer.wake, lambda: None
        peer.outbox.push(wire.control({"type": "large", "text": "x" * peer.outbox.limit}))
        await flag(site, "a1", "spam")
        await anyio.sleep(5)
        assert peer.outbox.stale_presence
        assert len(peer.outbox.frames) == 1
        peer.wake = wake
        peer.wake()
        await told(mod, counts=counts(flags=1))

    at_a_site(story)


def test_what_is_erased_is_not_told_again() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        await flag(site, "a1", "bob's words")
        mod = site.dial(MOD, watches=True)
        await told(mod, counts=counts(flags=1))
        await site.disk.kept.moderation.erase("t", user="bob")
        site.process.rooms.services.moderators.erased("t")
        frame = await told(mod, counts=counts())
        assert "bob" not in str(frame)

    at_a_site(story)


def test_what_is_erased_while_a_frame_waits_for_its_commit_is_not_told() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        await flag(site, "a1", "bob's words")
        async with site.process.rooms.open(KEY) as room:
            settled = room.settled

            async def erasing() -> None:
                await settled()
                await site.disk.kept.moderation.erase("t", user="bob")
                room.settled = settled  # type: ignore[method-assign]
                site.process.rooms.services.moderators.erased("t")

            room.settled = erasing  # type: ignore[method-assign]
            mod = site.dial(MOD, watches=True)
            await told(mod, counts=counts())
        assert "bob" not in str(mod.controls("moderation"))

    at_a_site(story)


def test_a_store_that_does_not_answer_is_asked_again() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        await flag(site, "a1")
        moderation, calls = site.disk.kept.moderation, []
        reading = moderation.of

        async def failing(tenant: str, page: str) -> Any:
            calls.append(page)
            if len(calls) < 3:
                raise Unavailable("the disk does not answer")
            return await reading(tenant, page)

        moderation.of = failing  # type: ignore[method-assign]
        mod = site.dial(MOD, watches=True)
        began = anyio.current_time()
        await told(mod, counts=counts(flags=1))
        assert anyio.current_time() - began > 2 * AGAIN_S

    at_a_site(story)


def test_nothing_is_kept_of_a_page_that_no_moderator_looks_at() -> None:
    async def story(site: Site) -> None:
        await site.write("a1")
        desks = site.process.rooms.services.moderators
        one, two = site.dial(MOD, watches=True), site.dial(MOD, watches=True)
        await told(one, counts=counts())
        await told(two, counts=counts())
        one.link.close()
        await flag(site, "a1")
        await told(two, counts=counts(flags=1))
        two.link.close()
        await anyio.sleep(1)
        assert len(desks) == 0
        await flag(site, "a1", grant=ADA)

    at_a_site(story)
