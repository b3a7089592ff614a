"""Moderation by the shared document, for the audit log: closing, deleting others' words, lifting deletions.

What comes as a request is audited where it is done (moderation.py, legacy/); what a CRDT client does is
known from the commit. One entry for each annotation or comment, unless there are very many.
"""

import json
import logging
from collections.abc import Mapping, Sequence

from crdt_chat.identity import PageKey
from crdt_chat.page.rulings import Ruling, rulings
from crdt_chat.server.rooms.batch import Batch
from crdt_chat.server.rooms.peer import Peer
from store.errors import StoreError
from store.tenants import AuditEntry, Trust

log = logging.getLogger(__name__)

NAMED_SINGLY = 100
"""Rulings of one kind, of one update, that have entries of their own; more are one entry, counted."""

RULED = frozenset({"closed", "deleted", "page", "annotations"})
"""Roots that moderation shows in."""

SERVERS = "0"
"""The connection of what the server made for somebody."""


def audited(key: PageKey, batch: Batch, peers: Mapping[int, Peer]) -> list[AuditEntry]:
    """What in this batch of the page is moderation, as the audit log has it."""
    found: list[AuditEntry] = []
    for entry, said in zip(batch.entries, batch.said, strict=True):
        if entry.connection == SERVERS or RULED.isdisjoint(
            [change.root for change in said.changes]
        ):
            continue
        peer = peers.get(int(entry.connection))
        address = "" if peer is None else peer.address
        by_action: dict[str, list[Ruling]] = {}
        for ruling in rulings(said.changes, said.actor):
            by_action.setdefault(ruling.action, []).append(ruling)
        for action, made in by_action.items():
            for entity, detail in _told(key, made):
                verb = f"moderation.{action}"
                found.append(
                    AuditEntry(entry.at, said.actor, address, key.tenant, verb, entity, detail)
                )
    return found


def deleted(key: PageKey, user: str, address: str, entity: str, now: int) -> AuditEntry:
    """A moderator deleted somebody else's annotation by a request of a legacy client; now is in ms."""
    detail = json.dumps({"page": key.page})
    return AuditEntry(now, user, address, key.tenant, "moderation.delete", entity, detail)


def _told(key: PageKey, made: Sequence[Ruling]) -> list[tuple[str, str]]:
    if len(made) > NAMED_SINGLY:
        return [("", json.dumps({"page": key.page, "times": len(made)}))]
    return [(ruling.entity, json.dumps({"page": key.page})) for ruling in made]


async def note(trust: Trust, entries: Sequence[AuditEntry]) -> None:
    """Append them; what they tell of is durable already, so a disk that fails now is only logged."""
    try:
        await trust.note(entries)
    except StoreError as error:
        log.warning(
            "moderation could not be written to the audit log", extra={"reason": str(error)}
        )
