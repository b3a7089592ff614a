"""The token that a page is opened with: where it comes from, whose it is, and how long it lasts.

Nothing here verifies a token, which is the server's part; it goes out in a header, never in a URL.
"""

import base64
import binascii
import json
import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread

Token = str | Callable[[], str]
"""A JSON Web Token, or a function that gives a fresh one; it is called in a thread and may wait."""

EARLY_S = 30.0
"""Seconds before its end that a token is replaced on a live connection."""


class Credentials:
    """Gives the token for each connection. `clock` in seconds since the epoch."""

    def __init__(self, token: Token | None, clock: Callable[[], float] | None = None) -> None:
        self._token = token
        self._clock = clock or _seconds
        self._current: str | None = token if isinstance(token, str) else None

    @property
    def renewable(self) -> bool:
        """Whether there will be another token when this one has ended."""
        return callable(self._token)

    async def headers(self) -> dict[str, str]:
        """The headers to connect with. Raises what the function of the token raises."""
        token = await self.fresh()
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    async def fresh(self) -> str | None:
        """A token for now, None where none is needed."""
        if callable(self._token):
            self._current = await anyio.to_thread.run_sync(self._token)
        return self._current

    def lasts(self) -> float | None:
        """Seconds until the current token should be replaced, None where it cannot be or need not."""
        if not self.renewable or self._current is None:
            return None
        end = claims(self._current).get("exp")
        return max(0.0, end - EARLY_S - self._clock()) if isinstance(end, (int, float)) else None


def claims(token: str) -> dict[str, Any]:
    """What the token says, unverified; nothing where it is not a JSON Web Token."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    body = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        found = json.loads(base64.urlsafe_b64decode(body))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def owner(user: str | None, token: Token | None) -> str:
    """The id of the user: as given, or the one that the token names. Raises ValueError."""
    if user is not None:
        return user
    named = claims(token).get("sub") if isinstance(token, str) else None
    if isinstance(named, str):
        return named
    raise ValueError("a user is needed: whose notes are these?")


def _seconds() -> float:
    return time.time_ns() / 1e9
