"""Attacks with client ids and clocks: theft, squatting, burning, gaps, reuse, overlaps, circles."""

import json
from collections.abc import Callable

import pytest
from entries import comment
from forged import Forged
from scene import Scene
from simulation.forgery import clocks
from yjs_peer import YjsBrowser

from crdt_chat.page.update import Id
from crdt_chat.protocol import wire

pytestmark = pytest.mark.node


def clock(reader: YjsBrowser, of: YjsBrowser) -> int:
    """The next clock of a replica, as another knows it."""
    return clocks(reader.state_vector()).get(of.client, 0)


def next_of(scene: Scene, of: YjsBrowser) -> Forged:
    return Forged(of.client, clock(scene.eve, of))


def test_writing_under_her_victims_id(scene: Scene) -> None:
    scene.attacks = 3
    with scene.attack() as eve:
        stolen = next_of(scene, scene.ada)
        stolen.set("comments", "a1/f1", comment("ada", scene.marker))
        eve.inject(stolen.update())
        eve.inject(stolen.step2())
        hers = next_of(scene, scene.ada)
        hers.set("comments", "a1/f2", comment("eve", scene.marker))
        eve.inject(hers.update())


def test_burning_her_victims_clocks(scene: Scene) -> None:
    # Replaced by a Gc, whatever ada writes next would be taken for known and vanish.
    scene.attacks = 4
    with scene.attack() as eve:
        burnt = next_of(scene, scene.ada)
        burnt.gc(1)
        eve.inject(burnt.update())
        eve.inject(burnt.step2())
        many = next_of(scene, scene.ada)
        many.gc(2**20)
        eve.inject(many.step2())
        dead = next_of(scene, scene.ada)
        dead.tombstone("comments", "a1/f1")
        eve.inject(dead.step2())


def test_writing_far_ahead_under_her_victims_id(scene: Scene) -> None:
    with scene.attack() as eve:
        ahead = Forged(scene.ada.client, clock(eve, scene.ada) + 1_000)
        ahead.set("comments", "a1/f1", comment("ada", scene.marker))
        eve.inject(ahead.update())
        eve.inject(ahead.step2())


def test_an_edit_in_the_name_and_under_the_id_of_its_author(scene: Scene) -> None:
    with scene.attack() as eve:
        stolen = next_of(scene, scene.ada)
        stolen.set("comments", "a1/c1", comment("ada", scene.marker), (scene.ada.client, 1))
        eve.inject(stolen.step2())


def test_hanging_her_own_item_on_a_stolen_one(scene: Scene) -> None:
    with scene.attack(ends="free") as eve:
        both = next_of(scene, scene.ada)
        unit = both.set("comments", "a1/f1", comment("ada", scene.marker))
        both.at(eve.client, clock(eve, eve)).set("comments", "", comment("eve", scene.marker), unit)
        eve.inject(both.update())
        scene.settle(rounds=2)


def test_announcing_her_victims_id_as_her_own(scene: Scene) -> None:
    """A second window of eve's says that it is ada's, before ada's own next word."""
    scene.attacks = 2
    with scene.attack(), scene.raw() as thief:
        said = wire.AwarenessEntry(scene.ada.client, 2**40, json.dumps({"word": scene.marker}))
        thief.send(wire.awareness_of([wire.encode_entry(said)]))
        stolen = next_of(scene, scene.ada)
        stolen.set("comments", "a1/f1", comment("eve", scene.marker))
        thief.send(stolen.step2())
        thief.settle()
        assert scene.bob.states()[scene.ada.client]["user"]["id"] == "ada"


def test_squatting_on_the_ids_of_the_server(scene: Scene) -> None:
    with scene.attack() as eve:
        eve.transact([("set", "comments", "e1/c1", comment("eve", scene.marker, edited=-1))])
        eve.wait(content=scene.before)
        vector = clocks(eve.state_vector())
        server = min(vector)
        assert server < 2**16, "the refused edit was not put back by the server"
        stolen = Forged(server, vector[server])
        stolen.set("comments", "a1/f1", comment("eve", scene.marker))
        eve.inject(stolen.step2())


def test_ids_that_nobody_announced_with_words_of_others(scene: Scene) -> None:
    scene.attacks = 3
    with scene.attack() as eve:
        for number, root in enumerate(("comments", "annotations", "resolved")):
            squatted = Forged(77_000 + number)
            squatted.set(root, f"a1/f{number}" if root == "comments" else "a1", {
                "creator": "ada", "by": "ada", "created": 1, "body": scene.marker,
            })  # fmt: skip
            eve.inject(squatted.step2())


def test_a_thousand_new_ids_at_once(stage: Callable[..., Scene]) -> None:
    scene = stage(tenant="tight")
    with scene.attack() as eve:
        many = Forged(0)
        for number in range(1_000):
            many.at(100_000 + number, 0).set(
                "comments", f"a1/f{number}", {"creator": "eve", "x": scene.marker}
            )
        for part in range(0, 1_000, 250):
            chosen = {each: many.structs[each] for each in range(100_000 + part, 100_250 + part)}
            few = Forged(0)
            few.structs = chosen
            eve.inject(few.update())


