"""What roles cost at the gate: the same updates with the questions about them and with these taken out.

`python bench/admission.py --without-roles` calls it. Taken out, in this process and between two calls only:
the table of powers (everybody has the same), and the rule that asks it for every key. What is left of roles
without them is one attribute that is true.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from crdt_chat.identity import Grant
from crdt_chat.page import hearing, rules
from crdt_chat.page.page import Page
from crdt_chat.page.powers import Powers, powers_of
from crdt_chat.page.verdict import Verdict

ALL = Powers(writes=True, annotates=True, resolves=True)


class Author(Protocol):
    """Makes the same updates in the same order whenever it is made from the same seed."""

    def reply(self, annotation: str) -> bytes:
        """A new comment."""
        ...

    def edit(self) -> bytes:
        """A new body for it."""
        ...

    def annotate(self) -> bytes:
        """A new annotation with its comment."""
        ...


@contextmanager
def no_roles() -> Iterator[None]:
    """For the length of the block nobody's role is asked for."""
    asked = rules._judge_role
    hearing.powers_of = lambda _role, _limits: ALL
    rules._judge_role = lambda _hearing, _draft: None
    try:
        yield
    finally:
        hearing.powers_of, rules._judge_role = powers_of, asked


class Pair:
    """Two pages of the same content, one judged with roles and one without; grant is who writes."""

    def __init__(
        self, page: Callable[[], Page], author: Callable[[], Author], grant: Grant
    ) -> None:
        self.grant = grant
        self.pages = page(), page()
        self.authors = author(), author()
        self.thread = next(iter(self.pages[0].items("annotations")))[0]
        self.took: dict[str, list[tuple[float, float]]] = {}

    def play(self, operation: str, *, first: bool, now: int) -> None:
        """One update on both pages; first: the one with roles goes ahead."""
        took = [0.0, 0.0]
        for without in (0, 1) if first else (1, 0):
            author = self.authors[without]
            update = (
                author.reply(self.thread) if operation == "reply" else getattr(author, operation)()
            )
            if without:
                with no_roles():
                    verdict, took[1] = self._judge(1, update, now)
            else:
                verdict, took[0] = self._judge(0, update, now)
            assert verdict.kind == "accepted", (operation, self.grant.role, verdict)
        self.took.setdefault(operation, []).append((took[0], took[1]))

    def _judge(self, without: int, update: bytes, now: int) -> tuple[Verdict, float]:
        began = time.thread_time_ns()
        verdict = self.pages[without].receive(update, "update", self.grant, now)
        return verdict, (time.thread_time_ns() - began) / 1000


def told(took: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Microseconds with and without roles (median, lower tenth), and the difference of the pairs.

    Who goes first of a pair finds the caches cold: the difference is the mean of the medians of both orders.
    """
    sides = {"with": [pair[0] for pair in took], "without": [pair[1] for pair in took]}
    orders = [statistics.median(pair[0] - pair[1] for pair in took[order::2]) for order in (0, 1)]
    found = {"difference": statistics.mean(orders)}
    for name, side in sides.items():
        found[name] = statistics.median(side)
        found[f"{name}, lower tenth"] = statistics.quantiles(side, n=10)[0]
    return found


def measure(
    page: Callable[[], Page],
    author: Callable[[], Author],
    grants: dict[str, Grant],
    *,
    repeat: int,
    now: int,
) -> dict[str, dict[str, dict[str, float]]]:
    """By grant and operation what roles cost. The grants, and the two of each pair, take turns."""
    pairs = {name: Pair(page, author, grant) for name, grant in grants.items()}
    for number in range(repeat):
        for name, pair in pairs.items():
            for operation in ("reply", "edit", "annotate"):
                if operation != "annotate" or name != "commenter":
                    pair.play(operation, first=bool(number % 2), now=now)
    return {
        name: {operation: told(took) for operation, took in pair.took.items()}
        for name, pair in pairs.items()
    }


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """The figures for people to read."""
    lines = [
        "CPU us of one update with and without roles, median (lower tenth), and the paired difference:"
    ]
    for name, operations in found.items():
        for operation, each in operations.items():
            both = "  ".join(
                f"{side} {each[side]:6.1f} ({each[f'{side}, lower tenth']:.1f})"
                for side in ("with", "without")
            )
            lines.append(f"{name:>22} {operation:>8}  {both}  difference {each['difference']:+.2f}")
    return "\n".join(lines)
