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
from crdt_chat.page.lib0 import CUT_SHORT, read_uint, write_uint

SYNC, AWARENESS, AUTH, QUERY_AWARENESS, CONTROL = 0, 1, 2, 3, 100
STEP1, STEP2, UPDATE = 0, 1, 2


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
    try:
        message, at = _read_message(frame)
    except CUT_SHORT:
        raise Malformed("a message that is cut short or no UTF-8") from None
    if at != len(frame) and not isinstance(message, Ignored):
        raise Malformed("bytes after the end of a message")
    return message


def _read_message(frame: bytes) -> tuple[Message, int]:
    kind, at = read_uint(frame, 0)
    if kind == SYNC:
        step, at = read_uint(frame, at)
        payload, at = _read_bytes(frame, at)
        return _sync(step, payload), at
    if kind == AWARENESS:
        payload, at = _read_bytes(frame, at)
        return Awareness(_read_entries(payload)), at
    if kind == QUERY_AWARENESS:
        return QueryAwareness(), at
    if kind == CONTROL:
        payload, at = _read_bytes(frame, at)
        return Control(_read_object(payload)), at
    if kind == AUTH:
        return Ignored(), at
    raise Malformed("unknown message type")


def _sync(step: int, payload: bytes) -> Message:
    if step == UPDATE:
        return Update(payload)
    if step == STEP2:
        return SyncStep2(payload)
    if step == STEP1:
        return SyncStep1(payload)
    raise Malformed("unknown sync message")


def _read_entries(payload: bytes) -> tuple[AwarenessEntry, ...]:
    count, at = read_uint(payload, 0)
    if count > len(payload):
        raise Malformed("more awareness states than bytes")
    entries = []
    for _ in range(count):
        client, at = read_uint(payload, at)
        clock, at = read_uint(payload, at)
        state, at = _read_bytes(payload, at)
        entries.append(AwarenessEntry(client, clock, state.decode()))
    if at != len(payload):
        raise Malformed("bytes after the awareness states")
    return tuple(entries)


def _read_object(payload: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(payload.decode())
    except (ValueError, RecursionError):
        raise Malformed("a control frame that is not JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise Malformed("a control frame without a type")
    return body


def is_step1(frame: bytes) -> bool:
    """Whether a frame that is not decoded yet calls itself a step 1."""
    return frame.startswith(b"\x00\x00")


def is_step2(frame: bytes) -> bool:
    """Whether a frame that is not decoded yet calls itself a step 2."""
    return frame.startswith(b"\x00\x01")


def _read_bytes(buffer: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_uint(buffer, at)
    end = at + size
    if end > len(buffer):
        raise Malformed("a text or byte array longer than its message")
    return buffer[at:end], end


def varuint(value: int) -> bytes:
    """`value` as a lib0 varuint."""
    out = bytearray()
    write_uint(out, value)
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
