"""Moderation as it is noted beside the page and in the audit log, in the commit of what it tells of.

What comes as a request is told by whoever does it (moderation.py, legacy/); what a CRDT client does is
known from the changes: closing, deleting others' words, lifting others' deletions. A crash leaves both
or neither.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crdt_chat.identity import Grant, PageKey
from crdt_chat.page.layout import PAGE
from crdt_chat.page.rulings import Ruling, rulings
from crdt_chat.server.rooms.batch import Batch
from crdt_chat.server.rooms.peer import Peer
from store.moderation import ModerationEntry
from store.tenants import AuditEntry

NAMED_SINGLY = 100
"""Rulings of one kind, of one update, that have entries of their own; more are counted in the audit log."""

RULED = frozenset({"closed", "deleted", "page", "annotations"})
"""Roots that moderation shows in."""

SERVERS = "0"
"""The connection of what the server made for somebody."""


class Noted(NamedTuple):
    """A ruling as moderators read it, with its reason, and as the audit log has it.

    keeps_past: what it writes may keep a foreign creator and time, since the server made it.
    """

    entry: ModerationEntry
    audit: AuditEntry
    keeps_past: bool = False


def noted(
    key: PageKey,
    grant: Grant,
    action: str,
    entity: str,
    now: int,
    *,
    address: str,
    reason: str = "",
) -> Noted:
    """What somebody rules by a request, `now` in ms. The audit log says that there was a reason."""
    detail = json.dumps({"page": key.page, "reasoned": bool(reason)})
    verb = f"moderation.{action}"
    return Noted(
        ModerationEntry(key.tenant, key.page, now, grant.user, action, entity, reason),
        AuditEntry(now, grant.user, address, key.tenant, verb, entity, detail),
    )


def note_changes(key: PageKey, batch: Batch, peers: Mapping[int, Peer]) -> None:
    """Have the commit of this batch note what in it is moderation by CRDT clients."""
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
            batch.moderated += [
                ModerationEntry(
                    key.tenant, key.page, entry.at, said.actor, action, _named(ruling), ""
                )
                for ruling in made[:NAMED_SINGLY]
            ]
            for entity, detail in _told(key, made):
                verb = f"moderation.{action}"
                batch.audit.append(
                    AuditEntry(entry.at, said.actor, address, key.tenant, verb, entity, detail)
                )


def _named(ruling: Ruling) -> str:
    return PAGE if ruling.action == "title" else ruling.entity


def _told(key: PageKey, made: Sequence[Ruling]) -> list[tuple[str, str]]:
    if len(made) > NAMED_SINGLY:
        return [("", json.dumps({"page": key.page, "times": len(made)}))]
    return [(ruling.entity, json.dumps({"page": key.page})) for ruling in made]
