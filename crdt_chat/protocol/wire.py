"""The y-protocols codec: one binary frame is one message; strict decoding, canonical encoding.

Message types: 0 sync (0 step 1, 1 step 2, 2 update), 1 awareness, 2 auth, 3 query awareness, and
our own 100 control (varuint 100, then a var-string of JSON with a `type`), which goes only to
clients that asked for it with `?caps=crdt-chat.1` (design 5).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crdt_chat.errors import Malformed

SYNC, AWARENESS, AUTH, QUERY_AWARENESS, CONTROL = 0, 1, 2, 3, 100
STEP1, STEP2, UPDATE = 0, 1, 2

MAX_INTEGER = 2**53 - 1
"""lib0 integers are JavaScript numbers."""


@dataclass(frozen=True, slots=True)
class SyncStep1:
    """ "What do you have that I lack?": the peer's state vector."""

    state_vector: bytes


@dataclass(frozen=True, slots=True)
class SyncStep2:
    """The answer to a step 1: an update with all that the asker lacks."""

    update: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """An increment: what just changed at the peer."""

    update: bytes


@dataclass(frozen=True, slots=True)
class AwarenessEntry:
    """One client's awareness: `state` is the text of a JSON value, "null" where it left."""

    client: int
    clock: int
    state: str


@dataclass(frozen=True, slots=True)
class Awareness:
    """The awareness states a peer sends: its own and, from stock clients, echoes of others."""

    entries: tuple[AwarenessEntry, ...]


@dataclass(frozen=True, slots=True)
class QueryAwareness:
    """The peer asks for all awareness states."""


@dataclass(frozen=True, slots=True)
class Control:
    """One of our own control frames: a JSON object with a `type`."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is well-formed and means nothing here (auth)."""


Message = SyncStep1 | SyncStep2 | Update | Awareness | QueryAwareness | Control | Ignored


def decode(frame: bytes) -> Message:
    """The one message in `frame`. Raises Malformed for anything else, trailing bytes included."""
    kind, at = read_varuint(frame, 0)
    if kind == SYNC:
        step, at = read_varuint(frame, at)
        payload, at = _read_bytes(frame, at)
        message = _sync(step, payload)
    elif kind == AWARENESS:
        payload, at = _read_bytes(frame, at)
        message = Awareness(_read_entries(payload))
    elif kind == QUERY_AWARENESS:
        message = QueryAwareness()
    elif kind == CONTROL:
        payload, at = _read_bytes(frame, at)
        message = Control(_read_object(payload))
    elif kind == AUTH:
        return Ignored()
    else:
        raise Malformed("unknown message type")
    if at != len(frame):
        raise Malformed("bytes after the end of a message")
    return message


def _sync(step: int, payload: bytes) -> Message:
    if step == UPDATE:
        return Update(payload)
    if step == STEP2:
        return SyncStep2(payload)
    if step == STEP1:
        return SyncStep1(payload)
    raise Malformed("unknown sync message")


def _read_entries(payload: bytes) -> tuple[AwarenessEntry, ...]:
    count, at = read_varuint(payload, 0)
    if count > len(payload):
        raise Malformed("more awareness states than bytes")
    entries = []
    for _ in range(count):
        client, at = read_varuint(payload, at)
        clock, at = read_varuint(payload, at)
        state, at = _read_bytes(payload, at)
        entries.append(AwarenessEntry(client, clock, _text(state)))
    if at != len(payload):
        raise Malformed("bytes after the awareness states")
    return tuple(entries)


def _read_object(payload: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(_text(payload))
    except (ValueError, RecursionError):
        raise Malformed("a control frame that is not JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise Malformed("a control frame without a type")
    return body


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None


def is_step1(frame: bytes) -> bool:
    """Whether a frame that is not decoded yet calls itself a step 1."""
    return frame.startswith(b"\x00\x00")


def is_step2(frame: bytes) -> bool:
    """Whether a frame that is not decoded yet calls itself a step 2."""
    return frame.startswith(b"\x00\x01")


def read_varuint(buffer: bytes, at: int) -> tuple[int, int]:
    """The varuint at offset `at` and the offset behind it; at most 8 bytes (2^53 - 1)."""
    value = shift = 0
    while True:
        if at >= len(buffer) or shift > 49:
            raise Malformed("a number that does not end")
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if value > MAX_INTEGER:
        raise Malformed("a number beyond 2^53")
    return value, at


def _read_bytes(buffer: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varuint(buffer, at)
    end = at + size
    if end > len(buffer):
        raise Malformed("a text or byte array longer than its message")
    return buffer[at:end], end


def varuint(value: int) -> bytes:
    """`value` as a lib0 varuint."""
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    out.append(value)
    return bytes(out)


def _sized(payload: bytes) -> bytes:
    return varuint(len(payload)) + payload


def step1(state_vector: bytes) -> bytes:
    """The frame that asks a peer for what this state vector lacks."""
    return b"\x00\x00" + _sized(state_vector)


def step2(update: bytes) -> bytes:
    """The frame that answers a step 1."""
    return b"\x00\x01" + _sized(update)


def update(update: bytes) -> bytes:
    """The frame of an increment."""
    return b"\x00\x02" + _sized(update)


def encode_entry(entry: AwarenessEntry) -> bytes:
    """One awareness entry, for `awareness_of`: encoded once, sent to many."""
    return varuint(entry.client) + varuint(entry.clock) + _sized(entry.state.encode())


def awareness_of(entries: Iterable[bytes]) -> bytes:
    """The awareness frame of these encoded entries."""
    parts = list(entries)
    return b"\x01" + _sized(varuint(len(parts)) + b"".join(parts))


def control(body: Mapping[str, Any]) -> bytes:
    """One of our own control frames; `body` has a `type` (design 5)."""
    return b"\x64" + _sized(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


QUERY = b"\x03"
"""The frame that asks for all awareness states."""
