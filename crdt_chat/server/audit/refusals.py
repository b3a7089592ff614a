"""Refused operations for the audit log: who, where, how often and by which rule; never what.

They are counted and written once a minute, so that refusals can't be used to flood the log: one entry
for each person, address and page. No content and no name of an entry is in it, for these are the
sender's words.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import anyio

from crdt_chat.identity import PageKey
from store.errors import StoreError
from store.tenants import AuditEntry, Trust

log = logging.getLogger(__name__)

EVERY_S = 60.0
"""How often what was refused is written."""

LAST_S = 2.0
"""How long a stopping server waits for the last ones to be written."""

MOST = 1_000
"""Different people, addresses and pages in one writing; the rest is counted under no name."""

Who = tuple[str, str, str, str]

Now = Callable[[], int]
"""The time of day in ms."""


class Counting(Protocol):
    """What is counted for the audit log."""

    async def flush(self, trust: Trust, now: int) -> None:
        """Write what was counted. Raises StoreError: then it is counted still."""
        ...


class Refusals:
    """Counts until `flush`."""

    def __init__(self) -> None:
        self._counts: dict[Who, Counter[str]] = {}

    def note(self, key: PageKey, user: str, address: str, rules: Iterable[str]) -> None:
        """Operations of a user on this page were refused by these rules."""
        who = (key.tenant, key.page, user, address)
        if who not in self._counts and len(self._counts) >= MOST:
            who = (key.tenant, "", "", "")
        self._counts.setdefault(who, Counter()).update(rules)

    async def flush(self, trust: Trust, now: int) -> None:
        """Write what was counted; now is in ms. Raises StoreError: then it is counted still."""
        counts, self._counts = self._counts, {}
        entries = [
            AuditEntry(
                now, user, address, tenant, "refused", page, json.dumps({"rules": dict(rules)})
            )
            for (tenant, page, user, address), rules in counts.items()
        ]
        try:
            if entries:
                await trust.note(entries)
        except StoreError:
            for who, rules in counts.items():
                self._counts.setdefault(who, Counter()).update(rules)
            raise


async def keep(counts: Sequence[Counting], trust: Trust, now: Now) -> None:
    """Write them every minute, for as long as the server runs, and once more at its end."""
    try:
        while True:
            await anyio.sleep(EVERY_S)
            await _flushed(counts, trust, now)
    finally:
        with anyio.move_on_after(LAST_S, shield=True):
            await _flushed(counts, trust, now)


async def _flushed(counts: Sequence[Counting], trust: Trust, now: Now) -> None:
    for each in counts:
        try:
            await each.flush(trust, now())
        except StoreError as error:
            what = "refusals could not be written to the audit log"
            log.warning(what, extra={"reason": str(error)})
