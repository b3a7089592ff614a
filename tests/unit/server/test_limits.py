"""Limits of design 15 at their edge, in virtual time; tests/interop/test_limits.py has the sockets."""

import itertools
import math
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace

import anyio
import pytest
from pycrdt import Doc
from simnet.loop import run
from simnet.process import running
from simnet.site import ADA, Caller, Site, annotation, at_a_site

from crdt_chat.config import Config, Limits, TenantSettings
from crdt_chat.protocol import wire

STEADY = {"operations_per_s": 1.0, "operations_burst": 10.0}


async def arrived(site: Site, grant=ADA) -> Caller:
    """Somebody whose first step 2 is over: from here on she is rated."""
    caller = await site.joined(grant)
    caller.say(wire.step2(Doc().get_update()))
    await caller.until(lambda: caller.saved == 1)
    return caller


async def seconds(caller: Caller, condition: Callable[[], bool]) -> float:
    """How long it takes to come true."""
    began = anyio.current_time()
    await caller.until(condition)
    return anyio.current_time() - began


def test_as_many_operations_as_the_burst_are_at_once_and_one_more_waits() -> None:
    async def story(site: Site) -> None:
        ada, doc = await arrived(site), Doc(client_id=70_000)
        for number in range(12):
            ada.say(wire.update(annotation(doc, f"a{number}")))
        assert await seconds(ada, lambda: ada.saved >= 11) < 0.5
        assert 0.5 < await seconds(ada, lambda: ada.saved == 13) < 4

    at_a_site(story, replace(Limits(), **STEADY))


@pytest.mark.parametrize("cost", [10.0, 1.0])
def test_a_refused_operation_counts_as_many_as_the_setting_says(cost: float) -> None:
    async def story(site: Site) -> None:
        eve, doc = await arrived(site), Doc(client_id=70_000)
        for number in range(4):
            eve.say(wire.update(annotation(doc, f"a{number}", title="t" * 501)))
        took = await seconds(eve, lambda: len(eve.controls("refused")) == 4)
        assert (took > 15) is (cost == 10.0)

    at_a_site(story, replace(Limits(), refusal_cost=cost, **STEADY))


def at_a_tenant(story: Callable[[Site], Awaitable[None]], tenant: TenantSettings) -> None:
    """Tell a story at a site whose one tenant has settings of its own."""

    async def main() -> None:
        site = Site()
        site.process._config = Config(tenants=(tenant,))
        async with running(site.process):
            await story(site)

    run(main())


def test_the_rate_is_the_tenants_own() -> None:
    async def story(site: Site) -> None:
        ada, doc = await arrived(site), Doc(client_id=70_000)
        for number in range(12):
            ada.say(wire.update(annotation(doc, f"a{number}")))
        assert await seconds(ada, lambda: ada.saved == 13) > 0.5

    at_a_tenant(story, TenantSettings("t", open=True, **STEADY))


def test_the_page_limits_are_the_tenants_own() -> None:
    async def story(site: Site) -> None:
        ada, doc = await arrived(site), Doc(client_id=70_000)
        for number in range(3):
            ada.say(wire.update(annotation(doc, f"a{number}")))
        await ada.until(lambda: ada.saved == 4)
        [told] = ada.controls("refused")
        assert [(one["key"], one["rule"]) for one in told["operations"]] == [
            ("annotations/a2", "limit")
        ]

    page = replace(Config().page, annotations=2)
    at_a_tenant(story, TenantSettings("t", open=True, page=page))


def test_a_commit_queue_full_of_bytes_is_not_added_to() -> None:
    async def story(site: Site) -> None:
        queue, largest = site.process.rooms.services.queue, 0
        site.disk.slowest = 0.5
        people = [await arrived(site, replace(ADA, user=user)) for user in ("ada", "bob", "eve")]
        docs = [Doc(client_id=70_000 + number) for number in range(3)]
        sizes = []
        for number, (who, doc) in itertools.product(range(20), zip(people, docs, strict=True)):
            user = ("ada", "bob", "eve")[docs.index(doc)]
            update = annotation(doc, f"{user}-{number}", user=user, title="t" * 400)
            sizes.append(len(update))
            who.say(wire.update(update))
        while any(who.saved < 21 for who in people):
            largest = max(largest, queue.bytes)
            await anyio.sleep(0.01)
        # each of the three may have had one more in its hands
        assert 1_000 <= largest < 1_000 + 3 * max(sizes) + 200
        assert len(list(site.room.page.items("annotations"))) == 60

    at_a_site(story, replace(Limits(), commit_queue_bytes=1_000))


