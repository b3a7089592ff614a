"""Rebuild the index from a page's state: after a restart it must say exactly what it said before."""

from collections.abc import Iterable

from crdt_chat.errors import Malformed, PageBroken
from crdt_chat.page.arrival import Arrival, integration_order, place_all
from crdt_chat.page.index import MENDED, Index
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.outgoing import learn
from crdt_chat.page.update import decode
from crdt_chat.page.verdict import Repair


def load_index(state: bytes, refused: Iterable[tuple[int, int, int, Repair]]) -> Index:
    """The index of a whole document; `refused` are the GCs that stand for refused structs.

    Raises PageBroken if the state is not one that this gate lets come about.
    """
    index = Index(ROOTS)
    try:
        update = decode(state)
        arrival = Arrival(update.deleted)
        place_all(arrival, integration_order(update.structs) if update.structs else (), index)
    except Malformed as error:
        raise PageBroken("the stored page is not one that this gate wrote") from error
    if arrival.lacks:
        raise PageBroken("the stored page is incomplete")
    for draft in arrival.drafts.values():
        draft.settle(update.deleted)
    learn(arrival, index)
    for client, clock, length, repair in refused:
        if repair == "rollback":
            index.mark(client, clock, length, MENDED)
    return index
