"""Erasing a person, an annotation or a page on the live server: no byte and no replica brings it back.

Every erasure rewrites the pages concerned under a new epoch, also that of a single annotation: a Y.Doc
keeps the text of every key for ever, and the bytes of what was deleted stay in the history. The history
and the events of such a page end with it. docs/moderation.md says what goes and what stays.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import anyio.to_thread

from crdt_chat.errors import Malformed, NotFound, TryLater
from crdt_chat.identity import PageKey
from crdt_chat.page import erasure as content
from crdt_chat.page.layout import encode_user, is_entity, is_user
from crdt_chat.page.ledger import ENTITY_ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import text_chat
from crdt_chat.server.admin.administration import Caller
from crdt_chat.server.audit.refusals import Counting
from crdt_chat.server.privacy.erasure_log import (
    ENTITY,
    NAMES,
    PAGE,
    USER,
    Erased,
    ErasureLog,
    digest,
)
from crdt_chat.server.privacy.rewriting import kept_in, replacement
from crdt_chat.server.rooms.batch import event_entry
from crdt_chat.server.rooms.loading import SPARE_CLIENT
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.rooms.services import Services
from store.records import Rewrite, StoredPage
from store.tenants import AuditEntry

log = logging.getLogger(__name__)

What: TypeAlias = Callable[[content.Kept], tuple[content.Kept, set[str]]]
"""From a page's content to what may stay, and the digests of the names that may not come back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased: a user of the tenant, or a page, or an annotation or comment of a page."""

    user: str | None = None
    page: str | None = None
    entity: str | None = None

    @classmethod
    def parse(cls, said: dict[str, Any]) -> "Wanted":
        """`{"user"}`, `{"page"}` or `{"page", "annotation"}`. Raises Malformed."""
        user, page, entity = (said.get(name) for name in ("user", "page", "annotation"))
        one = (user is not None) != (page is not None)
        if not one or not said.keys() <= {"user", "page", "annotation"}:
            raise Malformed("say whom or what to erase: `user`, `page`, or `page` and `annotation`")
        if user is not None and (
            entity is not None or not isinstance(user, str) or not is_user(user)
        ):
            raise Malformed("`user` is a user id, and stands alone")
        if page is not None and not (isinstance(page, str) and page):
            raise Malformed("`page` is the name of a page")
        if entity is not None and not (isinstance(entity, str) and is_entity(entity)):
            raise Malformed("`annotation` is ANNOTATION, or ANNOTATION/COMMENT for one comment")
        return cls(user, page, entity)