@pytest.mark.parametrize(("others", "least", "most"), [(8, 60, 101), (60, 20, 28), (300, 20, 28)])
def test_commits_in_a_row_keep_a_distance_that_grows_with_the_audience(
    others: int, least: int, most: int
) -> None:
    """A frame for everybody is what a commit costs; half a second of writing must not come to 100."""

    async def story(site: Site) -> None:
        ada, doc = await arrived(site), Doc(client_id=70_000)
        bob = await site.synced(replace(ADA, user="bob"))
        for number in range(others):
            site.dial(replace(ADA, user=f"u{number}"), caps=False)
        await anyio.sleep(1.0)
        before = bob.count(wire.Update)
        for number in range(100):
            ada.say(wire.update(annotation(doc, f"a{number}")))
            await anyio.sleep(0.005)
        await ada.until(lambda: ada.saved == 101)
        await anyio.sleep(0.1)
        assert least <= bob.count(wire.Update) - before <= most

    at_a_site(story, replace(Limits(), operations_per_s=1e6, operations_burst=1e6))


def test_an_empty_page_stays_for_its_time_and_a_dirty_one_for_longer() -> None:
    async def story(site: Site) -> None:
        ada, doc = await arrived(site), Doc(client_id=70_000)
        ada.say(wire.update(annotation(doc, "a1")))
        await ada.until(lambda: ada.saved == 2)
        ada.link.close()
        await anyio.sleep(25.0)
        assert len(site.process.rooms) == 1
        await anyio.sleep(20.0)
        assert len(site.process.rooms) == 0
        bob = await arrived(site, replace(ADA, user="bob"))
        site.disk.full = True
        bob.say(wire.update(annotation(Doc(client_id=70_001), "b1", user="bob")))
        await anyio.sleep(1.0)
        bob.link.close()
        await anyio.sleep(200.0)
        assert len(site.process.rooms) == 1, "a page that could not be saved was let go"
        site.disk.full = False
        await anyio.sleep(120.0)
        assert len(site.process.rooms) == 0

    at_a_site(story, replace(Limits(), page_idle_s=30.0))


def test_more_people_than_the_list_holds_are_counted_and_listed_on_request() -> None:
    async def story(site: Site) -> None:
        first = await arrived(site)
        for count in (2, 3):
            await arrived(site, replace(ADA, user=f"user {count}"))
            await first.until(lambda count=count: first.controls("presence")[-1]["count"] == count)
        listed = {body["count"]: "users" in body for body in first.controls("presence")}
        assert listed == {1: True, 2: True, 3: False}
        first.say(wire.control({"type": "presence"}))
        await first.until(lambda: "users" in first.controls("presence")[-1])
        assert len(first.controls("presence")[-1]["users"]) == 3

    at_a_site(story, replace(Limits(), presence_list_users=2))


def test_a_lost_socket_stays_present_for_its_grace() -> None:
    async def story(site: Site) -> None:
        ada = await arrived(site)
        bob = await arrived(site, replace(ADA, user="bob"))
        await ada.until(lambda: ada.controls("presence")[-1]["count"] == 2)
        bob.link.abort()
        await anyio.sleep(2.0)
        assert ada.controls("presence")[-1]["count"] == 2
        assert await seconds(ada, lambda: ada.controls("presence")[-1]["count"] == 1) < 2.0

    at_a_site(story)


def test_lifted_limits_are_rates_and_counts_alone() -> None:
    lifted, usual = Limits().lifted(), Limits()
    for one in fields(Limits):
        value = getattr(lifted, one.name)
        rate = one.name.startswith(("connections_", "operations_")) or one.name.endswith("_per_s")
        assert value == (math.inf if rate else getattr(usual, one.name)), one.name


def test_what_builds_on_anothers_work_that_is_not_there_is_judged_after_the_patience() -> None:
    async def story(site: Site) -> None:
        ada = await arrived(site)
        ada.say(wire.awareness_of([wire.encode_entry(wire.AwarenessEntry(70_000, 1, "{}"))]))
        await ada.until(lambda: bool(site.room.page.announced))
        eve, doc = site.dial(replace(ADA, user="eve")), Doc(client_id=70_001)
        # Ada's client id is not Eve's to use: that is dropped, and hers over it lacks it.
        other = Doc(client_id=70_000)
        doc.apply_update(annotation(other, "a1", user="eve"))
        annotation(doc, "a1", user="eve", title="over it")

        async def answers() -> None:
            asked = 0
            while not (eve.controls("refused") or eve.saved):
                if eve.count(wire.SyncStep1) > asked:
                    asked = eve.count(wire.SyncStep1)
                    eve.say(wire.step2(doc.get_update()))
                await anyio.sleep(0.01)

        began = anyio.current_time()
        await answers()
        assert 8.0 <= anyio.current_time() - began < 20.0

    at_a_site(story, replace(Limits(), gap_patience_s=8.0))
