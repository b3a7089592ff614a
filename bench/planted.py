"""Plant a bug in a copy of the server, one after the other, and count the simulated histories that notice.

python bench/planted.py --seeds 200 --from 0           all of them
python bench/planted.py --seeds 20 --only "saved"      those whose name has this in it
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from plants import PACKAGE, PLANTS, Plant  # noqa: E402

NEEDED = (PACKAGE, "store", "bench", "tests/support")


def copied(folder: Path) -> Path:
    """A copy of all that a simulation needs."""
    for name in NEEDED:
        skipped = shutil.ignore_patterns("__pycache__", "node_modules", "static")
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    return folder


def noticed(plant: Plant | None, options: argparse.Namespace) -> tuple[int, str]:
    """How many seeds fail with this bug, and what the first of them says."""
    with tempfile.TemporaryDirectory() as folder:
        root = copied(Path(folder))
        if plant is not None:
            plant.sow(root)
        command = [sys.executable, str(root / "bench" / "simulate.py")]
        command += ["--seeds", str(options.seeds), "--from", str(options.first)]
        command += ["--processes", str(options.processes)]
        # Its own source comes first, wherever this one was started.
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if not lines or " failed" not in lines[-1]:
        raise RuntimeError(f"the simulation did not end: {done.stderr[-2000:]}")
    first = next((line for line in lines if line.startswith("seed ")), "")
    return int(lines[-1].split(" of ")[0]), first


def main() -> int:
    """Plant and count; 1 if a bug was noticed by no seed, or a seed fails without any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=200, help="how many for each bug")
    parser.add_argument("--processes", type=int, default=1, help="at the same time")
    parser.add_argument("--only", default="", help="plant those with this in their name")
    options = parser.parse_args()
    last = options.first + options.seeds - 1
    print(f"seeds {options.first}..{last}")
    alone, about = noticed(None, options)
    print(f"{alone:6d}  no bug planted {about[:120]}".rstrip(), flush=True)
    missed = []
    for plant in (each for each in PLANTS if options.only in each.name):
        found, about = noticed(plant, options)
        print(f"{found:6d}  {plant.name}\n        {about[:120]}", flush=True)
        if not found:
            missed.append(plant.name)
    print(f"{len(missed)} not noticed", missed if missed else "")
    return 1 if missed or alone else 0


if __name__ == "__main__":
    sys.exit(main())
