"""What the sockets of one server share, and the sweep that looks after all of them: one timer for any number.

A timer per connection would cost each of them some 300 bytes, and its ping a wake-up of the process.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from uvicorn.server import ServerState

from crdt_chat.server.sockets.channel import App
from crdt_chat.server.sockets.intake import Intake

NEVER = float("inf")

LONGEST_TICK_S = 0.5
"""How exact deadlines are; what is due within a tick is done now, so that nothing is late."""


class Swept(Protocol):
    """A socket as the sweep sees it. due: when to look at it again (loop's seconds)."""

    due: float

    def look(self, now: float) -> None:
        """It is due."""
        ...

    def shutdown(self) -> None:
        """The server ends."""
        ...


class Shared:
    """The app and the limits of all sockets of one server, and who they are.

    ordinary: bytes of a message for which no place in the intake is needed. ping_s: seconds between
    pings, 0 for none; pong_s: seconds for the answer. state is uvicorn's, which ends connections; loop
    is the one that serves them, known from the first of them on.
    """

    state: ServerState
    loop: asyncio.AbstractEventLoop

    def __init__(
        self, app: App, intake: Intake, *, ordinary: int, ping_s: float, pong_s: float
    ) -> None:
        self.app = app
        self.intake = intake
        self.ordinary = ordinary
        self._ping_s = ping_s if ping_s > 0 else NEVER
        self._pong_s = pong_s
        self._tick_s = min(LONGEST_TICK_S, self._ping_s / 10, pong_s / 10)
        self._sockets: set[Swept] = set()
        self._timer: asyncio.TimerHandle | None = None

    def come(self, socket: Swept) -> None:
        """From now on it is looked after."""
        self._sockets.add(socket)
        self.state.connections.add(socket)  # type: ignore[arg-type]  # it has uvicorn's `shutdown`
        if self._timer is None:
            self.loop = asyncio.get_running_loop()
            self._timer = self.loop.call_later(self._tick_s, self._sweep)

    def go(self, socket: Swept) -> None:
        """It is gone."""
        self._sockets.discard(socket)
        self.state.connections.discard(socket)

    def start(
        self, serving: Coroutine[Any, Any, None], served: Callable[[asyncio.Task[None]], None]
    ) -> None:
        """Serve a socket in a task, which uvicorn awaits when it ends; `served` is told of its end."""
        task = self.loop.create_task(serving)
        self.state.tasks.add(task)
        task.add_done_callback(served)

    def over(self, task: asyncio.Task[None]) -> None:
        """It has ended."""
        self.state.tasks.discard(task)

    def next_ping(self, now: float) -> float:
        """When to ping one that is alive."""
        return now + self._ping_s - self._tick_s

    def answered_by(self, now: float) -> float:
        """By when one that was pinged now has to be heard of."""
        return now + self._pong_s - self._tick_s

    def _sweep(self) -> None:
        now = self.loop.time()
        for socket in [each for each in self._sockets if each.due <= now]:
            socket.look(now)
        again = self.loop.call_later(self._tick_s, self._sweep) if self._sockets else None
        self._timer = again
