"""Flags, hide and unhide, restore, close and reopen: what moderators do, each with its reason.

A shared document hides nothing from its readers. So hiding moves content out of the document into the
store (`held`), and unhiding writes it back as it was. Everything that changes the page goes through
Room.write like anybody's operations; reasons lie beside the page, for moderators only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crdt_chat.errors import Forbidden, Malformed, NotFound
from crdt_chat.identity import Grant, PageKey
from crdt_chat.page.layout import PAGE, annotation_of, entity_of, is_entity
from crdt_chat.page.ledger import ENTITY_ROOTS
from crdt_chat.page.powers import POWERS
from crdt_chat.page.verdict import Json
from crdt_chat.server.access.auth import covered, forbidden
from crdt_chat.server.moderation.moderators import ENDS_FLAGS, closings, open_flags
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.rooms.rulings import Noted, noted
from crdt_chat.server.rooms.words import require_admitted
from crdt_chat.server.web.pace import Pace
from store.moderation import Moderated, ModerationEntry

ACTIONS = ("hide", "unhide", "restore", "close", "reopen", "dismiss")
"""What a moderator can ask for; `dismiss` ends the flags of something that may stay."""

REASON = 500
"""Characters of a reason."""

LATER = "the page could not be changed so: "

Operations = list[tuple[str, str, Json]]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for: an action on an annotation, a comment or (close, reopen) `page`."""

    action: str
    entity: str
    reason: str = ""
    broadcast_id: str | None = None
    address: str = ""

    @classmethod
    def parse(
        cls, said: Mapping[str, object], address: str, action: str | None = None
    ) -> "Request":
        """The request that a JSON object makes. Raises Malformed."""
        wanted, entity = action or said.get("action"), said.get("entity")
        reason, broadcast_id = said.get("reason", ""), said.get("broadcastId")
        if wanted not in (*ACTIONS, "flag"):
            raise Malformed(f"`action` is one of {', '.join(ACTIONS)}")
        page = entity == PAGE and wanted in ("close", "reopen")
        if not isinstance(entity, str) or not (page or is_entity(entity)):
            raise Malformed("`entity` is ANNOTATION or ANNOTATION/COMMENT (close, reopen: or page)")
        if not isinstance(reason, str) or len(reason) > REASON:
            raise Malformed(f"`reason` is text of at most {REASON} characters")
        if not (
            broadcast_id is None or (isinstance(broadcast_id, str) and len(broadcast_id) <= 100)
        ):
            raise Malformed("`broadcastId` is text of at most 100 characters")
        return cls(str(wanted), entity, reason, broadcast_id or None, address)


