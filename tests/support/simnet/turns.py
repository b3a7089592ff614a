"""Turns on a page, watched: while a big job has one nobody else touches the page, whatever may have come.

"Until the next await the page is yours" is said in many places and held by no type. Here every verb of a
Page asks whether somebody else has the turn at this moment.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import anyio

from crdt_chat.page.page import Page
from crdt_chat.server.rooms.loading import LoadedPage
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.turn import Turn

T = TypeVar("T")

WAITS_S, WORKS_S = 0.01, 0.05
"""Longest time until a big job begins, and until it is done (virtual seconds)."""


class SlowAside:
    """Big jobs that take their (virtual) time, as threads do. counts: how many there were."""

    def __init__(self, rng: Random, counts: Counter[str]) -> None:
        self._rng = rng
        self._counts = counts

    async def __call__(
        self, job: Callable[[], T], *, tenant: str = "", reads: int | None = None
    ) -> T:
        await anyio.sleep(self._rng.uniform(0, WAITS_S))
        with anyio.CancelScope(shield=True):
            await anyio.sleep(self._rng.uniform(0, WORKS_S))
            self._counts["big jobs"] += 1
            return job()


class WatchedTurn(Turn):
    """inside: the job that has the turn is at work this very moment."""

    inside = False

    async def run(self, job: Callable[[], T], *, big: bool, reads: int | None = None) -> T:
        def work() -> T:
            self.inside = True
            try:
                return job()
            finally:
                self.inside = False

        return await super().run(work, big=big, reads=reads)


def _watched(verb: Callable[..., Any], failed: Callable[[BaseException], None]) -> Any:
    @functools.wraps(verb)
    def watch(page: Page, *arguments: Any, **named: Any) -> Any:
        turn = vars(page).get("turn")
        if turn is not None and turn.busy and not turn.inside:
            failed(AssertionError(f"Page.{verb.__name__} while another has the turn"))
        return verb(page, *arguments, **named)

    return watch


@contextmanager
def watching(failed: Callable[[BaseException], None]) -> Iterator[None]:
    """For the length of the block `failed` is told of everybody who touches a page out of turn."""
    made, adopt, kept = Room.__init__, Room.adopt, dict(vars(Page))

    def make(room: Room, *arguments: Any, **named: Any) -> None:
        made(room, *arguments, **named)
        turn = room.turn
        room.turn = WatchedTurn(turn._aside, turn.slices, turn._tenant)
        room._admission.turn = room.turn
        room.page.turn = room.turn  # type: ignore[attr-defined]  # ours, for `watch`

    def take(room: Room, loaded: LoadedPage) -> None:
        adopt(room, loaded)
        loaded.page.turn = room.turn  # type: ignore[attr-defined]

    Room.__init__, Room.adopt = make, take  # type: ignore[method-assign,assignment]
    for name, verb in kept.items():
        if isinstance(verb, property):
            assert verb.fget is not None
            setattr(Page, name, property(_watched(verb.fget, failed)))
        elif inspect.isfunction(verb) and not name.startswith("_"):
            setattr(Page, name, _watched(verb, failed))
    try:
        yield
    finally:
        Room.__init__, Room.adopt = made, adopt  # type: ignore[method-assign]
        for name, verb in kept.items():
            if isinstance(verb, property) or inspect.isfunction(verb):
                setattr(Page, name, verb)
