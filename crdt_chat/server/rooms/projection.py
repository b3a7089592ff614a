"""The read model that a page's log implies: what `integrity` compares the store's tables with."""

from collections.abc import Iterator

from crdt_chat.errors import PageBroken
from crdt_chat.page.json_text import as_text
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.limits import PageLimits
from crdt_chat.server.rooms.loading import SPARE_CLIENT, page_of
from store.errors import Quarantined
from store.records import Projected, StoredPage


def projected(stored: StoredPage) -> Iterator[Projected]:
    """Every key of the page's read model. Raises Quarantined if the log cannot be applied."""
    try:
        page = page_of(stored, PageLimits(), SPARE_CLIENT)
        for root in ROOTS:
            for name, value in page.items(root):
                yield Projected(root, name, as_text(value))
    except PageBroken as error:
        raise Quarantined("", "", f"its log cannot be applied: {error}") from error
