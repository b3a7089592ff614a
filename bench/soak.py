"""A soak of a real server: churn, kills, broken networks, slow readers, forgeries, erasures; and a plot.

    python bench/soak.py --seed 1 --seconds 1200 --write docs/soak.md

Eight people write on four pages all the time, half of them through a network that falls silent, breaks and
is reset; others look in and are killed, stop reading, or forge. A page after the other is erased. The
server is killed (-9) and stopped (SIGTERM) in turn, but for a calm from a quarter of the time to 85 %, in
which its memory must not grow. A newcomer checks all the time that everything called durable is there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from endurance.book import Book  # noqa: E402
from endurance.play import GROWTH, calm, growth, soak  # noqa: E402
from endurance.plot import svg  # noqa: E402

NOTES = """
**What is not flat.** The file keeps the event log of pages that are still there, about half a KiB for each
gesture, until the tenant's retention trims it; nearly half of all gestures are those of the pair that
measures, whose page is never erased. Memory follows the file at a distance: SQLite's cache holds what it has
read of it, up to 16 MiB. The dips are erasures: each ends with an empty write-ahead log. The refused writes
are those of people whose network was silent while their page was erased."""


def summary(book: Book) -> list[tuple[str, str]]:
    """What is to be said of it, name and value."""
    quiet = calm(book)
    found = [(name, f"{count:,}") for name, count in sorted(book.counts.items())]
    found.append(("durable writes lost", str(len(book.lost))))
    found.append(("memory gained during the calm", f"{growth(book):.1f} MiB"))
    sizes = [one.memory for one in quiet]
    found.append(("memory during the calm", f"{min(sizes):.1f} to {max(sizes):.1f} MiB"))
    files = [one.file for one in quiet]
    found.append(("database during the calm", f"{min(files):.1f} to {max(files):.1f} MiB"))
    p50 = sorted(one.p50 for one in quiet if one.p50)
    p99 = sorted(one.p99 for one in quiet if one.p99)
    if p50:
        found.append(("median of the p50 during the calm", f"{p50[len(p50) // 2]:.1f} ms"))
        found.append(("median and worst of the p99", f"{p99[len(p99) // 2]:.1f}, {p99[-1]:.1f} ms"))
    return found


def write(path: Path, book: Book, command: str) -> None:
    """The Markdown file and, beside it, the plot."""
    plot = path.with_suffix(".svg")
    plot.write_text(svg(book), "utf-8")
    lines = [
        "# Soak",
        "",
        f"Written by `{command}`; do not edit by hand. `bench/soak.py` says what is played; restarts are",
        "dashed lines, between them memory begins anew. The machine had two cores and other work.",
        "",
        f"![Memory, file size, latency and loss over time]({plot.name})",
        "",
        "| what | |",
        "|---|---:|",
        *(f"| {name} | {value} |" for name, value in summary(book)),
        *NOTES.splitlines(),
        "",
    ]
    path.write_text("\n".join(lines), "utf-8")


def main() -> int:
    """Play and print; 1 if anything was lost or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--write", type=Path, help="Markdown file to write, the plot beside it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        book = soak(Path(folder), options.seed, options.seconds)
    print(f"seed {options.seed}, {options.seconds:.0f} s")
    for name, value in summary(book):
        print(f"{value:>18}  {name}")
    for lost in book.lost[:20]:
        print("LOST", lost)
    if options.write:
        command = f"python bench/soak.py --seed {options.seed} --seconds {options.seconds:.0f}"
        write(options.write, book, f"{command} --write {options.write}")
    return 1 if book.lost or growth(book) > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
