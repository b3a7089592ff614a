"""Epochs: a document from before a page was rewritten must not come back into it (design 7).

A replica of an older epoch is known by the Yjs client ids in it, which were retired with that epoch.
"""

from collections.abc import Iterable

from crdt_chat.errors import EpochChanged, Malformed
from crdt_chat.page.lib0 import CUT_SHORT, read_uint
from crdt_chat.page.update import Item, Update

OLD_EPOCH = "the page was rewritten: drop your copy and load it again"


def require_epoch(clients: Iterable[int], retired: frozenset[int]) -> None:
    """Raises EpochChanged if one of the Yjs client ids belongs to an older epoch."""
    if not retired.isdisjoint(clients):
        raise EpochChanged(OLD_EPOCH)


def clients_of_vector(state_vector: bytes) -> list[int]:
    """The client ids of a peer's state vector. Raises Malformed."""
    found = []
    try:
        count, at = read_uint(state_vector, 0)
        if count > len(state_vector):
            raise Malformed("the state vector is cut short")
        for _ in range(count):
            client, at = read_uint(state_vector, at)
            _clock, at = read_uint(state_vector, at)
            found.append(client)
    except CUT_SHORT as error:
        raise Malformed("the state vector is cut short") from error
    return found


def clients_of_update(update: Update) -> set[int]:
    """The client ids that an update writes, deletes or builds on."""
    structs, deleted = update.structs, update.deleted
    origins = {
        struct.origin[0]
        for run in structs.values()
        for struct in run
        if isinstance(struct, Item) and struct.origin is not None
    }
    return {*structs, *deleted, *origins}
