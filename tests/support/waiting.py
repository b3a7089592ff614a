"""Waiting for a state, in tests whose clients live in threads of their own."""

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""How long a test waits for what must come about: no claim, a machine may stand still for seconds."""


def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Return once this is so. Raises AssertionError if it is not so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
