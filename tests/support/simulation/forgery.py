"""Updates made by hand: bytes that no library sends, some well-formed, most of them not."""

import random
from collections.abc import Sequence

from .oracle import EVIL
from .replicas import Replica
from .room import SERVER_CLIENT


def varuint(number: int) -> bytes:
    """A lib0 varuint."""
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes([*out, number])


def text(words: str) -> bytes:
    """A lib0 var-string."""
    raw = words.encode()
    return varuint(len(raw)) + raw


def clocks(state_vector: bytes) -> dict[int, int]:
    """A Yjs state vector as {client: next clock}."""
    numbers: list[int] = []
    number = shift = 0
    for byte in state_vector:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    pairs = numbers[1:]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def entry(client: int, clock: int, root: str, name: str) -> bytes:
    """An update of one map entry under any client id and clock."""
    value = b"\x77" + text(f"{EVIL} forged")
    item = b"\x28\x01" + text(root) + text(name) + b"\x01" + value
    return b"\x01\x01" + varuint(client) + varuint(clock) + item + b"\x00"


def removal(client: int, clock: int, length: int) -> bytes:
    """An update that deletes a range of somebody's clocks."""
    return b"\x00\x01" + varuint(client) + b"\x01" + varuint(clock) + varuint(length)


def forged_update(rng: random.Random, victims: Sequence[int], own: Replica) -> bytes:
    """Something by hand: in a victim's name, over her clocks, or `own`'s state broken somewhere."""
    known = clocks(own.state_vector())
    victim = rng.choice([*victims, SERVER_CLIENT])
    kind = rng.randrange(4)
    if kind == 0:
        return entry(victim, known.get(victim, 0), "comments", "a1/EVIL")
    if kind == 1:
        return removal(victim, rng.randrange(3), rng.choice([1, 2, 100]))
    raw = bytearray(own.step2())
    for _ in range(rng.choice([1, 1, 3])):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw[: rng.randrange(1, len(raw) + 1)] if kind == 2 else raw)
