"""How fast one address may write over HTTP: slowed down first, refused when that lasts too long."""

import anyio

from crdt_chat.errors import RateLimited
from crdt_chat.identity import Grant
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.sockets.addresses import place_of
from crdt_chat.server.sockets.rate import Bucket

MOST_ADDRESSES = 10_000
"""Addresses remembered; those that have been quiet longest are forgotten first."""


class Pace:
    """One bucket of operations per tenant and address, as every socket has one (design 15)."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._buckets: dict[tuple[str, str], Bucket] = {}

    async def slow_down(self, grant: Grant, address: str) -> None:
        """Count one operation; wait until it is its turn. Raises RateLimited if that takes long."""
        limits, clock = self._services.limits, self._services.clock
        settings = self._services.config.tenant(grant.tenant)
        rate = limits.operations_per_s if settings is None else settings.operations_per_s
        burst = limits.operations_burst if settings is None else settings.operations_burst
        key = (grant.tenant, place_of(address))
        bucket = self._buckets.pop(key, None) or Bucket(rate, burst, since=clock.monotonic())
        self._buckets[key] = bucket
        if len(self._buckets) > MOST_ADDRESSES:
            del self._buckets[next(iter(self._buckets))]
        delay = bucket.take(1, clock.monotonic())
        if delay >= limits.rate_patience_s:
            bucket.tokens += 1  # what is refused is not counted, or the debt would never be paid
            raise RateLimited("too many changes from this address: try again in a minute")
        await anyio.sleep(delay)