@pytest.mark.parametrize("ahead", [1, 1_000, 2**30])
def test_a_clock_that_is_ahead(scene: Scene, ahead: int) -> None:
    with scene.attack() as eve:
        gap = Forged(eve.client, clock(eve, eve) + ahead)
        gap.set("comments", "a1/f1", comment("eve", scene.marker))
        eve.inject(gap.update())
        scene.settle(rounds=2)


def test_a_gap_in_a_step_2_until_the_patience_ends(scene: Scene) -> None:
    """Asked again and again she never fills it: it stays out, and so does what came with it."""
    with scene.attack() as eve:
        gap = Forged(eve.client, clock(eve, eve))
        gap.skip(3)
        gap.set("comments", "a1/f1", comment("ada", scene.marker))
        eve.inject(gap.step2())
        scene.settle(rounds=2)


def test_using_a_clock_again_for_other_words(scene: Scene) -> None:
    scene.attacks = 3
    with scene.attack() as eve:
        for before in (0, 1):
            again = Forged(eve.client, before)
            again.set("comments", "e1/c1", comment("eve", scene.marker))
            eve.inject(again.update())
            eve.inject(again.step2())
        long = Forged(eve.client, 0)
        long.gc(clock(eve, eve))
        eve.inject(long.step2())


def test_what_is_new_behind_what_is_known(scene: Scene) -> None:
    """The known part is cut off, whatever it says now; the new one is judged."""
    with scene.attack() as eve:
        before = clock(eve, eve)
        overlap = Forged(eve.client, before - 1)
        overlap.set("comments", "e1/c1", comment("eve", scene.marker))
        overlap.set("comments", "a1/f1", comment("ada", scene.marker))
        eve.forge(overlap.data())
        eve.inject(overlap.update())


def test_her_own_clocks_burnt(scene: Scene) -> None:
    with scene.attack() as eve:
        burnt = Forged(eve.client, clock(eve, eve))
        burnt.gc(2**20)
        eve.forge(burnt.data())
        eve.transact([("set", "comments", "a1/f1", comment("ada", scene.marker))])


def circle(scene: Scene) -> list[Forged]:
    eve, other = scene.eve.client, 88_000
    mine, unit = clock(scene.eve, scene.eve), (other, 0)
    first = Forged(eve, mine)
    first.set("comments", "", comment("eve", scene.marker), unit)
    first.at(other, 0).set("comments", "", comment("eve", scene.marker), (eve, mine))
    # Through the order of clocks: what an item hangs on comes after what hangs behind it.
    second = Forged(eve, mine)
    second.set("comments", "", comment("eve", scene.marker), (other, 1))
    last = second.set("comments", "a1/f1", comment("eve", scene.marker))
    second.at(other, 0).set("comments", "", comment("eve", scene.marker), last)
    second.set("comments", "a1/f2", comment("eve", scene.marker))
    return [first, second]


@pytest.mark.parametrize("which", [0, 1])
def test_items_that_wait_for_each_other(scene: Scene, which: int) -> None:
    with scene.attack(ends=4400) as eve:
        eve.inject(circle(scene)[which].update())


def test_her_items_over_units_of_others(scene: Scene) -> None:
    """Origins in ada's annotation, in bob's reaction, in a dead unit, each with the name of another key."""
    ada, bob = scene.ada.client, scene.bob.client
    units: list[Id] = [(ada, 0), (ada, 1), (bob, 0), (bob, 1)]
    scene.attacks = len(units)
    with scene.attack(ends=4403) as eve:
        foreign = Forged(eve.client, clock(eve, eve))
        for unit in units:
            foreign.set("comments", "", comment("eve", scene.marker), unit)
        eve.forge(foreign.data())


def test_her_items_over_units_of_others_without_deleting_these(scene: Scene) -> None:
    with scene.attack(ends=4403) as eve:
        foreign = Forged(eve.client, clock(eve, eve))
        foreign.set("comments", "", comment("eve", scene.marker), (scene.ada.client, 1))
        foreign.deleted.clear()
        eve.forge(foreign.data())


def test_dead_items_over_units_of_others(scene: Scene) -> None:
    """What is deleted from the beginning wins over a live value all the same."""
    with scene.attack(ends=4403) as eve:
        foreign = Forged(eve.client, clock(eve, eve))
        foreign.tombstone("comments", "", (scene.ada.client, 1), length=5)
        eve.forge(foreign.data())


def test_an_origin_in_a_unit_that_nobody_has(scene: Scene) -> None:
    with scene.attack() as eve:
        lost = Forged(eve.client, clock(eve, eve))
        lost.set("comments", "", comment("eve", scene.marker), (99_999, 7))
        eve.inject(lost.update())
        scene.settle(rounds=2)


def test_squatting_with_dead_units_on_names_to_come(scene: Scene) -> None:
    """Tombstones on facts of others: with the highest client id they would outdo them for ever."""
    high = scene.arena.browser(scene.page, "eve", client=2**32 - 2)
    scene.others.append(high)
    high.wait(synced=True)
    with scene.attack():
        squat = Forged(high.client)
        squat.tombstone("resolved", "a1")
        squat.tombstone("deleted", "a1/c1/ada")
        squat.tombstone("closed", "page")
        squat.tombstone("page", "title")
        high.forge(squat.data())
        high.wait(denied=True)
        assert high.status().denied["code"] == 4403
