"""How those who wait for the peer learn that something may have changed for them."""

from collections.abc import Callable

import anyio


class Wake:
    """Tells all who wait that something may have changed for them."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def __call__(self) -> None:
        """Wake everybody who waits now."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Return at the next call."""
        await self._event.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as the condition holds."""
        while not condition():
            await self.wait()
