"""Attacks by two: tabs of one person, friends who pass on what was refused, twins under one client id."""

from collections.abc import Callable

import pytest
from entries import NOW, annotation, comment, reply
from forged import Forged
from scene import Scene
from simulation.forgery import clocks
from yjs_peer import YjsBrowser

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node


def refused_words(scene: Scene, root: str = "comments") -> tuple[list[bytes], tuple[int, int]]:
    """eve's refused item, as she sent it, and its unit."""
    clock = clocks(scene.eve.state_vector())[scene.eve.client]
    name = "a1/f1" if root == "comments" else "f1"
    value = comment("ada", scene.marker) if root == "comments" else annotation("ada", scene.marker)
    sent = scene.eve.transact([("set", root, name, value)])
    scene.settle()
    return sent, (scene.eve.client, clock)


def told_in_secret(scene: Scene, friend: YjsBrowser, sent: list[bytes]) -> None:
    """The friend gets eve's own bytes past the server, as if over another channel."""
    friend.forge(*sent)
    scene.settle(friend)


def test_a_friend_passes_on_what_was_refused(scene: Scene) -> None:
    friend = scene.person("frank")
    with scene.attack():
        sent, _ = refused_words(scene)
        with scene.raw("frank") as carrier:
            carrier.send(wire.update(sent[0]), wire.step2(sent[0]))
            carrier.settle()
        friend.wait(content=scene.before)


def test_a_friend_builds_on_what_was_refused(scene: Scene) -> None:
    """frank writes over eve's refused words, which he had from her in secret."""
    with scene.attack(), scene.raw("frank") as frank:
        sent, unit = refused_words(scene)
        over = Forged(92_000)
        over.set("comments", "a1/g1", comment("frank", scene.marker, x=1))
        over.set("comments", "", comment("frank", scene.marker), unit)
        frank.send(wire.update(sent[0]), over.update(), over.step2())
        # Whatever it is called: nothing of it is kept, and he hears of it.
        rules = {each["rule"] for each in frank.controls("refused")["operations"]}
        assert rules <= {"origin", "shape"}
        frank.settle()


def test_a_friend_answers_in_a_thread_that_was_refused(scene: Scene) -> None:
    with scene.attack():
        sent, _ = refused_words(scene, "annotations")
        friend = scene.person("frank")
        friend.disconnect()
        friend.forge(*sent)
        friend.transact([("set", "comments", "f1/c1", comment("frank", scene.marker))])
        friend.connect()
        friend.wait(content=scene.before)


def test_the_good_of_a_deceived_friend_stays(scene: Scene) -> None:
    """His own words in the same batch do not suffer from what he was given."""
    good = reply("frank", "a1/g1", "his own words")
    with scene.attack(accepted=good):
        sent, _ = refused_words(scene)
        friend = scene.person("frank")
        friend.disconnect()
        friend.forge(*sent)
        friend.transact(good)
        friend.connect()
        scene.ada.wait(has=[("comments", "a1/g1")])


def test_a_commenters_discussion_sent_by_an_editor(stage: Callable[..., Scene]) -> None:
    scene = stage(role="commenter")
    with scene.attack() as eve:
        sent = eve.transact([("set", "annotations", "f1", annotation("eve", scene.marker))])
        scene.settle()
        for user, role in (("frank", "editor"), ("mod", "moderator")):
            with scene.raw(user, role) as carrier:
                carrier.send(wire.update(sent[0]), wire.step2(sent[0]))
                carrier.settle()


def test_her_other_tab_builds_on_what_was_refused(scene: Scene) -> None:
    tab = scene.person("eve", connect=False)
    with scene.attack() as eve:
        tab.apply(eve.step2())
        sent, _ = refused_words(scene)
        tab.apply(*sent)
        tab.transact([("set", "comments", "a1/f1", comment("eve", scene.marker))])
        tab.transact(
            [("set", "reactions", "a1/f1/👍/eve", {"at": NOW, "broadcastId": scene.marker})]
        )
        tab.connect()
        tab.wait(content=scene.before)


def test_her_other_tab_brings_what_was_refused_before_she_does(scene: Scene) -> None:
    tab = scene.person("eve", connect=False)
    with scene.attack() as eve:
        eve.disconnect()
        sent = eve.transact([("set", "comments", "a1/f1", comment("ada", scene.marker))])
        tab.apply(eve.step2())
        tab.connect()
        tab.wait(content=scene.before)
        assert sent
        eve.connect()
        eve.wait(synced=True)


def test_two_sockets_under_one_client_id(scene: Scene) -> None:
    """Both go on from the same clock with different words: the first counts, the second is known."""
    good = reply("eve", "a1/g1", "the first")
    with scene.attack(accepted=good) as eve, scene.raw() as twin:
        clock = clocks(eve.state_vector())[eve.client]
        eve.transact(good)
        scene.ada.wait(has=[("comments", "a1/g1")])
        other = Forged(eve.client, clock)
        other.set("comments", "a1/g2", comment("eve", scene.marker))
        twin.send(other.update(), other.step2())
        twin.settle()


def test_a_friend_deletes_for_her(scene: Scene) -> None:
    """eve's entry and frank's removal: each alone is refused, both together no less."""
    with scene.attack(ends=4403) as eve, scene.raw("frank") as frank:
        eve.transact([
            ("set", "deleted", "a1/c1/eve", {"by": "eve", "at": NOW, "broadcastId": scene.marker}),
        ])  # fmt: skip
        frank.send(Forged(0).drop((scene.ada.client, 1)).step2())
        assert frank.controls("refused")["reset"] is True


def test_the_refused_of_one_over_the_refused_of_the_other(scene: Scene) -> None:
    """A chain over three client ids, each link of it forbidden."""
    with scene.attack(), scene.raw() as eve, scene.raw("frank") as frank:
        first, second, third = Forged(93_000), Forged(93_001), Forged(93_000, 2)
        first.set("comments", "a1/h1", comment("eve", scene.marker, x=1))
        unit = first.set("comments", "a1/h2", comment("eve", scene.marker, x=1))
        second.set("comments", "a1/h3", comment("frank", scene.marker, x=1))
        unit = second.set("comments", "", comment("frank", scene.marker), unit)
        third.set("comments", "", comment("eve", scene.marker), unit)
        for peer, plot in ((eve, first), (frank, second), (eve, third)):
            peer.send(plot.update(), plot.step2())
            assert peer.controls("refused")["operations"]
            peer.settle()
