"""One batch of hostile inputs onto one page, and everything that must hold during and after it."""

import contextlib
import gc
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from contents import canonical
from hostile.inputs import Inputs, written_anew
from hostile.soil import ATTACKER, PAGES, SEEDS, SMALL, Kept, Soil, copied, filled, lived
from pycrdt import Doc, Map
from simulation.forgery import clocks
from simulation.oracle import Oracle

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.update import decode
from crdt_chat.page.verdict import GateRows, Sync, Verdict

INPUTS = 250
"""Inputs of one batch: the page is a new one for the next."""

STEP_MS = 50.0
"""The most CPU time that judging one input may take."""

NOW = 1_763_000_000_000
ROOTS = ("annotations", "comments", "resolved", "reactions", "deleted", "closed", "page")
SYNCS: tuple[Sync, ...] = ("update", "update", "step2", "last")
ROLES = tuple(Role)

Content = Mapping[str, Mapping[str, Any]]


@lru_cache(maxsize=2 * PAGES)
def ground(kind: str, number: int) -> Kept:
    """One of a few pages to begin with; they are made once."""
    rng = random.Random(f"{kind}/{number}")
    return {"empty": lambda _: Kept(), "filled": filled, "lived": lived}[kind](rng)


def content_of(page: Page) -> dict[str, dict[str, Any]]:
    """All live entries by root."""
    return {root: dict(page.items(root)) for root in ROOTS}