class Moderation:
    """The verbs. Each raises Forbidden, NotFound, Malformed or TryLater."""

    def __init__(self, rooms: Rooms, kept: Moderated) -> None:
        self._rooms = rooms
        self._kept = kept
        self._pace = Pace(rooms.services)

    async def flag(self, key: PageKey, grant: Grant, asked: Request) -> None:
        """A reader tells the moderators of an annotation or comment that is there.

        Once: a second flag of hers on the same waits behind the first, and is not kept.
        """
        covered(grant, key)
        if not POWERS[grant.role].writes:
            raise forbidden(grant, "you may read this page, not flag what is on it")
        await self._pace.slow_down(grant, asked.address)
        async with self._rooms.open(key) as room:
            await room.awake()
            if room.page.value(_root(asked.entity), asked.entity) is None:
                raise NotFound("there is no such annotation or comment")
            await room.settled()
        waiting = open_flags(await self._kept.of(key.tenant, key.page))
        if (grant.user, asked.entity) not in {(flag.user, flag.entity) for flag in waiting}:
            await self._kept.note(self._ruling(key, grant, asked).entry)
            self._rooms.services.moderators.noted(key)

    async def act(self, key: PageKey, grant: Grant, asked: Request) -> None:
        """Hide, unhide, restore, close, reopen or dismiss; returns when it is durable."""
        _moderating(grant, key)
        await self._pace.slow_down(grant, asked.address)
        async with self._rooms.open(key) as room:
            await room.awake()
            if asked.action == "hide":
                await self._hide(room, grant, asked)
            elif asked.action == "unhide":
                await self._unhide(room, grant, asked)
            elif asked.action == "restore":
                await self._restore(room, grant, asked)
            elif asked.action == "dismiss":
                ruling = self._ruling(key, grant, asked)
                await self._kept.note(ruling.entry, ruling.audit)
                self._rooms.services.moderators.noted(key)
            else:
                await self._close(room, grant, asked)

    async def flagged(self, tenant: str, grant: Grant) -> dict[str, Any]:
        """The flags that wait on any page of the tenant which the grant covers, oldest first."""
        _require_moderator(grant)
        entries = await self._kept.flagged(tenant, tuple(ENDS_FLAGS))
        mine = [e for e in entries if grant.covers(PageKey(tenant, e.page))]
        return {"flags": [{"page": entry.page, **_told(entry)} for entry in mine]}

    async def overview(self, key: PageKey, grant: Grant) -> dict[str, Any]:
        """What moderators see beside the page: what is hidden, deleted and closed, flags and reasons."""
        _moderating(grant, key)
        entries = await self._kept.of(key.tenant, key.page)
        async with self._rooms.open(key) as room:
            await room.awake()
            held = {name: json.loads(content) for name, content in room.held.items()}
            deleted: dict[str, list[Json]] = {}
            for name, value in room.page.items("deleted"):
                deleted.setdefault(entity_of("deleted", name), []).append(value)
            closed = closings(room.page, entries)
            removed = {entity: _shown(room.archive.below(entity)) for entity in deleted}
            await room.settled()
        return {
            "hidden": held,
            "deleted": {
                entity: {"by": by, "content": removed[entity]} for entity, by in deleted.items()
            },
            "closed": closed,
            "flags": [_told(entry) for entry in open_flags(entries)],
            "log": [_told(entry) for entry in entries],
        }

    async def _hide(self, room: Room, grant: Grant, asked: Request) -> None:
        entity, root = asked.entity, _root(asked.entity)
        keys = [(root, entity), *room.page.below(entity)]
        content = [(*key, room.page.value(*key)) for key in keys]
        if content[0][2] is None:
            raise NotFound("there is no such annotation or comment to hide")
        held = {
            "by": grant.user,
            "at": self._rooms.services.clock.now(),
            "reason": asked.reason,
            "content": content,
        }
        removals: Operations = [(*key, None) for key in keys]
        text = json.dumps(held, ensure_ascii=False)
        await self._write(room, removals, grant, asked, hides={entity: text})

    async def _unhide(self, room: Room, grant: Grant, asked: Request) -> None:
        held = room.held.get(asked.entity)
        if held is None:
            raise NotFound("nothing of this name is hidden")
        for entity in {asked.entity, annotation_of(asked.entity)}:
            if room.page.deleted(entity):
                raise Forbidden("it has been deleted meanwhile: restore it first")
        content = [tuple(entry) for entry in json.loads(held)["content"]]
        await self._write(room, content, grant, asked, shows=[asked.entity])

    async def _restore(self, room: Room, grant: Grant, asked: Request) -> None:
        entries: Operations = [
            ("deleted", name, None)
            for name, _ in room.page.items("deleted")
            if entity_of("deleted", name) == asked.entity
        ]
        if not entries:
            raise NotFound("it is not deleted")
        # With the last entry lifted the room writes back what the deletion took away.
        await self._write(room, entries, grant, asked)

    async def _close(self, room: Room, grant: Grant, asked: Request) -> None:
        now = self._rooms.services.clock.now()
        value: dict[str, Json] = {"by": grant.user, "at": now, "closed": asked.action == "close"}
        if asked.broadcast_id:
            value["broadcastId"] = asked.broadcast_id
        await self._write(room, [("closed", asked.entity, value)], grant, asked)

    async def _write(
        self,
        room: Room,
        operations: Operations,
        grant: Grant,
        asked: Request,
        *,
        hides: Mapping[str, str] | None = None,
        shows: Sequence[str] = (),
    ) -> None:
        """Make these operations; the ruling is noted in the commit that makes them durable."""
        verdict = await room.write(
            operations,
            grant,
            broadcast_id=asked.broadcast_id,
            hides=hides or {},
            shows=shows,
            address=asked.address,
            ruling=self._ruling(room.key, grant, asked)._replace(keeps_past=True),
        )
        require_admitted(verdict, LATER)

    def _ruling(self, key: PageKey, grant: Grant, asked: Request) -> Noted:
        now, address, reason = self._rooms.services.clock.now(), asked.address, asked.reason
        return noted(key, grant, asked.action, asked.entity, now, address=address, reason=reason)


def _moderating(grant: Grant, key: PageKey) -> None:
    covered(grant, key)
    _require_moderator(grant)


def _require_moderator(grant: Grant) -> None:
    if not POWERS[grant.role].moderates:
        raise forbidden(grant, "only a moderator may do that")


def _root(entity: str) -> str:
    return ENTITY_ROOTS["/" in entity]


def _told(entry: ModerationEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "user": entry.user,
        "action": entry.action,
        "entity": entry.entity,
        "reason": entry.reason,
    }


def _shown(content: Sequence[tuple[str, str, Json]]) -> list[list[Json]]:
    return [list(entry) for entry in content]
