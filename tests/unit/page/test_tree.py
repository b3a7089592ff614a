"""The tree of an entry predicts what Yjs decides: random items, hostile ones too, against a real Y.Doc."""

import random
from typing import Any

import pytest
from pycrdt import Doc, Map

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.arrival import Arrival, retrace, survey
from crdt_chat.page.content import Content
from crdt_chat.page.index import Entry, Index
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.ledger import Ledger
from crdt_chat.page.outgoing import learn
from crdt_chat.page.update import Gc, Item, Struct, decode, encode
from crdt_chat.page.verdict import GateRows

ADA = Grant("t", "ada", "Ada", Role.ADMIN)
NAMES = ("a", "b")


class World:
    """A growing set of structs under several clients, all of one person."""

    def __init__(self, seed: random.Random) -> None:
        self.seed = seed
        self.clients = [seed.choice([seed.randrange(1, 9), seed.getrandbits(32)]) for _ in range(4)]
        self.next = dict.fromkeys(self.clients, 0)
        self.units: list[tuple[int, int]] = []

    def update(self) -> tuple[dict[int, list[Struct]], dict[int, list[tuple[int, int]]]]:
        """One update: each struct may hang on anything known or earlier in the update."""
        structs: dict[int, list[Struct]] = {}
        deleted: dict[int, list[tuple[int, int]]] = {}
        for _ in range(self.seed.randrange(1, 5)):
            struct = self.struct()
            structs.setdefault(struct.client, []).append(struct)
        for _ in range(self.seed.randrange(3)):
            if self.units:
                client, clock = self.seed.choice(self.units)
                first = max(0, clock - self.seed.randrange(3))
                deleted.setdefault(client, []).append((first, clock + 1))
        return structs, deleted

    def struct(self) -> Struct:
        client = self.seed.choice(self.clients)
        clock = self.next[client]
        length = self.seed.choice([1, 1, 1, 2, 3])
        self.next[client] += length
        if self.seed.random() < 0.05:
            return Gc(client, clock, length)
        origin = self.seed.choice(self.units) if self.units and self.seed.random() < 0.7 else None
        if origin is not None and self.seed.random() < 0.6:
            origin = self.units[-1]
        self.units += [(client, clock + unit) for unit in range(length)]
        root, name = ("", "") if origin else ("comments", self.seed.choice(NAMES))
        values = None
        if self.seed.random() < 0.7:
            values = tuple(f"{client}:{clock + unit}" for unit in range(length))
        return Item(client, clock, length, origin, root, name, values)


def as_entries(index: Index) -> dict[str, tuple[bool, int, int]]:
    return {
        name: (entry.live, entry.client, entry.last)
        for name, entry in index.entries["comments"].items()
    }


def accept(arrival: Arrival, index: Index) -> None:
    for draft in arrival.drafts.values():
        if draft.burnt is not None:
            draft.fate = "gc"
    learn(arrival, index)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(150))
def test_the_rightmost_leaf_is_what_yjs_shows(seed: int) -> None:
    world = World(random.Random(seed))
    index, ledger, document = Index(ROOTS), Ledger(), Doc[Any]()
    comments = document.get("comments", type=Map)
    ledger.owners = dict.fromkeys(world.clients, "ada")
    for _ in range(12):
        structs, deleted = world.update()
        data = encode(structs, deleted)
        arrival = survey(decode(data), index, ledger, ADA, "update")
        assert arrival is not None
        assert not arrival.lacks
        accept(arrival, index)
        if any(draft.burnt is not None for draft in arrival.drafts.values()):
            data = encode(
                {
                    client: [
                        Gc(client, struct.clock, struct.length)
                        if draft is not None and draft.burnt is not None
                        else struct
                        for struct, draft, _number in placed
                    ]
                    for client, placed in arrival.placed.items()
                },
                deleted,
            )
        document.apply_update(data)
        shown = comments.to_py() or {}
        predicted = as_entries(index)
        assert {name for name, (live, _, _) in predicted.items() if live} == set(shown)
        for name, value in shown.items():
            _, client, clock = predicted[name]
            assert value == f"{client}:{clock}"
        assert {client: runs.end for client, runs in index.runs.items()} == {
            client: clock for client, clock in world.next.items() if clock
        }
    reloaded = Index(ROOTS)
    again = retrace(decode(document.get_update()), reloaded)
    assert not again.lacks
    accept(again, reloaded)
    assert as_entries(reloaded) == as_entries(index)
    for unit in world.units:
        was, is_now = index.at(unit)[0], reloaded.at(unit)[0]
        assert isinstance(was, Entry) == isinstance(is_now, Entry)
        if isinstance(was, Entry) and isinstance(is_now, Entry):
            assert (was.root, was.name) == (is_now.root, is_now.name)


@pytest.mark.no_cover
def test_a_long_branch_is_looked_up_without_walking_it() -> None:
    """50,000 overwrites by two clients in turn, then 50,000 late siblings deep in the branch: no n^2.

    Not for us: Yjs would need minutes for them, so nobody may bring them.
    """
    count = 50_000
    index, ledger = Index(ROOTS), Ledger()
    ledger.owners = {1: "ada", 2: "ada", 3: "ada"}
    structs: dict[int, list[Struct]] = {
        1: [Item(1, 0, 1, None, "comments", "a", None)],
        2: [],
        3: [],
    }
    for number in range(count):
        structs[2].append(Item(2, number, 1, (1, number), "", "", None))
        structs[1].append(Item(1, number + 1, 1, (2, number), "", "", None))
    structs[3] = [Item(3, number, 1, (1, count - number), "", "", None) for number in range(count)]
    update = decode(encode(structs, {}))
    with pytest.raises(Malformed, match="side by side"):
        survey(update, index, ledger, ADA, "update")
    accept(retrace(update, index), index)
    entry = index.entries["comments"]["a"]
    assert (entry.client, entry.last) == (3, count - 1)
    assert entry.depth() == 4


def test_content_comes_back_from_its_own_state() -> None:
    content = Content.load([], GateRows())
    assert content.ledger.counts().annotations == 0
