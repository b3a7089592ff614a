"""Mutated updates, and the inputs that make yrs panic: none of them reaches the document (design 4)."""

import json
import random
from pathlib import Path

import pytest

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.update import Item, decode, encode
from crdt_chat.page.verdict import GateRows

DATA = Path(__file__).parents[2] / "data"
NOW = 1_763_000_000_000
PANICS = [
    bytes.fromhex(line.split()[0])
    for line in (DATA / "panic-corpus.txt").read_text().splitlines()
    if line.strip()
]
HISTORIES = [json.loads(line) for line in (DATA / "gate-vectors.jsonl").read_text().splitlines()][
    1:
]


def seeds() -> list[tuple[str, bytes]]:
    """The user and bytes of every update of the vectors."""
    return [
        (step["user"], bytes.fromhex(step["update"]))
        for history in HISTORIES
        for step in history["steps"]
        if "update" in step
    ]


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


def populated() -> tuple[Page, list[tuple[str, bytes]]]:
    """A page on which some of the vectors' first updates stand, and all seeds."""
    page = Page(PageLimits(), 9)
    found = seeds()
    for user, data in found[:30]:
        try:
            page.receive(data, "update", Grant("t", user, user, Role.MODERATOR), NOW)
        except Malformed:
            continue
    assert page.counts().annotations
    return page, found


def written_anew(data: bytes) -> bytes:
    """The update encoded from its values alone."""
    update = decode(data)
    for run in update.structs.values():
        run[:] = [item._replace(raw=None) if isinstance(item, Item) else item for item in run]
    return encode(*update)


@pytest.mark.parametrize("data", PANICS, ids=lambda data: data.hex()[:20])
@pytest.mark.parametrize("sync", ["update", "step2", "last"])
def test_panics_are_refused(data: bytes, sync: str) -> None:
    page, _ = populated()
    before = page.state_vector()
    with pytest.raises(Malformed):
        page.receive(data, sync, Grant("t", "eve", "Eve", Role.ADMIN), NOW)
    assert page.state_vector() == before
    assert page.state()


@pytest.mark.parametrize("seed", range(5))
def test_mutated_updates_harm_nobody(seed: int) -> None:
    """10,000 each: malformed or judged, never a failure of the document; the page still reloads."""
    choice = random.Random(seed)
    page, found = populated()
    kinds: dict[str, int] = {}
    rows = GateRows()
    for number in range(10_000):
        user, data = choice.choice(found)
        data = mutate(data, choice)
        grant = Grant("t", user, user, choice.choice(list(Role)))
        try:
            verdict = page.receive(data, choice.choice(["update", "step2", "last"]), grant, NOW)
        except Malformed:
            kinds["malformed"] = kinds.get("malformed", 0) + 1
            continue
        kinds[verdict.kind] = kinds.get(verdict.kind, 0) + 1
        rows.owners += verdict.rows.owners
        rows.entities += verdict.rows.entities
        rows.refused += verdict.rows.refused
        if verdict.update:
            assert written_anew(verdict.update) == verdict.update
        if number % 2_000 == 0:
            again = Page.load(page.state(), (), rows, PageLimits(), 9)
            assert dict(again.items("comments")) == dict(page.items("comments"))
    assert set(kinds) == {"malformed", "accepted", "refused", "trimmed", "gap"}
    assert kinds["malformed"] > 1_000
