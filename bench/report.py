"""The table and the plot of one run, as Markdown and SVG."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from figures import Figures

COLOURS = {"ours": "#0b6e4f", "relay": "#9aa0a6", "pw": "#c06c2b", "yw": "#7a5ea8", "hp": "#2f6fb0"}
NAMES = {
    "ours": "crdt-chat",
    "relay": "relay",
    "pw": "pycrdt-websocket",
    "yw": "@y/websocket-server",
    "hp": "Hocuspocus",
    "before": "crdt-chat before",
}
PEERS = ("pw", "yw", "hp")
LABEL, BAR, LINE = 210, 430, 13

Results = Mapping[str, Figures]
Played = Sequence[tuple[str, str, str, Results]]
"""Per row its name, what it is about, the unit, and the figures by server."""


def write(path: Path, played: Played, *, seed: int, command: str, notes: str) -> None:
    """Write the Markdown file and, beside it, the plot; rows of earlier runs stay if not played again."""
    played = _kept(path.with_suffix(".json"), played)
    plot = path.with_suffix(".svg")
    plot.write_text(svg(played), "utf-8")
    servers = [name for name in NAMES if any(name in results for *_, results in played)]
    lines = [
        "# Benchmarks",
        "",
        "Last written by `"
        + command
        + f"` (seed {seed}); do not edit by hand. The figures of a row are of",
        "one run, those of another row may be of another run.",
        "",
        f"Python {platform.python_version()}, {platform.system()}, two shared cores: each server on one, the",
        "load generator on the other, one server after the other. CPU is the server process's own, all",
        "threads, kernel time included. **Compare within a row only**: absolute figures drift from run to",
        "run. Admission and `synchronous=FULL` commits are on in crdt-chat; no peer syncs its disk before it",
        "shows an operation. At the end of each row all clients' contents are compared by hash.",
        "",
        f"![Cost of each server, as a multiple of crdt-chat's]({plot.name})",
        "",
        "| scenario | unit | "
        + " | ".join(NAMES[name] for name in servers)
        + " | best peer / ours |",
        "|---|---|" + "---:|" * (len(servers) + 1),
    ]
    for _, about, unit, results in played:
        cells = [_cell(results.get(name)) for name in servers]
        lines.append(f"| {about} | {unit} | " + " | ".join(cells) + f" | {_lead(results)} |")
    lines += ["", "| scenario | what else was counted |", "|---|---|"]
    for _, about, _, results in played:
        counted = "; ".join(
            f"{NAMES[name]}: "
            + ", ".join(f"{what} {value:,.1f}" for what, value in each.more.items())
            for name, each in results.items()
            if each.more
        )
        if counted:
            lines.append(f"| {about} | {counted} |")
    wrong = [
        f"- {about}: {NAMES[name]}: {each.wrong}"
        for _, about, _, results in played
        for name, each in results.items()
        if each.wrong
    ]
    lines += ["", "## Content that was not the same at the end", ""]
    lines += wrong or ["In no row of this run."]
    lines += ["", *notes.strip().splitlines(), ""]
    path.write_text("\n".join(lines), "utf-8")


def _kept(file: Path, played: Played) -> Played:
    rows = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for name, about, unit, results in played:
        rows[name] = [about, unit, {server: asdict(each) for server, each in results.items()}]
    file.write_text(json.dumps(rows, indent=1), "utf-8")
    return [
        (name, about, unit, {server: Figures(**each) for server, each in results.items()})
        for name, (about, unit, results) in rows.items()
    ]


def _cell(figures: Figures | None) -> str:
    if figures is None or math.isnan(figures.cost):
        return "-"
    return f"{figures.cost:.2f}" + ("*" if figures.wrong else "")


def _lead(results: Results) -> str:
    """How many times ours the best peer needs."""
    costs = [
        results[name].cost
        for name in PEERS
        if name in results and not math.isnan(results[name].cost)
    ]
    ours = results.get("ours")
    return "-" if not costs or ours is None or not ours.cost else f"{min(costs) / ours.cost:.2f}"


def svg(played: Played) -> str:
    """Bars on a logarithmic scale: what each server needs, ours being 1."""
    bars: list[str] = []
    top = 34
    for name, _, _, results in played:
        ours = results.get("ours")
        if ours is None or not ours.cost:
            continue
        bars.append(f'<text x="{LABEL - 8}" y="{top + 10}" text-anchor="end">{escape(name)}</text>')
        for server, each in results.items():
            if server not in COLOURS or math.isnan(each.cost) or each.cost <= 0:
                continue
            ratio = each.cost / ours.cost
            left, right = sorted((_at(1.0), _at(ratio)))
            bars.append(
                f'<rect x="{left:.1f}" y="{top}" width="{max(2.0, right - left):.1f}" height="{LINE - 3}" '
                f'fill="{COLOURS[server]}"><title>{escape(NAMES[server])}: {ratio:.2f}</title></rect>'
                f'<text x="{right + 5:.1f}" y="{top + 9}" class="n">{ratio:.2f}</text>'
            )
            top += LINE
        top += 9
    ticks = "".join(
        f'<line x1="{_at(tick):.1f}" x2="{_at(tick):.1f}" y1="26" y2="{top}" class="t"/>'
        f'<text x="{_at(tick):.1f}" y="{top + 14}" text-anchor="middle">{tick:g}</text>'
        for tick in (0.1, 0.25, 0.5, 1, 2, 4, 8, 16)
    )
    legend = "".join(
        f'<rect x="{LABEL + 132 * place}" y="6" width="10" height="10" fill="{colour}"/>'
        f'<text x="{LABEL + 132 * place + 14}" y="15">{escape(NAMES[server])}</text>'
        for place, (server, colour) in enumerate(COLOURS.items())
    )
    width, height = LABEL + BAR + 150, top + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Cost of each server as a multiple of crdt-chat">'
        "<style>text{font:11px sans-serif;fill:#222}.n{font-size:9px;fill:#555}.t{stroke:#ccc}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{ticks}{legend}{"".join(bars)}</svg>\n'
    )


def _at(ratio: float) -> float:
    """Where a ratio from 0.05 to 40 stands."""
    clipped = min(40.0, max(0.05, ratio))
    return LABEL + BAR * (math.log(clipped) - math.log(0.05)) / (math.log(40) - math.log(0.05))
