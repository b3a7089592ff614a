"""WebSocket frames: read in whatever pieces they come, refused at their heads."""

import itertools
import random

import pytest
from websockets.frames import Frame, Opcode

from crdt_chat.errors import BadFrame, BadText, TooLarge
from crdt_chat.protocol import frames

LIMIT = 70_000


def said(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """What an honest client sends, as another library encodes it."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


def read(*pieces: bytes, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    """The messages in these pieces."""
    incoming = frames.Incoming(limit)
    found = []
    for piece in pieces:
        incoming.add(piece)
        while (message := incoming.next()) is not None:
            found.append(message)
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [frames.TEXT, frames.BINARY])
def test_a_message_of_any_size(opcode: int, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    assert read(said(opcode, payload)) == [(opcode, payload)]


STREAM = (
    said(frames.BINARY, b"one")
    + said(frames.TEXT, b"t" * 130, fin=False)
    + said(frames.PING, b"are you there")
    + said(frames.CONTINUED, b"", fin=False)
    + said(frames.CONTINUED, b"w", fin=True)
    + said(frames.PONG, b"")
    + said(frames.CLOSE, b"\x03\xe8bye")
)
MESSAGES = [
    (frames.BINARY, b"one"),
    (frames.PING, b"are you there"),
    (frames.TEXT, b"t" * 130 + b"w"),
    (frames.PONG, b""),
    (frames.CLOSE, b"\x03\xe8bye"),
]


def test_it_does_not_matter_how_the_bytes_are_cut() -> None:
    assert read(STREAM) == MESSAGES
    assert read(*(bytes([byte]) for byte in STREAM)) == MESSAGES
    for first, second in itertools.combinations(range(0, len(STREAM), 7), 2):
        assert read(STREAM[:first], STREAM[first:second], STREAM[second:]) == MESSAGES


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"\xc2\x80", BadFrame),  # compressed
        (b"\x83\x80", BadFrame),  # an opcode that there is not
        (b"\x82\x00", BadFrame),  # not masked
        (b"\x80\x80", BadFrame),  # a part of nothing
        (b"\x09\x80", BadFrame),  # a ping in parts
        (b"\x89\xfe\x00\x7e", BadFrame),  # a ping of 126 bytes
        (b"\x82\xff" + (LIMIT + 1).to_bytes(8, "big"), TooLarge),
        (b"\x82\xff" + (2**63).to_bytes(8, "big"), TooLarge),
    ],
)
def test_what_may_not_come_is_refused_at_its_head(head: bytes, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        read(said(frames.BINARY, b"before"), head)


def test_a_message_within_another() -> None:
    with pytest.raises(BadFrame):
        read(said(frames.BINARY, b"a", fin=False), said(frames.BINARY, b"b"))


def test_parts_count_together() -> None:
    parts = [said(frames.BINARY, b"a" * 60, fin=False), said(frames.CONTINUED, b"b" * 40)]
    assert read(*parts, limit=100) == [(frames.BINARY, b"a" * 60 + b"b" * 40)]
    with pytest.raises(TooLarge):
        read(*parts, limit=99)


def test_what_is_incomplete_is_counted() -> None:
    incoming = frames.Incoming(LIMIT)
    incoming.add(said(frames.BINARY, b"a" * 500, fin=False))
    assert incoming.next() is None
    assert incoming.incomplete == 500
    rest = said(frames.CONTINUED, b"b" * 500)
    incoming.add(rest[:100])
    assert incoming.next() is None
    assert incoming.incomplete == 600
    incoming.add(rest[100:])
    assert incoming.next() == (frames.BINARY, b"a" * 500 + b"b" * 500)
    assert incoming.incomplete == 0


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_ours_are_encoded_as_others_encode_them(size: int) -> None:
    payload = bytes(size)
    ours = frames.encode(frames.BINARY, payload)
    assert ours == Frame(Opcode.BINARY, payload).serialize(mask=False)


def test_codes_and_reasons() -> None:
    assert frames.encode_close(4404, "é") == b"\x88\x04\x11\x34" + "é".encode()
    assert frames.closing(b"") == (1005, "")
    assert frames.closing(b"\x03\xe8") == (1000, "")
    assert frames.closing(b"\x11\x34why") == (4404, "why")
    with pytest.raises(BadFrame):
        frames.closing(b"\x03")
    with pytest.raises(BadFrame):
        frames.closing(b"\x03\xed")
    with pytest.raises(BadText):
        frames.closing(b"\x03\xe8\xff")
