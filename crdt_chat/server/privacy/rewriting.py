"""From a page as the store has it to the same content, or less of it, under a new epoch (design 7)."""

import json

from crdt_chat.page.erasure import Entries, Kept, whole
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.ledger import SERVER
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page, free_client
from crdt_chat.server.rooms.epochs import clients_of_vector
from crdt_chat.server.rooms.loading import SPARE_CLIENT, page_of
from crdt_chat.server.rooms.services import Services
from store.records import LogEntry, Projected, Rewrite, StoredPage


def kept_in(stored: StoredPage, limits: PageLimits) -> tuple[Page, Kept]:
    """All content of a page as the store has it. Raises PageBroken."""
    page = page_of(stored, limits, SPARE_CLIENT)
    kept = Kept(
        {(root, name): value for root in ROOTS for name, value in page.items(root)},
        {(root, name): json.loads(text) for root, name, text in stored.archived},
        {name: json.loads(text) for name, text in stored.held},
        stored.entities,
    )
    return page, kept


def replacement(
    services: Services, stored: StoredPage, page: Page, kept: Kept, actor: str
) -> Rewrite:
    """The page with this content alone, written once under one fresh client id of the server's.

    All client ids of `page` are retired: nobody can build on what they wrote. The history is deleted
    and the events begin anew, unless the caller changes that.
    """
    used = {*clients_of_vector(page.state_vector()), *(client for client, _ in stored.owners)}
    gone = used.union(stored.retired)
    client = free_client(services.ids.client(), gone.__contains__)
    now, origin = services.clock.now(), services.ids.origin()
    entry = LogEntry(origin, actor, "0", now, whole(kept.live, client))
    return Rewrite(
        entry,
        projected=_projected(kept.live),
        owners=[(client, SERVER)],
        entities=kept.entities,
        held=[(name, _text(value)) for name, value in kept.held.items()],
        archived=[(*key, _text(value)) for key, value in kept.archived.items()],
        retire=sorted(used),
    )


def _projected(entries: Entries) -> list[Projected]:
    return [Projected(*key, _text(value)) for key, value in entries.items()]


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
