"""Our server beside its peers, one after the other in one run: a table of ratios.

    python bench/compare.py [--rows burst,storm] [--servers ours,relay,yw] [--quick] [--seed 1]
                            [--before OTHER_CHECKOUT] [--repeat 3] [--write docs/benchmarks.md]

Every row starts every server anew, pinned to core 0; this process generates the load on core 1. CPU is
the server's own clock, all threads, kernel time included. Use the ratios within a row: absolute figures
drift from run to run. The peers need `npm ci` in bench/peers.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import report
import visits
import writing
from figures import Figures
from servers import KINDS, Kind, ours, running

NOTES = Path(__file__).resolve().parent / "notes.md"
"""What a table cannot say: goes under it."""

ALL = ("ours", "relay", "pw", "yw", "hp")


@dataclass(frozen=True)
class Row:
    """One scenario with its sizes (`quick` changes them); relay: whether a relay can play it."""

    name: str
    about: str
    unit: str
    play: Callable[..., Awaitable[Figures]]
    sizes: dict[str, float]
    quick: dict[str, float] = field(default_factory=dict)
    relay: bool = False


ROWS = {
    row.name: row
    for row in (
        Row(
            "fanout-10", "1 writer 50/s -> 10 readers", "us/delivery", writing.fan_out,
            {"readers": 10, "rate": 50, "operations": 400}, {"operations": 100}, True,
        ),
        Row(
            "fanout-100", "1 writer 20/s -> 100 readers", "us/delivery", writing.fan_out,
            {"readers": 100, "rate": 20, "operations": 160}, {"operations": 40}, True,
        ),
        Row(
            "fanout-500", "1 writer 10/s -> 500 readers", "us/delivery", writing.fan_out,
            {"readers": 500, "rate": 10, "operations": 80}, {"operations": 20}, True,
        ),
        Row(
            "saturation", "a writer keeps 100 operations in flight, 100 readers", "us/delivery",
            writing.saturation, {"readers": 100, "operations": 8_000}, {"operations": 2_000}, True,
        ),
        Row(
            "pages", "200 pages x 5 users, 0.2 op/s each", "us/delivery", writing.pages,
            {"count": 200, "rate": 0.2, "seconds": 15}, {"seconds": 5}, True,
        ),
        Row(
            "burst", "50 users x 20 operations at once in one page", "us/delivery", writing.burst,
            {"users": 50, "each": 20}, {}, True,
        ),
        Row(
            "burst-1s", "the same spread over one second", "us/delivery", writing.burst,
            {"users": 50, "each": 20, "spread_s": 1.0}, {}, True,
        ),
        Row(
            "join-1000", "join a page of 1,000 annotations", "ms/join", visits.joins,
            {"annotations": 1_000, "count": 30, "at_once": 1}, {"count": 10},
        ),
        Row(
            "storm", "200 cold joins of 1,000 annotations at once", "ms/join", visits.joins,
            {"annotations": 1_000, "count": 200, "at_once": 200},
        ),
        Row(
            "join-10000", "join a page of 10,000 annotations", "ms/join", visits.joins,
            {"annotations": 10_000, "count": 8, "at_once": 1},
        ),
        Row(
            "storm-10000", "50 cold joins of 10,000 annotations at once", "ms/join", visits.joins,
            {"annotations": 10_000, "count": 50, "at_once": 50},
        ),
        Row(
            "churn", "presence: people come and go, 100 stay", "us/event and client", visits.churn,
            {"stay": 100, "events": 200}, {"events": 40},
        ),
        Row(
            "idle", "an idle connection", "KiB", visits.idle,
            {"connections": 800}, {"connections": 200},
        ),
        Row(
            "open-page", "an open page of 50 annotations", "KiB", visits.open_pages,
            {"count": 200, "annotations": 50, "quiet_s": 75}, {"count": 50, "quiet_s": 0},
        ),
        Row(
            "offline", "20 devices return with 20 conflicting edits each", "ms/device",
            writing.offline, {"devices": 20, "edits": 20},
        ),
        Row(
            "writers", "20 pages x 1 writer + 1 page x 20, 5 operations in flight each",
            "us/operation", writing.durable, {"each": 800}, {"each": 200}, True,
        ),
    )
}  # fmt: skip


def main() -> int:
    """Play the rows; 1 if a server lost or changed content that ours must not."""
    chosen = _arguments()
    kinds = [KINDS[name] for name in chosen.servers.split(",")]
    if chosen.before:
        kinds.append(ours("before", Path(chosen.before).resolve()))
    os.sched_setaffinity(0, {1})
    print(f"seed {chosen.seed}, {'quick, ' if chosen.quick else ''}best of {chosen.repeat}")
    failed, played = False, []
    for name in chosen.rows.split(","):
        row = ROWS[name]
        results = {}
        for kind in kinds:
            if kind.answers or row.relay:
                results[kind.name] = _best(row, kind, chosen)
        failed = failed or bool(results.get("ours", Figures(0)).wrong)
        print(_line(row, results), flush=True)
        played.append((row.name, row.about, row.unit, results))
    if chosen.write:
        command = "python bench/compare.py " + " ".join(sys.argv[1:])
        notes = NOTES.read_text("utf-8") if NOTES.exists() else ""
        report.write(Path(chosen.write), played, seed=chosen.seed, command=command, notes=notes)
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--servers", default=",".join(ALL), help=f"of {', '.join(ALL)}")
    parser.add_argument("--before", help="another checkout of ours, to compare with")
    parser.add_argument("--quick", action="store_true", help="shorter scenarios")
    parser.add_argument("--repeat", type=int, default=1, help="plays of each, the best counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", help="a Markdown file for the table, with a plot beside it")
    return parser.parse_args()


def _best(row: Row, kind: Kind, chosen: argparse.Namespace) -> Figures:
    plays = [_once(row, kind, chosen) for _ in range(chosen.repeat)]
    best = min(plays, key=lambda figures: figures.cost)
    best.wrong = next((figures.wrong for figures in plays if figures.wrong), "")
    return best


def _once(row: Row, kind: Kind, chosen: argparse.Namespace) -> Figures:
    sizes = {**row.sizes, **(row.quick if chosen.quick else {})}
    gc.collect()
    with running(kind, 0) as server:
        try:
            return asyncio.run(row.play(server, chosen.seed, **sizes))
        except (OSError, TimeoutError) as error:
            return Figures(float("nan"), {}, f"{type(error).__name__}: {error}")


def _line(row: Row, results: dict[str, Figures]) -> str:
    base = results.get("ours") or next(iter(results.values()))
    lines = [f"\n{row.name}: {row.about} ({row.unit})"]
    for name, figures in results.items():
        more = ", ".join(f"{what} {value:,.1f}" for what, value in figures.more.items())
        ratio = figures.cost / base.cost if base.cost else float("nan")
        lines.append(f"  {name:8s} {figures.cost:10.2f}  x {ratio:5.2f}  {more}  {figures.wrong}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
