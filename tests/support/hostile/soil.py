"""The pages that hostile bytes fall on, and what whoever writes these bytes can know of them."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from handmade import NOW, SERVER, Hand, Table, annotation, comment, entry, grant
from simulation.forgery import clocks

from crdt_chat.errors import Malformed
from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.update import Id
from crdt_chat.page.verdict import GateRows

DATA = Path(__file__).parents[2] / "data"
HONEST = ("ada", "ben", "mod")
ATTACKER = "zed"
VICTIMS = {"ada": 2_100_000_001, "ben": 2**52 + 17, "mod": 70_001}
PAGES = 16
SMALL = replace(PageLimits(), annotations=8, comments=16, state=40_000)
"""Limits that some batches reach."""


def recorded() -> list[dict[str, Any]]:
    """The histories of gate-vectors.jsonl."""
    lines = (DATA / "gate-vectors.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


HISTORIES = recorded()
SEEDS = [
    (step["user"], bytes.fromhex(step["update"]).replace(b"EVIL", b"even"))
    for history in HISTORIES
    for step in history["steps"]
    if "update" in step
]
"""User and bytes of every recorded update. The word that marks forbidden texts there would be a false
alarm here: who may write what is judged anew."""
PANICS = [
    bytes.fromhex(line.split()[0])
    for line in (DATA / "panic-corpus.txt").read_text("utf-8").splitlines()
    if line.strip()
]
"""What made yrs panic."""


@dataclass(slots=True)
class Kept:
    """A page as a store would keep it."""

    journal: list[bytes] = field(default_factory=list)
    rows: GateRows = field(default_factory=GateRows)

    def load(self, limits: PageLimits) -> Page:
        """The page anew; the rows are copied."""
        return Page.load(None, self.journal, copied(self.rows), limits, SERVER)


def copied(rows: GateRows) -> GateRows:
    """The same rows in lists of their own."""
    return GateRows(*(list(getattr(rows, name)) for name in rows.__dataclass_fields__))


def filled(rng: random.Random) -> Kept:
    """A page on which three people have been at work: threads, edits, deletions, a closed thread."""
    table = Table()
    hands = {user: Hand(table, user, VICTIMS[user]) for user in HONEST}
    hands["mod"].grant = grant("mod", Role.MODERATOR)
    tips: dict[tuple[str, str], Id] = {}
    for number in range(rng.randrange(3, 8)):
        author, other = hands[rng.choice(HONEST)], hands[rng.choice(HONEST)]
        name = f"a{number}"
        tips["annotations", name] = author.set(
            "annotations", name, annotation(author.grant.user, NOW - 9_000)
        )
        _send(author)
        for turn in range(rng.randrange(1, 5)):
            _talk(rng, hands[rng.choice(HONEST)], name, turn, tips)
        _settle(rng, author, other, name, tips)
    _close(rng, hands["mod"])
    return Kept(table.journal, table.rows)


def _send(hand: Hand) -> None:
    verdict = hand.send()
    assert verdict.kind == "accepted", verdict


def _talk(
    rng: random.Random, hand: Hand, thread: str, turn: int, tips: dict[tuple[str, str], Id]
) -> None:
    user, name = hand.grant.user, f"{thread}/c{turn}"
    tips["comments", name] = hand.set("comments", name, comment(user, f"{user} says", NOW - 8_000))
    for _ in range(rng.randrange(3)):
        value = comment(user, f"{user} says {rng.random()}", NOW - 8_000, edited=NOW - 7_000)
        tips["comments", name] = hand.set("comments", name, value, tips["comments", name])
    if rng.random() < 0.6:
        hand.set("reactions", f"{name}/👍/{user}", {"at": NOW - 7_000})
    _send(hand)


def _settle(
    rng: random.Random, author: Hand, other: Hand, name: str, tips: dict[tuple[str, str], Id]
) -> None:
    user = author.grant.user
    if rng.random() < 0.4:
        author.set("resolved", name, entry(user, resolved=True))
    if rng.random() < 0.3:
        author.set("deleted", f"{name}/{user}", entry(user))
        for (root, key), unit in list(tips.items()):
            if key == name or (root == "comments" and key.startswith(f"{name}/")):
                author.drop(unit)
                del tips[root, key]
    if author.structs:
        _send(author)
    mine = [key for root, key in tips if root == "comments"]
    if mine and other.grant.user == "mod" and rng.random() < 0.5:
        key = rng.choice(mine)
        other.set("deleted", f"{key}/mod", entry("mod"))
        other.drop(tips.pop(("comments", key)))
        _send(other)


def _close(rng: random.Random, mod: Hand) -> None:
    if rng.random() < 0.5:
        mod.set("closed", "a0", entry("mod", closed=True))
    mod.set("page", "title", "A page")
    _send(mod)


def lived(rng: random.Random) -> Kept:
    """A page on which a few recorded histories have been played, as far as it takes them."""
    table = Table()
    for history in rng.sample(HISTORIES, 3):
        for step in history["steps"]:
            if "update" not in step:
                continue
            who = grant(step["user"], Role[step["role"].upper()])
            try:
                verdict = table.page.receive(bytes.fromhex(step["update"]), step["sync"], who, NOW)
            except Malformed:
                continue
            table.keep(verdict)
    return Kept(table.journal, table.rows)


@dataclass(slots=True)
class Soil:
    """What an attacker can know: clients and their clocks, names, and the unit under each name."""

    user: str
    own: list[int]
    clients: dict[int, int] = field(default_factory=dict)
    names: list[tuple[str, str]] = field(default_factory=list)
    tips: dict[tuple[str, str], Id] = field(default_factory=dict)

    def look(self, page: Page) -> None:
        """Learn the page as it is now."""
        self.clients = clocks(page.state_vector())
        self.tips = dict(_tips(page))
        self.names = list(self.tips)


def _tips(page: Page) -> Iterator[tuple[tuple[str, str], Id]]:
    for root, entries in page._content.index.entries.items():
        for name, found in entries.items():
            yield (root, name), (found.client, found.last)
