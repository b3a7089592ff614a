"""Everything that is kept about one person, as JSON that she can be given."""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import Any

from crdt_chat.errors import Malformed, NotFound
from crdt_chat.identity import PageKey
from crdt_chat.page.erasure import Kept, by_user, mentions
from crdt_chat.page.layout import is_user
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.update import Item, decode
from crdt_chat.page.verdict import Json
from crdt_chat.server.admin.administration import Caller
from crdt_chat.server.privacy.erasure import traces_of
from crdt_chat.server.privacy.rewriting import kept_in
from crdt_chat.server.rooms.services import Services
from store.moderation import ModerationEntry
from store.records import EventRow, LogRow, StoredPage
from store.tenants import AuditEntry, AuditWanted

AUDIT_ROWS = 10_000
"""Entries of the audit log that are looked at in one go."""


class Export:
    """The verb. Nothing is locked: what is written meanwhile may or may not be in it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def of_user(self, caller: Caller, tenant: str, user: object) -> dict[str, Any]:
        """What a user wrote, did, was given and was named in. Raises Forbidden, NotFound, Malformed."""
        caller.require(tenant)
        services = self._services
        if services.config.tenant(tenant) is None:
            raise NotFound("there is no such tenant here")
        if not isinstance(user, str) or not is_user(user):
            raise Malformed("`user` is a user id")
        pages = await services.store.pages_naming(tenant, *traces_of(user))
        notes = services.store.moderation
        found = {
            "tenant": tenant,
            "user": user,
            "at": services.clock.now(),
            "pages": {page: await self._of_page(PageKey(tenant, page), user) for page in pages},
            "moderation": [_noted(entry) for entry in await notes.by(tenant, user)],
            # Who said it is not hers to know.
            "named": [_noted(e) for e in await notes.naming(tenant, user) if e.user != user],
            "role": await self._role(tenant, user),
            "audit": [_told(entry) async for entry in self._audit(tenant, user)],
        }
        note = AuditEntry(
            services.clock.now(), caller.name, caller.address, tenant, "export.user", user
        )
        await services.store.trust.note([note])
        return found

    async def _of_page(self, key: PageKey, user: str) -> dict[str, Any]:
        services = self._services
        stored = await services.store.load(key.tenant, key.page)
        if stored is None:
            return {}
        rows = await services.store.read(key.tenant, key.page, 0)
        events = await services.store.events(key.tenant, key.page, 0)
        # All of a page's history may be in it.
        finding = partial(_found, stored, rows, events, user)
        return await services.aside(finding, tenant=key.tenant)

    async def _role(self, tenant: str, user: str) -> str | None:
        roles = await self._services.store.trust.roles()
        return next((row.role for row in roles if (row.tenant, row.user) == (tenant, user)), None)

    async def _audit(self, tenant: str, user: str) -> AsyncIterator[AuditEntry]:
        after = 0
        while True:
            wanted = AuditWanted(after, AUDIT_ROWS, user=user)
            rows = await self._services.store.trust.audit(tenant, wanted)
            for row in rows:
                yield row
            if len(rows) < AUDIT_ROWS:
                return
            after = rows[-1].id


def _found(
    stored: StoredPage, rows: Sequence[LogRow], events: Sequence[EventRow], user: str
) -> dict[str, Any]:
    """What of a page is a user's."""
    _, kept = kept_in(stored, PageLimits())
    hidden = Kept({(root, name): value for root, name, value in _held(kept)})
    return {
        "content": _listed(by_user(kept.live, user)),
        "deleted": _listed(by_user(kept.archived, user)),
        "hidden": _listed(by_user(hidden.live, user)),
        "mentioned": sorted(mentions(kept.live, user)),
        "history": [_version(row) for row in rows if row.actor == user],
        "events": [
            {"timestamp": row.timestamp, "type": row.type, "annotation": row.entity}
            for row in events
            if row.user == user
        ],
    }


def _held(kept: Kept) -> Iterable[tuple[str, str, Json]]:
    for value in kept.held.values():
        yield from (tuple(entry) for entry in value["content"])


def _listed(entries: dict[tuple[str, str], Json]) -> list[dict[str, Any]]:
    return [{"root": root, "name": name, "value": value} for (root, name), value in entries.items()]


def _version(row: LogRow) -> dict[str, Any]:
    """One update of hers: when it came and the values that it wrote."""
    structs = decode(row.update).structs
    values = [
        value
        for run in structs.values()
        for struct in run
        if isinstance(struct, Item) and struct.values is not None
        for value in struct.values
    ]
    return {"at": row.at, "values": values}


def _noted(entry: ModerationEntry) -> dict[str, Any]:
    return {
        "page": entry.page,
        "at": entry.at,
        "action": entry.action,
        "entity": entry.entity,
        "reason": entry.reason,
    }


def _told(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "actor": entry.actor,
        "address": entry.address,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
    }
