"""Bring a page to life from the store: snapshot, the rows after it and the gate's own state."""

from dataclasses import dataclass, field
from functools import partial

from crdt_chat.identity import PageKey
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page, free_client
from crdt_chat.page.verdict import GateRows
from crdt_chat.server.rooms.turn import Aside
from store.protocol import Store
from store.records import StoredPage

SPARE_CLIENT = 1
"""What is only looked at writes nothing; it needs some client id of the server's all the same."""


@dataclass(slots=True)
class LoadedPage:
    """A page as the store has it: `seq` is its head, `snapshot_seq` what its snapshot covers.

    last_event is the timestamp (ms) of its newest event, 0 for none.
    """

    page: Page
    seq: int = 0
    epoch: int = 1
    snapshot_seq: int = 0
    held: dict[str, str] = field(default_factory=dict)
    archived: list[tuple[str, str, str]] = field(default_factory=list)
    last_event: int = 0
    retired: frozenset[int] = frozenset()


async def load_page(
    store: Store,
    key: PageKey,
    limits: PageLimits,
    server_client: int,
    aside: Aside | None = None,
    at_once: int = 0,
) -> LoadedPage:
    """The page `key`, empty if nobody has written to it; of over `at_once` bytes it is built `aside`.

    Raises store.Quarantined if damaged, PageBroken.
    """
    stored = await store.load(key.tenant, key.page)
    if stored is None:
        return LoadedPage(Page(limits, server_client))
    retired = frozenset(stored.retired)
    server_client = free_client(server_client, retired.__contains__)
    build = partial(page_of, stored, limits, server_client)
    size = len(stored.snapshot or b"") + sum(len(row.update) for row in stored.rows)
    if aside is None or size <= at_once:
        page = build()
    else:
        page = await aside(build, tenant=key.tenant, reads=size)
    return LoadedPage(
        page,
        stored.seq,
        stored.epoch,
        stored.snapshot_seq,
        dict(stored.held),
        stored.archived,
        stored.last_event,
        retired,
    )


def page_of(stored: StoredPage, limits: PageLimits, server_client: int) -> Page:
    """The live page that these rows describe. Raises PageBroken."""
    rows = GateRows(
        owners=stored.owners,
        entities=stored.entities,
        refused=stored.refused,  # type: ignore[arg-type]  # text in the store, Repair in the gate
        held=[name for name, _ in stored.held],
        erased=stored.erased,
    )
    updates = [row.update for row in stored.rows]
    return Page.load(stored.snapshot, updates, rows, limits, server_client)
