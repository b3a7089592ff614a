"""Counters as plain numbers: what is counted for every update costs a fraction of a microsecond.

prometheus_client's own are for several threads: a lock, a float and a look-up each time, 2 us in all.
These may be counted in the event loop's thread only, and are turned into families at the scrape.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)


class Tally:
    """A counter, by the values of one label where `label` names it."""

    __slots__ = ("_about", "_counts", "_label", "_name")

    def __init__(self, name: str, about: str, label: str = "") -> None:
        self._name = name
        self._about = about
        self._label = label
        self._counts: Counter[str] = Counter()

    def add(self, by: int = 1, value: str = "") -> None:
        """Count `by` more, of this value of the label."""
        self._counts[value] += by

    def collect(self) -> Iterator[Metric]:
        """The family for the registry (prometheus_client's Collector protocol)."""
        if not self._label:
            yield CounterMetricFamily(self._name, self._about, value=self._counts[""])
            return
        family = CounterMetricFamily(self._name, self._about, labels=[self._label])
        for value, count in self._counts.items():
            family.add_metric([value], count)
        yield family


class Level:
    """A gauge: how much there is now, in `value`."""

    __slots__ = ("_about", "_name", "value")

    def __init__(self, name: str, about: str) -> None:
        self._name = name
        self._about = about
        self.value = 0

    def collect(self) -> Iterator[Metric]:
        """The family for the registry."""
        yield GaugeMetricFamily(self._name, self._about, value=self.value)


class Levels:
    """A gauge by the values of one label."""

    __slots__ = ("_about", "_label", "_name", "_values")

    def __init__(self, name: str, about: str, label: str) -> None:
        self._name = name
        self._about = about
        self._label = label
        self._values: Counter[str] = Counter()

    def add(self, by: int, value: str) -> None:
        """`by` more (or, negative, less) of this value of the label."""
        self._values[value] += by

    def collect(self) -> Iterator[Metric]:
        """The family for the registry."""
        family = GaugeMetricFamily(self._name, self._about, labels=[self._label])
        for value, level in self._values.items():
            family.add_metric([value], level)
        yield family


class Spread:
    """A histogram over these upper bounds, in the unit of what is observed."""

    __slots__ = ("_about", "_bounds", "_counts", "_name", "_sum")

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._about = about
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, amount: float) -> None:
        """Count one of this amount."""
        self._counts[bisect_left(self._bounds, amount)] += 1
        self._sum += amount

    def collect(self) -> Iterator[Metric]:
        """The family for the registry; its buckets are cumulative."""
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
        yield HistogramMetricFamily(self._name, self._about, buckets, self._sum)
