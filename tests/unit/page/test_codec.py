"""The codec of updates: strict about what comes, canonical about what goes, at one with Yjs."""

import random
import struct

import pytest
from hostile.inputs import mutate, written_anew
from hostile.soil import SEEDS
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Map

from crdt_chat.errors import Malformed
from crdt_chat.page.lib0 import (
    _FIVES,
    MAX_DEPTH,
    MAX_FIVES,
    UNDEFINED,
    read_any,
    read_client,
    read_uint,
    write_any,
    write_uint,
)
from crdt_chat.page.skipping import skip_any
from crdt_chat.page.update import Gc, Item, Skip, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def written(value: object) -> bytes:
    out = bytearray()
    write_any(out, value)
    return bytes(out)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_values_come_back(value: object) -> None:
    assert read_any(written(value), 0) == (value, len(written(value)), True)


@given(JSON.filter(lambda value: value is not None))
@settings(max_examples=100, deadline=None)
def test_yjs_reads_what_we_write(value: object) -> None:
    doc = Doc()
    doc.apply_update(encode({5: [Item(5, 0, 1, None, "page", "x", (value,))]}, {}))
    assert doc.get("page", type=Map)["x"] == value


@given(st.dictionaries(st.text(min_size=1), JSON, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_we_read_what_yjs_writes(entries: dict[str, object]) -> None:
    doc = Doc()
    map_ = doc.get("page", type=Map)
    for name, value in entries.items():
        map_[name] = value
    (items,) = decode(doc.get_update()).structs.values()
    found = {item.name: item.values[0] for item in items if isinstance(item, Item) and item.values}
    assert found == entries


@given(st.binary(min_size=1, max_size=40).map(lambda data: bytes([data[0] % 16 + 114]) + data[1:]))
@settings(max_examples=500, deadline=None)
def test_bytes_are_copied_only_if_they_are_what_we_would_write(data: bytes) -> None:
    try:
        value, end, known = read_any(data, 0)
    except (Malformed, IndexError, UnicodeDecodeError, struct.error):
        return
    if known and end <= len(data):
        assert data[:end] == written(value)


@pytest.mark.parametrize(
    "odd",
    [
        "7a0000000000000005",  # a BigInt
        "7c3f800000",  # 1 as a float
        "7b4014000000000000",  # 5 as a float of 64 bits
        "7bfff8000000000000",  # NaN
        "7d40",  # minus zero
        "7dbfffffff1f",  # 2^32 as an integer
        "7602" + "016178" + "016179",  # a property twice
        "7601" + "01617f",  # a property that is undefined
        "7501" + "7c3f800000",
    ],
)
def test_odd_spellings_are_written_anew(odd: str) -> None:
    value, end, known = read_any(bytes.fromhex(odd), 0)
    assert end == len(odd) // 2
    assert not known
    if value == value:
        assert written(value) != bytes.fromhex(odd)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**31, 2**32, 2**53 - 1])
def test_integers(number: int) -> None:
    out = bytearray()
    write_uint(out, number)
    assert read_uint(bytes(out), 0) == (number, len(out))


@pytest.mark.parametrize(
    "data", ["8000", "ff00", "80808080808080808080", "ffffffffffffff1f", "8080808080808010"]
)
def test_padded_or_huge_integers_are_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read_uint(bytes.fromhex(data), 0)


def test_numbers_that_are_whole_are_integers() -> None:
    for tag, layout in ((124, ">f"), (123, ">d")):
        value, _, known = read_any(bytes([tag]) + struct.pack(layout, 5.0), 0)
        assert not known
        assert type(value) is int
        assert value == 5
    assert read_any(bytes([122]) + struct.pack(">q", 2**40), 0)[0] == 2**40
    assert read_any(bytes([123]) + struct.pack(">d", 0.5), 0)[0] == 0.5


def test_undefined_properties_are_dropped() -> None:
    assert read_any(bytes.fromhex("7602016178" + "01627f"), 0)[0] == {"a": True}
    assert read_any(b"\x7f", 0)[0] is UNDEFINED


def nested(depth: int) -> bytes:
    return b"\x75\x01" * depth + b"\x78"


def test_depth_is_limited() -> None:
    assert read_any(nested(MAX_DEPTH), 0)
    for hostile in (nested(MAX_DEPTH + 1), nested(53_000)):
        with pytest.raises(Malformed):
            read_any(hostile, 0)


