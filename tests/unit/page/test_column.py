"""The structs of one client in one buffer: what is taken out leaves its bytes free, nothing else moves."""

import random

import pytest

from crdt_chat.errors import UpdateBroken
from crdt_chat.page import column
from crdt_chat.page.column import Column
from crdt_chat.page.lib0 import read_any
from crdt_chat.page.update import Gc, Item, Struct, encode, read_struct

CLIENT = 2**30 + 7


def value(number: int) -> dict[str, str]:
    return {"body": "x" * (number % 40)}


class Model:
    """The same, unit by unit: None for one without content, else the struct that holds it."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.units: list[Struct] = []
        self.column = Column()

    def add(self) -> None:
        """A run of new structs: a value, or a Gc or a deleted item of some length."""
        run: list[Struct] = []
        clock = len(self.units)
        for _ in range(self.luck.randint(1, 3)):
            above = (CLIENT, clock - 1) if clock and self.luck.random() < 0.6 else None
            name = ("", "") if above else ("comments", f"a/{clock}")
            length = self.luck.choice((1, 1, 2, 126, 128))
            made: Struct
            match self.luck.randrange(4):
                case 0:
                    made = Gc(CLIENT, clock, length)
                    self.units += [Gc(CLIENT, clock + n, 1) for n in range(length)]
                case 1:
                    made = Item(CLIENT, clock, length, above, *name, None)
                    self.units.append(Item(CLIENT, clock, 1, above, *name, None))
                    self.units += [
                        Item(CLIENT, clock + n, 1, (CLIENT, clock + n - 1), "", "", None)
                        for n in range(1, length)
                    ]
                case _:
                    made = Item(CLIENT, clock, 1, above, *name, (value(clock),))
                    self.units.append(made)
            run.append(made)
            clock = len(self.units)
        self.column.append(CLIENT, run)

    def living(self) -> list[int]:
        return [n for n, unit in enumerate(self.units) if isinstance(unit, Item) and unit.values]

    def drop(self, *clocks: int, many: bool) -> None:
        """Take values out, one by one or together."""
        for clock in clocks:
            unit = self.units[clock]
            assert isinstance(unit, Item)
            self.units[clock] = unit.deleted()
        if many:
            self.column.drop_many(CLIENT, clocks)
        else:
            for clock in clocks:
                self.column.drop(CLIENT, clock)

    def told(self, clock: int) -> list[Struct]:
        """The units from this clock on, out of what the column gives of them."""
        count, pieces = self.column.since(CLIENT, clock)
        data, at, found = b"".join(pieces), 0, []
        for _ in range(count):
            struct = read_struct(data[at:], CLIENT, clock, read_any)
            at += (
                len(encode({CLIENT: [struct]}, {}))
                - len(encode({CLIENT: [Gc(CLIENT, clock, 1)]}, {}))
                + 2
            )
            found += one_by_one(struct)
            clock += struct.length
        assert at == len(data)
        return found


def one_by_one(struct: Struct) -> list[Struct]:
    """A struct as the units that it holds."""
    if isinstance(struct, Item):
        first = Item(
            CLIENT, struct.clock, 1, struct.origin, struct.root, struct.name, struct.values
        )
        rest = range(struct.clock + 1, struct.clock + struct.length)
        return [first, *(Item(CLIENT, n, 1, (CLIENT, n - 1), "", "", None) for n in rest)]
    return [Gc(CLIENT, struct.clock + n, 1) for n in range(struct.length)]


@pytest.mark.parametrize("slack", [0, 256, 10**9])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_added_and_taken_out_every_unit_is_told(
    seed: int, slack: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column, "SLACK", slack)
    model = Model(seed)
    luck = model.luck
    for _ in range(12):
        model.add()
        living = model.living()
        gone = luck.sample(living, luck.randint(0, min(3, len(living))))
        model.drop(*gone, many=luck.random() < 0.3)
        assert model.told(0) == model.units
        clock = luck.randrange(len(model.units))
        assert model.told(clock)[1:] == model.units[clock + 1 :]
        for clock in model.living():
            found = read_struct(
                model.column.cell(model.column.place_of(clock)), CLIENT, clock, read_any
            )
            assert isinstance(found, Item)
            assert found.values == (value(clock),)
        for clock in gone:
            with pytest.raises(UpdateBroken):
                model.column.place_of(clock)


def test_what_is_written_again_and_again_takes_no_more_room() -> None:
    grown = Column()
    for clock in range(2_000):
        above = (CLIENT, clock - 1) if clock else None
        name = ("", "") if clock else ("comments", "a/1")
        grown.append(CLIENT, [Item(CLIENT, clock, 1, above, *name, ({"body": "x" * 300},))])
        if clock:
            grown.drop(CLIENT, clock - 1)
    assert len(grown._buffer) < 2_500
    count, pieces = grown.since(CLIENT, 0)
    assert (count, sum(map(len, pieces)) < 400) == (2, True)


def test_deleted_units_that_follow_each_other_take_no_more_room() -> None:
    grown = Column()
    grown.append(CLIENT, [Item(CLIENT, 0, 1, None, "comments", "a/1", None)])
    for clock in range(1, 2_000):
        grown.append(CLIENT, [Item(CLIENT, clock, 1, (CLIENT, clock - 1), "", "", None)])
    assert len(grown._buffer) < 500
    assert grown.since(CLIENT, 0)[0] == 1


@pytest.mark.parametrize("first", [1, 127, 128, 16_383, 2_000_000])
@pytest.mark.parametrize("more", [1, 127, 16_384, 2_000_000])
def test_the_length_of_one_struct_has_room_in_what_it_takes_in(first: int, more: int) -> None:
    grown = Column()
    kept = Item(CLIENT, first + more, 1, None, "comments", "a/1", ({"body": "kept"},))
    grown.append(CLIENT, [Gc(CLIENT, 0, first), Gc(CLIENT, first, more), kept])
    count, pieces = grown.since(CLIENT, 0)
    whole = encode({CLIENT: [Gc(CLIENT, 0, first + more), kept]}, {})
    assert count == 2
    assert whole[-1:] == b"\x00"
    assert whole[:-1].endswith(b"".join(pieces))
    assert grown.place_of(first + more) == 1