@dataclass(slots=True)
class Tally:
    """What came of some batches. slowest: CPU ms, batch and kind of the slowest inputs, worst first."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, int, str]] = field(default_factory=list)

    def note(self, ms: float, batch: int, kind: str) -> None:
        """Keep it if it is one of the five slowest."""
        if len(self.slowest) < 5 or ms > self.slowest[-1][0]:
            self.slowest = sorted([*self.slowest, (ms, batch, kind)], reverse=True)[:5]

    def add(self, other: "Tally") -> None:
        """Take in the tally of other batches."""
        self.counts.update(other.counts)
        for slow in other.slowest:
            self.note(*slow)


class Fault(AssertionError):
    """Something that must not be. The message names batch and input and shows its bytes."""


class Batch:
    """Batch `number` of a seed: everything in it follows from the two."""

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        self.rng = rng = random.Random(f"{seed}/{number}")
        self.role = ROLES[number % len(ROLES)]
        kind = rng.choice(("empty", "filled", "filled", "lived"))
        self.limits = SMALL if rng.random() < 0.1 else PageLimits()
        kept = ground(kind, rng.randrange(PAGES))
        self.kept = Kept(list(kept.journal), copied(kept.rows))
        self.page = self.kept.load(self.limits)
        # Sometimes the sender is one of the people of the page: then her own things may change.
        self.user = ATTACKER if rng.random() < 0.8 else rng.choice(SEEDS)[0]
        self.soil = Soil(self.user, [rng.randrange(2**16, 2**32), rng.randrange(2**16, 2**53)])
        for client in self.soil.own:
            if rng.random() < 0.7:
                self.page.announce(client, self.user)
        self.before = content_of(self.page)
        # Somebody who has been there all the time, and is told each update as it goes out.
        self.reader = replica(*self.kept.journal)
        self.oracle = Oracle(self.limits)
        self.oracle.past.update({name: (who, made) for name, who, made in self.kept.rows.entities})

    def play(self, tally: Tally, inputs: int = INPUTS) -> None:
        """All inputs, then what must hold. Raises Fault."""
        self.soil.look(self.page)
        source = Inputs(self.rng, self.soil)
        for turn in range(inputs):
            kind, mark, data = source.next()
            try:
                self._one(tally, kind, mark, data)
            except Exception as error:
                raise Fault(
                    f"batch {self.number} input {turn} ({kind}, {self.role.name}, {self.user}): "
                    f"{error!r}\n{data.hex()}"
                ) from error
        try:
            self._end()
        except Exception as error:
            raise Fault(f"batch {self.number} at its end: {error!r}") from error
        tally.counts["batches"] += 1

    def _one(self, tally: Tally, kind: str, mark: str, data: bytes) -> None:
        sync = self.rng.choice(SYNCS)
        grant = Grant("t", self.user, self.user, self.role)
        tally.counts[f"input {kind}"] += 1
        tally.counts[f"as {self.role.name.lower()}"] += 1
        verdict, ms = self._timed(self.page, data, sync, grant)
        if ms > STEP_MS / 4:
            # A busy machine makes any step long now and then: the least of three is the input's own.
            again = [self._timed(self.kept.load(self.limits), data, sync, grant) for _ in range(2)]
            ms = min(ms, *(other for _, other in again))
        tally.note(ms, self.number, kind)
        if verdict is None:
            tally.counts["verdict malformed"] += 1
            return
        tally.counts[f"verdict {verdict.kind}"] += 1
        for refusal in verdict.refusals:
            tally.counts[f"keys refused by {refusal.rule}"] += 1
        self._judge(grant, mark, verdict)

    def _timed(
        self, page: Page, data: bytes, sync: Sync, grant: Grant
    ) -> tuple[Verdict | None, float]:
        """The verdict, None for malformed, and the CPU ms that it took."""
        verdict = None
        began = time.thread_time_ns()
        with contextlib.suppress(Malformed):
            verdict = page.receive(data, sync, grant, NOW)
        return verdict, (time.thread_time_ns() - began) / 1e6

    def _judge(self, grant: Grant, mark: str, verdict: Verdict) -> None:
        """A second opinion on what was let through, and a look at what is kept."""
        if verdict.changes:
            page = {root: dict(self.page.items(root)) for root in ("deleted", "closed")}
            self.oracle.check(grant, verdict.changes, page)
        for name, creator, created in verdict.rows.entities:
            # What came together with its own deletion is remembered, and no change tells of it.
            self.oracle.past.setdefault(name, (creator, created))
        if not verdict.update:
            return
        if self.rng.random() < 0.2:
            assert written_anew(decode(verdict.update)) == verdict.update, "not canonical"
        if mark and not any(mark in repr(change.after) for change in verdict.changes):
            assert mark.encode() not in verdict.update, "a refused value is in what goes out"
        self.kept.journal.append(verdict.update)
        try:
            self.reader.apply_update(verdict.update)
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            raise AssertionError("what goes out makes the library panic") from error
        for name in GateRows.__dataclass_fields__:
            getattr(self.kept.rows, name).extend(getattr(verdict.rows, name))
        self.soil.look(self.page)

    def _end(self) -> None:
        """The page is what a reload and what another library makes of it; honest content stands."""
        shown = content_of(self.page)
        again = self.kept.load(self.limits)
        assert canonical(content_of(again)) == canonical(shown), "a reload differs"
        assert clocks(again.state_vector()) == clocks(self.page.state_vector()), "clocks differ"
        state = self.page.state()
        for who, other in (("who joins", replica(state)), ("who was there", self.reader)):
            assert canonical(shown_by(other)) == canonical(shown), f"{who} sees something else"
            assert clocks(other.get_state()) == clocks(self.page.state_vector()), f"{who}: clocks"
            deleted = decode(other.get_update()).deleted
            assert deleted == decode(state).deleted, f"{who} has other things deleted"
        if self.user == ATTACKER and self.role < Role.MODERATOR:
            for root, entries in self.before.items():
                for name, value in entries.items():
                    assert shown[root].get(name) == value, f"{root}/{name} has changed"


def replica(*updates: bytes) -> Doc[Any]:
    """A plain pycrdt Doc that is told these updates."""
    doc: Doc[Any] = Doc()
    for update in updates:
        doc.apply_update(update)
    return doc


def shown_by(doc: Doc[Any]) -> Content:
    """What it shows."""
    return {root: json.loads(str(doc.get(root, type=Map))) for root in ROOTS}


def play(seed: int, numbers: Iterable[int], inputs: int = INPUTS) -> Tally:
    """These batches. Raises Fault."""
    tally = Tally()
    for number in numbers:
        Batch(seed, number).play(tally, inputs)
    gc.collect()
    return tally
