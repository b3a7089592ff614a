"""The y-protocols codec: round trips, and every way in which bytes can be wrong."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Awareness, Doc, Map, create_sync_message, create_update_message

from crdt_chat.errors import Malformed
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.protocol import wire

payloads = st.binary(max_size=300)
entries = st.builds(
    wire.AwarenessEntry,
    st.integers(0, MAX_INTEGER),
    st.integers(0, MAX_INTEGER),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)


@given(payloads)
def test_sync_messages_survive_the_wire(payload: bytes) -> None:
    assert wire.decode(wire.step1(payload)) == wire.SyncStep1(payload)
    assert wire.decode(wire.step2(payload)) == wire.SyncStep2(payload)
    assert wire.decode(wire.update(payload)) == wire.Update(payload)


@given(st.lists(entries, max_size=5))
def test_awareness_survives_the_wire(said: list[wire.AwarenessEntry]) -> None:
    frame = wire.awareness_of(wire.encode_entry(entry) for entry in said)
    assert wire.decode(frame) == wire.Awareness(tuple(said))


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20)))
def test_control_frames_survive_the_wire(body: dict[str, object]) -> None:
    body["type"] = "presence"
    assert wire.decode(wire.control(body)) == wire.Control(body)


def test_what_pycrdt_sends_is_understood() -> None:
    doc = Doc({"comments": Map()})
    message = wire.decode(create_sync_message(doc))
    assert message == wire.SyncStep1(doc.get_state())
    assert wire.decode(create_update_message(b"\x00\x00")) == wire.Update(b"\x00\x00")
    awareness = Awareness(doc)
    awareness.set_local_state({"user": {"name": "Jürgen 😀"}})
    payload = awareness.encode_awareness_update([doc.client_id])
    message = wire.decode(b"\x01" + wire.varuint(len(payload)) + payload)
    assert isinstance(message, wire.Awareness)
    assert message.entries[0].client == doc.client_id


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x00\x03\x00",
        b"\x00\x02\x80\x00",
        b"\x00\x02\x05abc",
        b"\x00\x02\x00\x00",
        b"\x05",
        b"\xff" * 9,
        b"\x01\x02\x01\x01",
        b"\x01\x01\x7f",
        b"\x03\x00",
        b"\x64\x02{}",
        b"\x64\x03{]}",
        b"\x64\x02\xff\xfe",
        wire.control({"type": 7}),
    ],
    ids=str,
)
def test_bad_frames_are_malformed(frame: bytes) -> None:
    with pytest.raises(Malformed):
        wire.decode(frame)


@given(st.binary(max_size=64))
def test_no_bytes_do_anything_but_decode_or_be_malformed(frame: bytes) -> None:
    with contextlib.suppress(Malformed):
        wire.decode(frame)


def test_a_number_that_never_ends_costs_nothing() -> None:
    # pycrdt's reader is quadratic here: 300 KB take seconds.
    with pytest.raises(Malformed):
        wire.decode(b"\xff" * 1_000_000)
