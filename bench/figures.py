"""What a scenario returns, and what all of them measure and compare with."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from operations import content
from servers import Running
from sockets import Crowd, Socket

SETTLE_S = 0.3


@dataclass
class Figures:
    """What one server needed. `cost` is the figure that is compared, in `unit`."""

    cost: float
    more: dict[str, float] = field(default_factory=dict)
    wrong: str = ""


class Meter:
    """The server's CPU from here on."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.cpu = server.cpu()
        self.began = time.perf_counter()

    def us(self) -> float:
        """Microseconds of CPU."""
        return (self.server.cpu() - self.cpu) * 1e6


def compare(crowd: Crowd, wanted: Sequence[bytes]) -> str:
    """ "" if every socket that kept what it was told holds this content, else what is wrong."""
    if crowd.lost:
        return f"{crowd.lost} connections lost"
    expected = content(list(wanted))
    seen: dict[tuple[bytes, ...], str] = {}
    wrong = 0
    for socket in crowd.sockets:
        if socket.keep:
            known = socket.knows()
            key = tuple(known)
            if key not in seen:
                seen[key] = content(list(known))
            wrong += seen[key] != expected
    return f"{wrong} of {len(crowd.sockets)} clients hold other content" if wrong else ""


async def gather(joins: Sequence[Awaitable[Socket]], at_once: int = 50) -> list[Socket]:
    """Join in groups, so that no server's backlog overflows."""
    found: list[Socket] = []
    for first in range(0, len(joins), at_once):
        found += await asyncio.gather(*joins[first : first + at_once])
    return found


def paced(rate: float) -> Callable[[], Awaitable[None]]:
    """Sleep so that calls come `rate` times a second."""
    began, calls = time.perf_counter(), 0

    async def wait() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(max(0.0, began + calls / rate - time.perf_counter()))

    return wait
