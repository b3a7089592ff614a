"""Attacks with what is no entry of plain JSON: nested types, texts, subdocuments, raw structs, bytes."""

import struct

import pytest
from entries import comment
from forged import Forged, place, raw, text, value, varuint
from scene import Scene
from simulation.forgery import clocks

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node

SCRIPTS = {
    "a map as value": "doc.getMap('comments').set('a1/f1', new Y.Map([['body', WORD]]))",
    "a text as value": "doc.getMap('comments').set('a1/f1', new Y.Text(WORD))",
    "a list as value": "doc.getMap('comments').set('a1/f1', Y.Array.from([WORD]))",
    "a text over a comment": "doc.getMap('comments').set('a1/c1', new Y.Text(WORD))",
    "an element as value": "doc.getMap('comments').set('a1/f1', new Y.XmlElement(WORD))",
    "a fragment as value": "doc.getMap('comments').set('a1/f1', new Y.XmlFragment())",
    "a subdocument": "doc.getMap('comments').set('a1/f1', new Y.Doc({ guid: WORD }))",
    "bytes as value": "doc.getMap('comments').set('a1/f1', new TextEncoder().encode(WORD))",
    "a text root": "doc.getText(WORD).insert(0, WORD)",
    "a list root": "doc.getArray(WORD).push([WORD])",
    "an XML root": "doc.getXmlFragment(WORD).insert(0, [new Y.XmlText(WORD)])",
    "an embed": "doc.getText('t').insertEmbed(0, { image: WORD })",
    "a format": "doc.getText('t').insert(0, WORD, { bold: true })",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_yjs_has_and_this_page_has_not(scene: Scene, name: str) -> None:
    with scene.attack(ends=4400) as eve:
        eve.script(SCRIPTS[name].replace("WORD", f"'{scene.marker}'"))


@pytest.mark.parametrize("name", ["a text over a comment", "a subdocument", "a list root"])
def test_the_same_in_an_offline_batch(stage, name: str) -> None:
    scene = stage(offline=True)
    with scene.attack(ends=4400) as eve:
        eve.script(SCRIPTS[name].replace("WORD", f"'{scene.marker}'"))


def test_a_list_in_a_root_that_is_a_map(scene: Scene) -> None:
    """Raw: the victim's own `getMap` would hold both."""
    with scene.attack(ends=4400) as eve:
        item = b"\x08\x01" + text("comments") + b"\x01" + value(scene.marker)
        eve.inject(wire.update(raw(eve.client, clocks(eve.state_vector())[eve.client], item)))


ANY = b"\x28"
"""The first byte of an item with one or more values and a key."""


def malformed(client: int, clock: int, words: str) -> dict[str, bytes]:
    """Updates that no client of this page sends."""
    here = place("comments", "a1/f1")
    body = b"\x01" + value(comment("eve", words))
    good = ANY + here + body
    deep = b"\x75\x01" * 40 + value(words)
    return {
        "no bytes": b"",
        "cut short": raw(client, clock, good)[:-9],
        "bytes left over": raw(client, clock, good) + words.encode(),
        "a right origin": raw(client, clock, b"\x68" + varuint(client) + b"\x00" + here + body),
        "both origins": raw(client, clock, b"\xe8" + (varuint(client) + b"\x00") * 2 + body),
        "a parent by id": raw(
            client, clock, ANY + b"\x00" + varuint(client) + b"\x00" + text("x") + body
        ),
        "no key": raw(client, clock, b"\x08\x01" + text("comments") + body),
        "an empty item": raw(client, clock, b"\x21" + here + b"\x00"),
        "an empty Gc": raw(client, clock, b"\x00\x00"),
        "an empty Skip": raw(client, clock, b"\x0a\x00"),
        "an unknown content": raw(client, clock, b"\x2b" + here + body),
        "JSON content": raw(client, clock, b"\x22" + here + b"\x01" + text(f'"{words}"')),
        "text content": raw(client, clock, b"\x24" + here + text(words)),
        "an empty section": b"\x01\x00" + varuint(client) + varuint(clock) + b"\x00",
        "a client twice": b"\x02"
        + (b"\x01" + varuint(client) + varuint(clock) + good) * 2
        + b"\x00",
        "an origin in the future": raw(
            client, clock, b"\xa8" + varuint(client) + varuint(clock + 5) + body
        ),
        "an origin in itself": raw(
            client, clock, b"\xa8" + varuint(client) + varuint(clock) + body
        ),
        "a clock beyond 2^31": raw(client, 2**31 - 1, good, good),
        "a Gc beyond 2^31": raw(client, clock, b"\x00" + varuint(2**31)),
        "a client id beyond 2^53": raw(2**53, 0, good),
        "a padded integer": raw(client, clock, good).replace(b"\x01", b"\x81\x00", 1),
        "an empty range": raw(
            client, clock, good, deleted=b"\x01" + varuint(client) + b"\x01\x00\x00"
        ),
        "no ranges": raw(client, clock, good, deleted=b"\x01" + varuint(client) + b"\x00"),
        "a range beyond 2^31": raw(
            client, clock, good, deleted=b"\x01" + varuint(client) + b"\x01\x00" + varuint(2**31)
        ),
        "a surrogate in bytes": raw(client, clock, ANY + here + b"\x01\x77\x03\xed\xa0\x80"),
        "an overlong text": raw(client, clock, ANY + here + b"\x01\x77\x02\xc1\x81"),
        "a text longer than the frame": raw(
            client, clock, ANY + here + b"\x01\x77\x7f" + words.encode()
        ),
        "a deep value": raw(client, clock, ANY + here + b"\x01" + deep),
        "an unknown value": raw(client, clock, ANY + here + b"\x01\x60" + words.encode()),
        "more structs than bytes": b"\x01"
        + varuint(2**40)
        + varuint(client)
        + varuint(clock)
        + good,
        "more sections than bytes": varuint(2**40) + raw(client, clock, good)[1:],
    }


def test_bytes_that_no_client_of_this_page_sends(scene: Scene) -> None:
    """Each on a socket of its own, as an increment and as a step 2."""
    forged = malformed(70_000, 0, scene.marker)
    scene.attacks = len(forged)
    with scene.attack():
        for name, update in forged.items():
            for frame in (wire.update(update), wire.step2(update)):
                with scene.raw() as thief:
                    thief.send(frame)
                    assert thief.closed() == 4400, name


def test_ranges_of_deletions(scene: Scene) -> None:
    """All there is, what others will write, ids that nobody has: refused, or nothing at all."""
    ada, bob, eve = scene.ada.client, scene.bob.client, scene.eve.client
    plots = [
        Forged(0).drop((ada, 0), 2**31 - 1),
        Forged(0).drop((ada, 0), 2).drop((bob, 0), 2),
        Forged(0).drop((ada, 1)).drop((ada, 50), 1_000),
        Forged(0).drop((12_345, 0), 2**31 - 1).drop((ada, 0)),
    ]
    harmless = [
        Forged(0).drop((ada, clocks(scene.eve.state_vector())[ada]), 1_000),
        Forged(0).drop((2**32 - 1, 5), 9),
        Forged(0).drop((eve, clocks(scene.eve.state_vector())[eve]), 9),
    ]
    many = Forged(0)
    for number in range(8_000):
        many.drop((ada, 100 + 2 * number))
    scene.attacks = len(plots) + len(harmless) + 1
    with scene.attack():
        for plot in plots:
            with scene.raw() as thief:
                thief.send(plot.step2())
                assert thief.controls("refused")["reset"] is True
        with scene.raw() as thief:
            for plot in (*harmless, many):
                thief.send(plot.step2(), plot.update())
            thief.settle()


def test_a_deletion_of_what_ada_writes_next(scene: Scene) -> None:
    with scene.attack() as eve:
        soon = Forged(0).drop((scene.ada.client, clocks(eve.state_vector())[scene.ada.client]), 9)
        eve.inject(soon.update())
        eve.inject(soon.step2())


def test_numbers_on_the_edge_of_what_a_value_can_be(scene: Scene) -> None:
    """NaN, infinities, minus zero, padded and 64 bit integers where a time is due."""
    odd = {
        "nan": b"\x7b" + struct.pack(">d", float("nan")),
        "infinity": b"\x7b" + struct.pack(">d", float("inf")),
        "float32 infinity": b"\x7c" + struct.pack(">f", float("-inf")),
        "bigint": b"\x7a" + struct.pack(">q", 2**62),
        "minus one": b"\x7d\x41",
        "half": b"\x7b" + struct.pack(">d", 0.5),
        "2^53": b"\x7b" + struct.pack(">d", 2.0**53),
        "bytes": b"\x74\x02hi",
        "undefined": b"\x7f",
    }
    scene.attacks = len(odd)
    with scene.attack() as eve:
        for number, encoded in enumerate(odd.values()):
            object_ = (
                b"\x76\x03" + text("creator") + value("eve") + text("body") + value(scene.marker)
                + text("created") + encoded
            )  # fmt: skip
            item = ANY + place("comments", f"a1/f{number}") + b"\x01" + object_
            eve.forge(raw(eve.client, clocks(eve.state_vector())[eve.client], item))
