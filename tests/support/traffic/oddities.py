"""Which honest oddities of design 4 an update shows."""

from collections.abc import Iterator

from crdt_chat.page.draft import covers
from crdt_chat.page.update import Gc, Item, Skip, Update
from crdt_chat.page.verdict import Sync

UNDEFINED = b"\x7f"


def oddities(update: Update, data: bytes, sync: Sync) -> Iterator[str]:
    """The names of those that this update shows, each once."""
    seen: set[str] = set()
    for client, run in update.structs.items():
        if client >= 2**32:
            seen.add("client id of more than 32 bits")
        for struct in run:
            seen.update(_of_struct(struct, update))
    if sync != "update" and update.deleted:
        seen.add("step 2 with a whole delete set")
    if not update.structs and update.deleted:
        seen.add("nothing but a delete set")
    if len(update.structs) > 1:
        seen.add("structs of several clients")
    if b"broadcastId" + UNDEFINED in data:
        seen.add("a property that is undefined")
    yield from seen


def _of_struct(struct: Item | Gc | Skip, update: Update) -> Iterator[str]:
    if isinstance(struct, Gc):
        yield "GC" if struct.length == 1 else "GC longer than 1"
    elif isinstance(struct, Item):
        if struct.values is None:
            yield (
                "overwritten offline"
                if struct.length == 1
                else "overwritten offline, longer than 1"
            )
        elif struct.length > 1:
            end = struct.clock + struct.length
            own = covers(update.deleted.get(struct.client), struct.clock, end)
            yield f"ContentAny longer than 1{' in its own delete set' if own else ''}"
        origin = struct.origin
        if origin is not None and origin[0] in update.structs:
            run = update.structs[origin[0]]
            if run[0].clock <= origin[1]:
                yield "an origin inside the update"
