"""What a soak keeps account of: what was called durable, what happened, and samples over time."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from server import RealServer

TENANT = "soak"
SLOTS = 4
"""Pages in use at a time; each is erased after a while and another takes its place."""

LONGER = 3
"""How many times as long it goes on for what has not happened yet."""


@dataclass(slots=True)
class Sample:
    """The state of things at one moment; sizes in MiB, waits in ms (0: none were measured)."""

    at: float
    memory: float
    file: float
    p50: float
    p99: float
    lost: int
    operations: int
    restarts: int


@dataclass(slots=True)
class Book:
    """Everything that the people of a soak share.

    durable: per page, by the name of a comment, the number in its newest text that the server has
    called durable. wanted: what must be counted, on a slow machine in more time. waits: seconds from a
    write to its sight elsewhere since the last sample. events: (seconds, what) of each restart.
    quiet: no restarts now.
    """

    server: RealServer
    rng: random.Random
    seconds: float
    wanted: tuple[str, ...] = ()
    began: float = field(default_factory=time.monotonic)
    pages: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    durable: dict[str, dict[str, int]] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    restarting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """Whether the time is up, and all that was wanted has happened (or never will, it seems)."""
        happened = all(self.counts[name] for name in self.wanted)
        return self.now >= self.seconds * (1 if happened else LONGER)

    def new_page(self) -> str:
        """The name of a page that was never used."""
        self.counts["pages"] += 1
        name = f"page-{self.counts['pages']}"
        self.durable[name] = {}
        return name

    def kept(self, page: str) -> dict[str, int]:
        """What is durable of a page: nothing, and nobody's, once it is erased."""
        return self.durable.get(page, {})

    def sample(self) -> None:
        """Write down how things are."""
        waits, self.waits = sorted(self.waits), []
        db = self.server.db
        size = sum(
            path.stat().st_size for path in (db, db.with_name(f"{db.name}-wal")) if path.exists()
        )
        running = self.serving.is_set() and not self.server.gone
        self.samples.append(
            Sample(
                self.now,
                self.server.memory() / 2**20 if running else 0.0,
                size / 2**20,
                waits[len(waits) // 2] * 1000 if waits else 0.0,
                waits[int(len(waits) * 0.99)] * 1000 if waits else 0.0,
                len(self.lost),
                self.counts["writes called durable"],
                len(self.events),
            )
        )
