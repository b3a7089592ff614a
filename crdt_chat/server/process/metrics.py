"""What the server counts about itself, for Prometheus: never per page, user or tenant.

Labels have a small fixed set of values: a label that peers choose would let one of them fill the
memory, and would tell one tenant about another (promises 4 and 5). Counts per tenant are in the
store's usage table.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crdt_chat.server.process.tallies import Level, Levels, Spread, Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST
Channel = Literal["yjs", "legacy"]
"""A CRDT socket, or a legacy subscriber."""
Outcome = Literal["accepted", "refused", "trimmed", "gap", "malformed"]

ADMISSION_BUCKETS = (25e-6, 50e-6, 100e-6, 250e-6, 1e-3, 5e-3, 25e-3, 0.1, 0.5)
COMMIT_BUCKETS = (0.5e-3, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.5, 2.0, 10.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Traffic:
    """Frames and bytes as plain integers: they are counted millions of times and read rarely.

    Only the event loop's thread may count here.
    """

    __slots__ = ("bytes_in", "bytes_out", "frames_in", "frames_out", "lags")

    def __init__(self) -> None:
        self.frames_in = self.bytes_in = self.frames_out = self.bytes_out = self.lags = 0

    def received(self, size: int) -> None:
        """Count one frame of `size` bytes from a peer."""
        self.frames_in += 1
        self.bytes_in += size

    def sent(self, size: int, frames: int = 1) -> None:
        """Count `frames` frames of `size` bytes each to peers."""
        self.frames_out += frames
        self.bytes_out += size * frames

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The families for the registry (prometheus_client's Collector protocol)."""
        rows = (
            ("frames", "WebSocket frames", self.frames_in, self.frames_out),
            ("bytes", "Payload bytes of WebSocket frames", self.bytes_in, self.bytes_out),
        )
        for name, about, inward, outward in rows:
            family = CounterMetricFamily(f"crdt_chat_{name}", about, labels=["direction"])
            family.add_metric(["in"], inward)
            family.add_metric(["out"], outward)
            yield family
        about = "Times that a connection went over its outbox limit"
        yield CounterMetricFamily("crdt_chat_lags", about, value=self.lags)


class Metrics:
    """One server's counters in their own registry, so that two servers in one process stay apart.

    version: what crdt_chat_build carries as its label.
    """

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.traffic = Traffic()
        self.registry.register(self.traffic)
        ProcessCollector(registry=self.registry)
        self._gauge("build", "Always 1; the version is the label", ["version"]).labels(version).set(
            1
        )
        self._presence()
        self._admission()
        self._commits()

    def _presence(self) -> None:
        self._connections = Levels("crdt_chat_connections", "Open connections", "channel")
        self._users = Level("crdt_chat_users", "Distinct users, summed over open pages")
        self.registry.register(self._connections)
        self.registry.register(self._users)
        self._pages = self._gauge("pages_open", "Pages in memory")
        self._lagging = self._gauge("connections_lagging", "Connections over their outbox limit")
        self._closes = self._tally("closes", "Connections closed by the server", "code")
        self._awareness = self._tally("awareness_changes", "Awareness changes", "outcome")

    def _admission(self) -> None:
        self._updates = self._tally("updates", "Updates judged by the gate", "outcome")
        self._operations = self._tally("operations", "Operations (keys) accepted")
        self._refusals = self._tally("refusals", "Operations refused", "rule")
        self._judging = self._spread(
            "admission_seconds", "Judging and applying one update", ADMISSION_BUCKETS
        )

    def _commits(self) -> None:
        self._commit_updates = self._spread(
            "commit_updates", "Updates in one durable commit", BATCH_BUCKETS
        )
        self._commit_seconds = self._spread(
            "commit_seconds",
            "From handing a batch to the store until it is durable",
            COMMIT_BUCKETS,
        )
        self._commit_failures = self._counter("commit_failures", "Commits that failed")
        self._queued = Level("crdt_chat_commit_queue_updates", "Updates waiting for a commit")
        self.registry.register(self._queued)
        self._rebuilds = self._counter("page_rebuilds", "Pages rebuilt from the store")
        self._unverified = self._counter(
            "snapshots_unverified", "Snapshots not written, since they do not read back"
        )
        self._events = self._tally("events", "Text-chat events written", "type")

    def _gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"crdt_chat_{name}", about, labels, registry=self.registry)

    def _counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"crdt_chat_{name}", about, labels, registry=self.registry)

    def _tally(self, name: str, about: str, label: str = "") -> Tally:
        made = Tally(f"crdt_chat_{name}", about, label)
        self.registry.register(made)
        return made

    def _spread(self, name: str, about: str, buckets: Sequence[float]) -> Spread:
        made = Spread(f"crdt_chat_{name}", about, buckets)
        self.registry.register(made)
        return made

    def connected(self, channel: Channel) -> None:
        """One more open connection."""
        self._connections.add(1, channel)

    def disconnected(self, channel: Channel, code: int | None = None) -> None:
        """One open connection fewer; `code` if the server closed it with this close code."""
        self._connections.add(-1, channel)
        if code is not None:
            self._closes.add(1, str(code))

    def users_changed(self, by: int) -> None:
        """`by` users came to (or, negative, left) a page: distinct ones, not tabs."""
        self._users.value += by

    def pages_changed(self, by: int) -> None:
        """`by` pages came into memory (or, negative, were evicted)."""
        self._pages.inc(by)

    def follow_lagging(self, count: Callable[[], int]) -> None:
        """`count` is asked at each scrape how many connections are over their outbox limit."""
        self._lagging.set_function(count)

    def awareness(self, *, forwarded: int = 0, dropped: int = 0) -> None:
        """Awareness changes passed on, and those that gave way to a newer one of their sender."""
        self._awareness.add(forwarded, "forwarded")
        self._awareness.add(dropped, "dropped")

    def judged(
        self, outcome: Outcome, seconds: float, operations: int = 0, rules: Iterable[str] = ()
    ) -> None:
        """One update was judged: `operations` keys accepted, `rules` has one per refusal."""
        self._updates.add(1, outcome)
        self._judging.observe(seconds)
        self._operations.add(operations)
        for rule in rules:
            self._refusals.add(1, rule)

    def committed(self, updates: int, seconds: float) -> None:
        """A batch of `updates` became durable, `seconds` after it was handed to the store."""
        self._commit_updates.observe(updates)
        self._commit_seconds.observe(seconds)

    def commit_failed(self) -> None:
        """The store refused a batch; nothing of it was shown."""
        self._commit_failures.inc()

    def queued(self, updates: int) -> None:
        """`updates` wait for a commit now."""
        self._queued.value = updates

    def page_rebuilt(self) -> None:
        """A page was rebuilt from the store after a failed apply or commit."""
        self._rebuilds.inc()

    def unverified(self) -> None:
        """A snapshot did not read back as the page says, and was not written."""
        self._unverified.inc()

    def event_written(self, event_type: str, count: int = 1) -> None:
        """`count` text-chat events of one of the three types were committed."""
        self._events.add(count, event_type)

    def render(self) -> bytes:
        """Everything in the Prometheus text format; its media type is CONTENT_TYPE."""
        return generate_latest(self.registry)