class Erasure:
    """The verb. Each page is rewritten at once and whole; the log comes first, the bytes last."""

    def __init__(self, rooms: Rooms, log: ErasureLog, counts: Sequence[Counting] = ()) -> None:
        self._rooms = rooms
        self._log = log
        self._counts = counts

    async def erase(self, caller: Caller, tenant: str, wanted: Wanted) -> dict[str, Any]:
        """Erase and return when nothing of it is on the disk any more.

        Raises Forbidden, NotFound, TryLater where a page can't be opened or the log not be written:
        ask again, nothing is lost by that.
        """
        caller.require(tenant)
        services = self._rooms.services
        if services.config.tenant(tenant) is None:
            raise NotFound("there is no such tenant here")
        pages = await self._pages(tenant, wanted)
        entry = self._entry(services, tenant, wanted)
        await self._append(entry)
        for page in pages:
            names = await self._rewrite(PageKey(tenant, page), caller, wanted)
            await self._unjudged(PageKey(tenant, page), names)
            told = replace(entry, kind=NAMES, page=page, salt="", digest="", names=names)
            await self._append(told)
        await self._beside(tenant, wanted)
        detail = json.dumps({"id": entry.id, "page": wanted.page, "pages": len(pages)})
        audit = AuditEntry(
            entry.at,
            caller.name,
            caller.address,
            tenant,
            f"erase.{entry.kind}",
            entry.digest,
            detail,
        )
        await services.store.trust.note([audit])
        await services.store.wipe()
        return {"id": entry.id, "pages": len(pages), "copies": self._log.copies()}

    async def _append(self, entry: Erased) -> None:
        try:
            await anyio.to_thread.run_sync(self._log.append, entry)
        except OSError as error:
            log.exception("the log of erasures cannot be written")
            raise TryLater("the log of erasures cannot be written: ask again") from error

    async def again(self, entries: Sequence[Erased]) -> int:
        """Erase once more what is in a log, in a restored database that nobody is served from."""
        services, count = self._rooms.services, 0
        for entry in entries:
            for wanted in await self._found(entry):
                for page in await self._pages(entry.tenant, wanted):
                    key = PageKey(entry.tenant, page)
                    await self._unjudged(key, await self._rewrite_unserved(key, wanted))
                await self._beside(entry.tenant, wanted)
                count += 1
        if count:
            await services.store.wipe()
        return count

    async def _found(self, entry: Erased) -> list[Wanted]:
        """What of this database the entry means."""
        store = self._rooms.services.store
        if entry.kind == USER:
            users = await store.users(entry.tenant)
            return [Wanted(user=user) for user in users if entry.means(user)]
        stored = None if entry.page is None else await store.load(entry.tenant, entry.page)
        if stored is None:
            return []
        if entry.kind == PAGE:
            return [Wanted(page=entry.page)]
        _, kept = kept_in(stored, PageLimits())
        return [Wanted(page=entry.page, entity=name) for name in kept.names if entry.means(name)]

    async def _pages(self, tenant: str, wanted: Wanted) -> list[str]:
        services = self._rooms.services
        if wanted.user is not None:
            store, user = services.store, wanted.user
            # The reason of what is hidden lies with it; what else names her there needs no rewriting.
            reasons = await store.moderation.naming(tenant, user)
            hidden = {entry.page for entry in reasons if entry.action == "hide"}
            return sorted(hidden.union(await store.pages_naming(tenant, *traces_of(user))))
        page = wanted.page or ""
        if (tenant, page) not in await services.store.heads([(tenant, page)]):
            raise NotFound("there is no such page")
        return [page]

    async def _rewrite(self, key: PageKey, caller: Caller, wanted: Wanted) -> list[str]:
        """Rewrite a page; returns the digests of the names that went."""
        actor = content.ERASED if caller.name == wanted.user else caller.name
        names: list[str] = []
        try:
            async with self._rooms.open(key) as room:
                limits = room.page.limits

                def make(stored: StoredPage) -> Rewrite:
                    made = _made(self._rooms.services, key, limits, actor, _what(wanted), stored)
                    names[:] = made.erased
                    return made

                await room.rewrite(make)
        except TryLater:
            if wanted.page is None or wanted.entity is not None:
                raise
            await self._empty(key, actor)
        return names

    async def _empty(self, key: PageKey, actor: str) -> None:
        """A page that is damaged can't be read, and need not be where all of it goes."""
        services, page = self._rooms.services, Page(PageLimits(), SPARE_CLIENT)
        made = replacement(services, StoredPage(0, 0, None, 0), page, content.Kept(), actor)
        await services.store.rewrite(key.tenant, key.page, None, made)

    async def _rewrite_unserved(self, key: PageKey, wanted: Wanted) -> Sequence[str]:
        services = self._rooms.services
        stored = await services.store.load(key.tenant, key.page)
        if stored is None:
            return ()
        what, actor = _what(wanted), content.ERASED
        made = _made(services, key, PageLimits(), actor, what, stored)
        await services.store.rewrite(key.tenant, key.page, None, made)
        return made.erased

    async def _unjudged(self, key: PageKey, names: Sequence[str]) -> None:
        """Let go what others flagged and moderators did of what went: their reasons may quote it."""
        kept, digests = self._rooms.services.store.moderation, frozenset(names)
        gone = {
            entry.entity
            for entry in await kept.of(key.tenant, key.page)
            if content.digest(ENTITY_ROOTS["/" in entry.entity], entry.entity) in digests
        }
        if gone:
            await kept.erase(key.tenant, page=key.page, entities=sorted(gone))

    async def _beside(self, tenant: str, wanted: Wanted) -> None:
        """What the store keeps beside the pages."""
        services, store = self._rooms.services, self._rooms.services.store
        # What was counted so far would name her later.
        for counts in self._counts:
            await counts.flush(store.trust, services.clock.now())
        entities = () if wanted.entity is None else (wanted.entity,)
        await store.moderation.erase(tenant, user=wanted.user, page=wanted.page, entities=entities)
        if wanted.user is not None:
            await store.trust.forget(tenant, wanted.user, content.ERASED)
        services.moderators.erased(tenant)

    @staticmethod
    def _entry(services: Services, tenant: str, wanted: Wanted) -> Erased:
        salt = services.ids.origin().hex()
        kind = USER if wanted.user else ENTITY if wanted.entity else PAGE
        subject = wanted.user or wanted.entity or wanted.page or ""
        at, name = services.clock.now(), services.ids.text()
        return Erased(name, at, tenant, kind, wanted.page, salt, digest(salt, subject))


def _what(wanted: Wanted) -> What:
    if wanted.user is not None:
        return partial(content.without_user, user=wanted.user)
    if wanted.entity is not None:
        return partial(content.without_entity, entity=wanted.entity)
    return content.without_all


def traces_of(user: str) -> tuple[str, list[str], str]:
    """The user id, and what of it stands in JSON, in bodies and at the end of names."""
    encoded = encode_user(user)
    quoted = {json.dumps(user), json.dumps(user, ensure_ascii=False)}
    return user, sorted({*quoted, f"]({user})", f"]({encoded})"}), f"/{encoded}"


def _made(
    services: Services,
    key: PageKey,
    limits: PageLimits,
    actor: str,
    what: What,
    stored: StoredPage,
) -> Rewrite:
    """What replaces a page, and tells legacy clients of it."""
    page, before = kept_in(stored, limits)
    after, digests = what(before)
    changes = content.changes(before.live, after.live)

    def look(root: str, name: str) -> Json:
        return after.live.get((root, name))

    attributed = [text_chat.Attributed(change, actor) for change in changes]
    events = text_chat.events(key.page, attributed, look, services.ids.text)
    rewrite = replacement(services, stored, page, after, actor)
    return replace(rewrite, events=[event_entry(event) for event in events], erased=sorted(digests))
