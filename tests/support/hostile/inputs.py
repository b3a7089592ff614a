"""Hostile inputs of every kind, from one PRNG: grown, bent, torn, large, and what made yrs panic."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hostile.grammar import Grammar
from hostile.soil import PANICS, SEEDS, Soil
from hostile.writing import any_value, nested, text, varuint

from crdt_chat.errors import Malformed
from crdt_chat.page.update import Gc, Item, Struct, Update, decode, encode

LARGEST = 12_000
"""Bytes of the largest input, about: 30 times an ordinary one."""


def mutate(data: bytes, choice: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled, or put in."""
    out = bytearray(data)
    for _ in range(choice.randrange(1, 4)):
        at = choice.randrange(len(out) + 1)
        what = choice.randrange(5)
        if what == 0 and at < len(out):
            out[at] = choice.randrange(256)
        elif what == 1 and at < len(out):
            out[at] ^= 1 << choice.randrange(8)
        elif what == 2:
            del out[at : at + choice.randrange(1, 4)]
        elif what == 3:
            out[at:at] = out[at : at + choice.randrange(1, 9)]
        else:
            out[at:at] = choice.choice(
                [b"\x00", b"\x7f", b"\xff", b"\x80\x01", b"\xff\xff\xff\xff\x0f"]
            )
    return bytes(out)


def written_anew(update: Update) -> bytes:
    """The update encoded from its values alone. Raises TypeError for values that JSON lacks."""
    anew = {
        client: [replace(each, raw=None) if isinstance(each, Item) else each for each in run]
        for client, run in update.structs.items()
    }
    return encode(anew, update.deleted)


def _whole_seeds() -> list[Update]:
    """The recorded updates that are well-formed."""
    found = []
    for _, data in SEEDS:
        with contextlib.suppress(Malformed, TypeError):
            update = decode(data)
            written_anew(update)
            found.append(update)
    return found


WHOLE = _whole_seeds()


class Inputs:
    """Inputs for one page: `next` gives kind, mark and bytes.

    mark: a text in all values of the input, empty where its values are recorded ones.
    """

    def __init__(self, rng: random.Random, soil: Soil) -> None:
        self.rng = rng
        self.soil = soil
        self._grammar = Grammar(rng, soil)
        self._number = 0

    def next(self) -> tuple[str, str, bytes]:
        """One input."""
        rng = self.rng
        self._number += 1
        mark = self._grammar.mark = f"Zq{self._number:x};"
        dice = rng.random()
        if dice < 0.6:
            return "grown", mark, self._grammar.update()
        if dice < 0.7:
            return "grown and torn", "", mutate(self._grammar.update(), rng)
        if dice < 0.84:
            return "recorded and torn", "", mutate(rng.choice(SEEDS)[1], rng)
        if dice < 0.99:
            return "recorded and bent", "", self._bent(rng.choice(WHOLE))
        if dice < 0.995:
            return "large", "", rng.choice(LARGE)(rng, self.soil)
        panic = rng.choice(PANICS)
        return "what made yrs panic", "", panic if rng.random() < 0.5 else mutate(panic, rng)

    def _bent(self, recorded: Update) -> bytes:
        """A recorded update with a few fields of its structs changed, encoded anew."""
        structs, deleted = recorded.structs, recorded.deleted
        moved = (
            self._moved(structs)
            if self.rng.random() < 0.6
            else {client: list(run) for client, run in structs.items()}
        )
        for run in moved.values():
            for place in range(len(run)):
                if self.rng.random() < 0.4:
                    run[place] = self._bend(run[place])
        if self.rng.random() < 0.3:
            deleted = {self._client(): ranges for ranges in deleted.values()}
        return encode(moved, deleted)

    def _client(self) -> int:
        known = [*self.soil.own, *self.soil.clients]
        return self.rng.choice(known)

    def _moved(self, structs: dict[int, list[Struct]]) -> dict[int, list[Struct]]:
        """The structs under clients of this page, from their next clocks on."""
        moved: dict[int, list[Struct]] = {}
        for run in structs.values():
            client = self._client()
            clock = self.soil.clients.get(client, 0)
            new: list[Struct] = []
            for struct in run:
                new.append(replace(struct, client=client, clock=clock))
                clock += struct.length
            moved[client] = new
        return moved

    def _bend(self, struct: Struct) -> Struct:
        rng = self.rng
        if not isinstance(struct, Item):
            return replace(struct, length=rng.choice((1, 2, 50, 2**31)))
        struct = replace(struct, raw=None)
        what = rng.randrange(6)
        if what == 0 and self.soil.tips:
            return replace(struct, origin=rng.choice(list(self.soil.tips.values())))
        if what == 1 and self.soil.names:
            root, name = rng.choice(self.soil.names)
            return replace(struct, origin=None, root=root, name=name)
        if what == 2:
            return replace(struct, values=None)
        if what == 3:
            return Gc(struct.client, struct.clock, struct.length)
        if what == 4 and struct.values:
            again = rng.randrange(2, 5)
            return replace(struct, values=list(struct.values) * again, length=again)
        return replace(struct, origin=(self._client(), rng.randrange(6)))


