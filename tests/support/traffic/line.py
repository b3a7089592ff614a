"""The Node process with the crowds, and the pages that are played with it, many at a time."""

import contextlib
import itertools
import json
import queue
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from traffic.page import CrowdPage
from yjs_peer import INTEROP

PAGES = 24
"""Pages of one line: two lines are under way, so that Node and Python work at the same time."""


class Line:
    """One Node process: `send` a list of what pages ask, `read` the list of answers, in order."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "crowd.mjs"],
            cwd=INTEROP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="crowd", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put('{"error": "the Node process is gone"}')

    def send(self, asked: list[dict[str, Any]]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()

    def read(self) -> list[dict[str, Any]]:
        """Raises AssertionError for whatever yjs complained of."""
        answer = json.loads(self._answers.get())
        assert "error" not in answer, answer["error"]
        assert not answer["complaints"], answer["complaints"][:3]
        pages: list[dict[str, Any]] = answer["pages"]
        return pages

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(10)
        self._reader.join()
        self._process.stdout.close()


@dataclass(slots=True)
class Outcome:
    """Counts of all pages that have ended, and what went wrong on the others."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Lane:
    """Up to PAGES pages at a time, one round of all of them in one line."""

    def __init__(self, line: Line, seed: int, numbers: Iterator[int], outcome: Outcome) -> None:
        self._line = line
        self._seed = seed
        self._numbers = numbers
        self._outcome = outcome
        self._pages: list[CrowdPage] = []

    def ask(self) -> bool:
        """Send what the pages ask, new ones in the place of those that have ended; False at the end."""
        while len(self._pages) < PAGES and (number := next(self._numbers, None)) is not None:
            self._pages.append(CrowdPage(self._seed, number))
        if self._pages:
            self._line.send([page.ask() for page in self._pages])
        return bool(self._pages)

    def hear(self) -> None:
        """Take the answers; a page on which somebody was wronged goes no further."""
        pages, self._pages = self._pages, []
        for page, answer in zip(pages, self._line.read(), strict=True):
            try:
                goes_on = page.hear(answer)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and shown
                self._outcome.faults.append(f"page {page.name}: {error!r}")
                continue
            if goes_on:
                self._pages.append(page)
            else:
                self._outcome.counts.update(page.counts)


def crowds(seed: int, numbers: Iterable[int], enough: Callable[[Outcome], bool]) -> Outcome:
    """Play pages of these numbers until there are none left, or it is `enough`."""
    outcome = Outcome()
    line = Line()
    wanted = itertools.takewhile(lambda _: not enough(outcome), numbers)
    try:
        lanes = [Lane(line, seed, wanted, outcome) for _ in range(2)]
        asking = [lane for lane in lanes if lane.ask()]
        while asking:
            for lane in list(asking):
                lane.hear()
                if not lane.ask():
                    asking.remove(lane)
    except AssertionError as error:
        outcome.faults.append(f"all pages under way: {error}")
    finally:
        line.close()
    return outcome