HEAD = "010105002801" + "0470616765" + "0178"  # one item of client 5 at page/x, its content missing


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("nothing at all", ""),
        ("structs only", "00"),
        ("left over", "000000"),
        ("a section of no structs", "0100050000"),
        ("a client twice", "0201050000010501000100"),
        ("a GC of length zero", "01010500000000"),
        ("a GC with flags", "01010500800100"),
        ("a right origin", "010105006805030104706167650178017800"),
        ("a parent by id", "01010500280005000178017800"),
        ("an item without a key", "010105000801047061676501" + "7800"),
        ("an origin in itself", "01010500a80500017800"),
        ("an origin that lies later", "01010500a80507017800"),
        ("no values", HEAD + "0000"),
        ("an unknown value", HEAD + "015000"),
        ("a text cut short", HEAD + "01770568"),
        ("bad UTF-8", HEAD + "017702c32800"),
        ("a surrogate", HEAD + "017703eda08000"),
        ("a list longer than the update", HEAD + "0175ffffff0700"),
        ("values without end", HEAD + "ffffff0778"),
        ("a float cut short", HEAD + "017b0000"),
        ("a clock that is too high", "010105ffffffff0728010470616765017801" + "7800"),
        ("a client id that is too high", "0101808080808080801000280104706167650178017800"),
        ("an empty range", "000105010000"),
        ("no ranges", "00010500"),
        ("a client twice in the delete set", "000205010001" + "05010001"),
        ("a range that is too high", "00010501ffffffff0701"),
    ]
    + [
        (f"content {ref}", f"010105002{ref:x}01047061676501780100")
        for ref in (2, 3, 4, 5, 6, 7, 9, 11)
    ],
)
def test_what_no_client_sends_is_malformed(what: str, data: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(data))


def test_every_cut_of_a_good_update_is_malformed() -> None:
    data = encode(
        {
            300: [
                Item(300, 0, 1, None, "comments", "a/b", ({"body": "é" * 200, "n": 5},)),
                Gc(300, 1, 3),
            ]
        },
        {300: [(0, 1), (5, 9)], 7: [(0, 2)]},
    )
    update = decode(data)
    assert update.raw == data == encode(update.structs, update.deleted)
    for end in range(len(data)):
        with pytest.raises(Malformed):
            decode(data[:end])


def test_ranges_are_joined_and_clients_descend() -> None:
    data = encode({1: [Gc(1, 0, 1)], 2: [Skip(2, 0, 1)]}, {4: [(5, 6), (1, 3), (2, 5)]})
    assert data == bytes.fromhex("020102000a0101010000010104010105") == decode(data).raw
    assert decode(data).deleted == {4: [(1, 6)]}
    assert list(decode(data).structs) == [2, 1]


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("an origin without the bit of a name", "01010501880500017800"),
        ("clients that ascend", "020101000001010200000100"),
        ("deleted clients that ascend", "00020101000102010001"),
        ("ranges that touch", "0001050200010101"),
        ("ranges that descend", "0001050205010101"),
        ("a number that we write otherwise", HEAD + "017b3ff000000000000000"),
        ("a property without a value", HEAD + "01760101617f00"),
    ],
)
def test_what_is_written_otherwise_is_written_anew(what: str, data: str) -> None:
    update = decode(bytes.fromhex(data))
    assert update.raw is None
    again = decode(encode(update.structs, update.deleted))
    assert written_anew(again) == written_anew(update)


@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_bytes_are_kept_only_if_they_are_what_we_would_write(
    seed: tuple[str, bytes], rng: random.Random
) -> None:
    try:
        update = decode(mutate(seed[1], rng))
    except Malformed:
        return
    if update.raw is not None:
        assert written_anew(update) == update.raw


@given(JSON)
def test_a_value_that_is_skipped_ends_where_it_ends_when_it_is_read(value: object) -> None:
    data = b"before" + written(value) + b"after"
    assert skip_any(data, 6) == (None, 6 + len(written(value)), True)


def test_long_and_odd_values_are_skipped_whole() -> None:
    for value in ("ü" * 64, {"k" * 300: ["x" * 20_000]}, -(2**30), 2**31):
        assert skip_any(written(value) + b"after", 0)[1] == len(written(value))
    for tag, size in ((122, 8), (123, 8), (124, 4), (127, 0)):
        assert skip_any(bytes([tag]) + b"\x01" * size, 0)[1] == size + 1
    assert skip_any(b"\x74\x03abc", 0)[1] == 5
    with pytest.raises(Malformed):
        skip_any(b"\x00", 0)


def test_several_values_of_one_item_are_copied_together() -> None:
    item = Item(5, 0, 2, None, "comments", "a/1", ["one", {"two": 2}])
    data = encode({5: [item]}, {})
    skipped = decode(data, skip_any)
    assert encode(skipped.structs, skipped.deleted) == data


def test_client_ids_are_read_whatever_their_length_and_few_are_kept() -> None:
    for client in [0, 127, 128, 2**28 - 1, 2**28, 2**35 - 1, 2**35, 2**53 - 1] * 2:
        for number in (0, 127, 128, 2**14 - 1, 2**14, 2**31):
            data = bytearray()
            write_uint(data, client)
            write_uint(data, number)
            assert read_client(bytes(data), 0) == (client, number, len(data))
            for end in range(len(data)):
                with pytest.raises(IndexError):
                    read_client(bytes(data[:end]), 0)
    for client in range(2**28, 2**28 + 2 * MAX_FIVES):
        data = bytearray()
        write_uint(data, client)
        assert read_client(bytes(data) + b"\x00", 0) == (client, 0, 6)
    assert len(_FIVES) <= MAX_FIVES


def test_entries_share_the_name_of_their_root() -> None:
    doc: Doc[Map[int]] = Doc()
    for name in ("a", "b"):
        doc.get("comments", type=Map)[name] = 1
    (run,) = decode(doc.get_update()).structs.values()
    (again,) = decode(doc.get_update()).structs.values()
    one, two, three = run[0], run[1], again[0]
    assert type(one) is type(two) is type(three) is Item
    assert one.root is two.root is three.root
