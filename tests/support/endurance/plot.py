"""The samples of a soak as an SVG of four panels."""

from collections.abc import Callable, Sequence
from html import escape

from endurance.book import Book, Sample

LEFT, WIDTH, PANEL, GAP = 60, 760, 110, 34

Line = tuple[str, str, Callable[[Sample], float]]
"""Name, colour, and the value of a sample."""

PANELS: Sequence[tuple[str, Sequence[Line]]] = (
    ("resident memory of the server, MiB", (("memory", "#0b6e4f", lambda one: one.memory),)),
    ("database and write-ahead log, MiB", (("file", "#2f6fb0", lambda one: one.file),)),
    (
        "from a write to its sight elsewhere, ms",
        (("p99", "#c06c2b", lambda one: one.p99), ("p50", "#7a5ea8", lambda one: one.p50)),
    ),
    (
        "durable writes lost",
        (("lost", "#b00020", lambda one: float(one.lost)),),
    ),
)


def svg(book: Book) -> str:
    """All panels, one above the other, restarts as grey lines."""
    height = 24 + len(PANELS) * (PANEL + GAP) + 10
    parts = [
        _panel(book, title, lines, 30 + number * (PANEL + GAP))
        for number, (title, lines) in enumerate(PANELS)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" role="img" '
        'aria-label="Memory, file size, latency and loss over a soak">'
        "<style>text{font:11px sans-serif;fill:#222}.t{stroke:#ddd}.r{stroke:#999;stroke-dasharray:2 3}"
        "polyline{fill:none;stroke-width:1.3}</style>"
        f'<rect width="{LEFT + WIDTH + 20}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _panel(book: Book, title: str, lines: Sequence[Line], top: int) -> str:
    values = [value(one) for _, _, value in lines for one in book.samples]
    most = _round_up(max([*values, 1.0]))
    bottom = top + PANEL
    parts = [f'<text x="{LEFT}" y="{top - 6}">{escape(title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * PANEL
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="t"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * share:g}</text>'
        )
    for at, what in book.events:
        x = LEFT + WIDTH * at / book.seconds
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="r">'
            f"<title>{escape(what)} at {at:.0f} s</title></line>"
        )
    for place, (name, colour, value) in enumerate(lines):
        points = " ".join(
            f"{LEFT + WIDTH * one.at / book.seconds:.1f},{bottom - PANEL * value(one) / most:.1f}"
            for one in book.samples
        )
        parts.append(f'<polyline points="{points}" stroke="{colour}"/>')
        if len(lines) > 1:
            x = LEFT + WIDTH - 40 * (place + 1)
            parts.append(f'<text x="{x}" y="{top - 6}" style="fill:{colour}">{name}</text>')
    for minute in range(int(book.seconds // 60) + 1):
        if minute % max(1, int(book.seconds // 600)) == 0:
            x = LEFT + WIDTH * minute * 60 / book.seconds
            parts.append(
                f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{minute} min</text>'
            )
    return "".join(parts)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... that is as large."""
    step = 1.0
    while step < value:
        step *= 2.5 if str(step)[0] == "2" else 2.0
    return step
