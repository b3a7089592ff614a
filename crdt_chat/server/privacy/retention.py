"""Forget what is older than a tenant keeps: events and history, once an hour and at start."""

import logging

import anyio

from crdt_chat.server.rooms.services import Services
from store.errors import StoreError

log = logging.getLogger(__name__)

EVERY_S = 3600.0
"""How often old events are looked for."""

DAY_MS = 24 * 3600 * 1000


async def retain(services: Services) -> None:
    """Prune, for as long as the server runs. Readers with an older cursor are told to resync."""
    while True:
        for name in services.config.tenant_names():
            tenant = services.config.tenant(name)
            if tenant is None:
                continue
            kept = int(tenant.event_retention_days * DAY_MS)
            history = int(tenant.history_retention_days * DAY_MS) or None
            try:
                await services.store.prune(
                    services.clock.now(), events_ms=kept, history_ms=history, tenant=name
                )
            except StoreError:
                # The disk's fault passes or not; either way the events are still there next time.
                log.exception("old events could not be removed", extra={"tenant": name})
        await anyio.sleep(EVERY_S)
