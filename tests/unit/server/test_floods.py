"""Refusals as a flood, in virtual time: how much of it is judged, and that others wait for none of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest
from pycrdt import Doc
from simnet.site import ADA, Caller, Site, annotation, at_a_site

from crdt_chat.config import Limits
from crdt_chat.protocol import wire

RATE, BURST, COST, PATIENCE_S = 20.0, 200.0, 10.0, 30.0
LIMITS = replace(
    Limits(),
    operations_per_s=RATE,
    operations_burst=BURST,
    refusal_cost=COST,
    rate_patience_s=PATIENCE_S,
)
EVE = replace(ADA, user="eve")


async def arrived(site: Site, user: str, page: str = "p") -> Caller:
    """Somebody whose first step 2 is over: from here on she is rated."""
    caller = await site.joined(replace(ADA, user=user), page=page)
    caller.say(wire.step1(b"\x00"))
    caller.say(wire.step2(Doc().get_update()))
    await caller.until(lambda: caller.saved == 1)
    return caller


def flood(creator: str, client: int = 70_000) -> list[bytes]:
    """900 frames of eve's, each a new annotation. The first is hers, so that the client id is, too."""
    doc = Doc(client_id=client)
    frames = [annotation(doc, f"e{client}", user="eve")]
    frames += [annotation(doc, f"{creator}{number}", user=creator) for number in range(899)]
    return [wire.update(frame) for frame in frames]


def refused(caller: Caller) -> int:
    """How many of its operations were judged and refused."""
    return sum(len(told["operations"]) for told in caller.controls("refused"))  # type: ignore[arg-type]


def heard(caller: Caller, name: str) -> bool:
    """Whether an increment with this text in it has come."""
    found = [message for message in caller.heard if isinstance(message, wire.Update)]
    return any(name.encode() in message.update for message in found)


async def judged_by(seconds: list[float], count: Callable[[], int]) -> list[int]:
    """What `count` says after each of these seconds from now."""
    began, found = anyio.current_time(), []
    for second in seconds:
        await anyio.sleep(began + second - anyio.current_time())
        found.append(count())
    return found


@pytest.mark.parametrize(("creator", "cost"), [("eve", 1.0), ("ada", COST)])
def test_what_is_judged_of_a_flood_falls_to_the_rate_and_of_refusals_to_a_tenth_of_it(
    creator: str, cost: float
) -> None:
    async def story(site: Site) -> None:
        eve = await arrived(site, "eve")
        for frame in flood(creator):
            eve.say(frame)
        counted = (lambda: refused(eve)) if creator == "ada" else (lambda: eve.saved - 1)
        at_once, *later = await judged_by([0.5, 5.5, 10.5, 20.5], counted)
        burst, rate = BURST / cost, RATE / cost
        assert burst - 1 <= at_once <= burst + rate
        for known, seconds in zip(later, (5, 10, 20), strict=True):
            assert abs(known - at_once - rate * seconds) <= 1, (at_once, later)
        assert eve.code is None

    at_a_site(story, LIMITS)


def test_who_goes_on_with_it_is_closed_when_the_patience_is_over() -> None:
    async def story(site: Site) -> None:
        eve = await arrived(site, "eve")
        for frame in flood("ada"):
            eve.say(frame)
        began = anyio.current_time()
        await eve.until(lambda: eve.code is not None)
        assert eve.code == 4529
        assert abs(anyio.current_time() - began - PATIENCE_S) < 2
        # The rest of the 900 was never looked at.
        assert refused(eve) <= (BURST + RATE * (PATIENCE_S + 2)) / COST
        assert [name for name, _ in site.room.page.items("annotations")] == ["e70000"]

    at_a_site(story, LIMITS)


def during_a_flood(story: Callable[[Site, Caller], Awaitable[None]]) -> None:
    """Tell a story at a site where ten connections of eve's flood the page, each with 899 refusals."""

    async def main(site: Site) -> None:
        thieves = [await arrived(site, "eve") for _ in range(10)]
        for number, thief in enumerate(thieves):
            for frame in flood("ada", 80_000 + number):
                thief.say(frame)
        await story(site, thieves[0])
        assert all(thief.code is None for thief in thieves), (
            "the flood was over before it was tried"
        )
        assert 10 * BURST / COST <= sum(map(refused, thieves)) < 10 * 899

    at_a_site(main, LIMITS)


@pytest.mark.parametrize("page", ["p", "another"])
def test_others_are_judged_served_and_answered_during_a_flood(page: str) -> None:
    """On the page that is flooded and on another one: a change arrives at once, a step 1 is answered."""

    async def story(site: Site, _thief: Caller) -> None:
        ada, bob = await arrived(site, "ada", page), await arrived(site, "bob", page)
        doc, slowest = Doc(client_id=90_000), 0.0
        for number in range(10):
            began = anyio.current_time()
            ada.say(wire.update(annotation(doc, f"ada-{number}")))
            await ada.until(lambda number=number: ada.saved == number + 2)
            await bob.until(lambda number=number: heard(bob, f"ada-{number}"))
            before = bob.count(wire.SyncStep2)
            bob.say(wire.step1(b"\x00"))
            await bob.until(lambda before=before: bob.count(wire.SyncStep2) == before + 1)
            slowest = max(slowest, anyio.current_time() - began)
            await anyio.sleep(0.5)
        assert slowest < 0.1, "somebody had to wait for the flood"

    during_a_flood(story)


def test_a_newcomer_comes_in_during_a_flood() -> None:
    async def story(site: Site, _thief: Caller) -> None:
        began = anyio.current_time()
        late = await arrived(site, "late")
        late.say(wire.step1(b"\x00"))
        await late.until(lambda: late.count(wire.SyncStep2) == 2)
        assert anyio.current_time() - began < 0.1

    during_a_flood(story)
