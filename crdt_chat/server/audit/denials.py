"""Refused logins for the audit log: from where, how often and why; never what was shown.

Bad, expired, revoked and foreign tokens, tickets, sso and web sites. They are counted and written once a
minute, so that nobody fills the disk with them: in each writing `named` addresses at most have an entry
of their own, those that were refused most often; of all others there is one entry for each of as many
tenants, and one for the rest. Names are in them only where a signature vouches for them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from store.errors import StoreError
from store.tenants import AuditEntry, Trust

ACTION = "denied"

MOST = 1_000
"""Different addresses, people and tenants between two writings; others are counted without."""


class Who(NamedTuple):
    """From where, on which tenant ("": none that there is), and who if that is known."""

    tenant: str
    address: str = ""
    user: str = ""


class Denials:
    """Counts until `flush`."""

    def __init__(self, named: int) -> None:
        self._named = named
        self._counts: dict[Who, Counter[str]] = {}

    def note(self, tenant: str, address: str, user: str, reason: str) -> None:
        """Somebody was refused. The reason is a sentence of ours, the tenant one that there is or ""."""
        self._add(Who(tenant, address, user), {reason: 1})

    def _add(self, who: Who, reasons: Mapping[str, int]) -> None:
        for shorter in (who, Who(who.tenant)):
            if shorter in self._counts or len(self._counts) < MOST:
                self._counts.setdefault(shorter, Counter()).update(reasons)
                return
        self._counts.setdefault(Who(""), Counter()).update(reasons)

    async def flush(self, trust: Trust, now: int) -> None:
        """Write what was counted; now is in ms. Raises StoreError: then it is counted still."""
        counts, self._counts = self._counts, {}
        entries = [
            AuditEntry(now, who.user, who.address, who.tenant, ACTION, "", _detail(reasons))
            for who, reasons in self._told(counts)
        ]
        try:
            if entries:
                await trust.note(entries)
        except StoreError:
            for who, reasons in counts.items():
                self._add(who, reasons)
            raise

    def _told(self, counts: dict[Who, Counter[str]]) -> Iterator[tuple[Who, Counter[str]]]:
        # Last come those who were counted without an address already.
        ranked = sorted(_ranked(counts), key=lambda item: item[0] == Who(item[0].tenant))
        named = [item for item in ranked[: self._named] if item[0] != Who(item[0].tenant)]
        yield from named
        tenants = _summed((Who(who.tenant), reasons) for who, reasons in ranked[len(named) :])
        ranked = _ranked(tenants)
        yield from ranked[: self._named]
        yield from _summed((Who(""), reasons) for _, reasons in ranked[self._named :]).items()


def _ranked(counts: dict[Who, Counter[str]]) -> list[tuple[Who, Counter[str]]]:
    """Who was refused most often first."""
    return sorted(counts.items(), key=lambda item: -item[1].total())


def _summed(counts: Iterable[tuple[Who, Counter[str]]]) -> dict[Who, Counter[str]]:
    found: dict[Who, Counter[str]] = {}
    for who, reasons in counts:
        found.setdefault(who, Counter()).update(reasons)
    return found


def _detail(reasons: Counter[str]) -> str:
    return json.dumps({"times": reasons.total(), "reasons": dict(reasons.most_common())})