# -- large ones: much work for few bytes -----------------------------------------------------------


def _section(client: int, clock: int, structs: list[bytes]) -> bytearray:
    out = bytearray()
    varuint(out, len(structs))
    varuint(out, client)
    varuint(out, clock)
    for each in structs:
        out += each
    return out


def _whole(sections: list[bytearray], deleted: bytes = b"\x00") -> bytes:
    out = bytearray()
    varuint(out, len(sections))
    for each in sections:
        out += each
    return bytes(out + deleted)


def _item(root: str, name: str, value: Any) -> bytes:
    out = bytearray(b"\x28\x01")
    text(out, root)
    text(out, name)
    out.append(1)
    any_value(out, value)
    return bytes(out)


def _over(client: int, clock: int, value: Any) -> bytes:
    out = bytearray(b"\xa8")
    varuint(out, client)
    varuint(out, clock)
    out.append(1)
    any_value(out, value)
    return bytes(out)


def _own(rng: random.Random, soil: Soil) -> tuple[int, int]:
    client = rng.choice(soil.own)
    return client, soil.clients.get(client, 0)


def many_ranges(rng: random.Random, soil: Soil) -> bytes:
    """A delete set of single clocks, every second one."""
    clients = [*soil.clients, *soil.own]
    out = bytearray(b"\x00")
    varuint(out, len(clients))
    each = LARGEST // 3 // len(clients)
    for client in clients:
        varuint(out, client)
        varuint(out, each)
        start = rng.randrange(2)
        for place in range(each):
            varuint(out, start + 2 * place)
            varuint(out, 1)
    return bytes(out)


def many_gaps(rng: random.Random, soil: Soil) -> bytes:
    """Structs without content, one clock each."""
    client, clock = _own(rng, soil)
    return _whole([_section(client, clock, [b"\x00\x01"] * (LARGEST // 2))])


def many_clients(rng: random.Random, soil: Soil) -> bytes:
    """A section for each of many new client ids."""
    first = rng.randrange(2**20, 2**31)
    sections = [_section(first + n, 0, [b"\x00\x01"]) for n in range(LARGEST // 9)]
    return _whole(sections)


def siblings(rng: random.Random, soil: Soil) -> bytes:
    """One name, claimed by many client ids at once."""
    first = rng.randrange(2**20, 2**31)
    root, name = rng.choice(soil.names or [("comments", "x/y")])
    struct = _item(root, name, None)
    count = LARGEST // (8 + len(struct))
    return _whole([_section(first + n, 0, [struct]) for n in range(count)])


def chain(rng: random.Random, soil: Soil) -> bytes:
    """One name, written over and over, each time over the last."""
    client, clock = _own(rng, soil)
    structs = [_item("comments", f"x/{rng.random()}", None)]
    structs += [_over(client, clock + n, None) for n in range(LARGEST // 10)]
    return _whole([_section(client, clock, structs)])


def fan(rng: random.Random, soil: Soil) -> bytes:
    """Everything written over one and the same unit."""
    client, clock = _own(rng, soil)
    tip = rng.choice(list(soil.tips.values())) if soil.tips else (client, clock)
    structs = [_over(*tip, None)] * (LARGEST // 12)
    return _whole([_section(client, clock, structs)])


def many_names(rng: random.Random, soil: Soil) -> bytes:
    """Many entries with nothing in them."""
    client, clock = _own(rng, soil)
    root = rng.choice(("comments", "reactions", "deleted", "x"))
    structs = [_item(root, f"a0/{n:x}", None) for n in range(LARGEST // 22)]
    return _whole([_section(client, clock, structs)])


def wide(rng: random.Random, soil: Soil) -> bytes:
    """An object of many properties, or a list of many values."""
    client, clock = _own(rng, soil)
    count = LARGEST // 6
    value: Any = {f"{n:x}": None for n in range(count)} if rng.random() < 0.5 else [0] * count
    return _whole([_section(client, clock, [_item("comments", "x/y", value)])])


def deep(rng: random.Random, soil: Soil) -> bytes:
    """Lists or objects nested as deep as there is room."""
    client, clock = _own(rng, soil)
    value = nested(LARGEST // 4, rng.choice((117, 118)))
    return _whole([_section(client, clock, [_item("comments", "x/y", value)])])


def long_text(rng: random.Random, soil: Soil) -> bytes:
    """One long text, as value or as name."""
    client, clock = _own(rng, soil)
    words = rng.choice("xé😀\x00") * (LARGEST // 4)
    name, value = ("x/y", words) if rng.random() < 0.5 else (words, None)
    return _whole([_section(client, clock, [_item("comments", name, value)])])


LARGE: tuple[Callable[[random.Random, Soil], bytes], ...] = (
    many_ranges,
    many_gaps,
    many_clients,
    siblings,
    chain,
    fan,
    many_names,
    wide,
    deep,
    long_text,
)
