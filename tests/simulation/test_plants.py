"""The bugs that are planted to see whether simulated histories notice them (bench/planted.py)."""

import subprocess
import sys
from pathlib import Path

import pytest
from plants import PLANTS, Plant

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_bug_to_plant_fits_the_source_of_today(plant: Plant) -> None:
    """Where this fails the source has moved on: make the bug anew, in tests/support/plants.py."""
    assert plant.found(ROOT)


@pytest.mark.slow
def test_what_others_see_before_it_is_durable_is_noticed_by_each_of_two_seeds() -> None:
    command = [sys.executable, "bench/planted.py", "--seeds", "2", "--only", "shown to others"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    lines = [line.split(maxsplit=1) for line in told.stdout.splitlines()]
    assert ["2", "shown to others before the commit"] in lines
    assert ["0", "no bug planted"] in lines
