"""Which structs of an update are new, and in which order they hang themselves into the trees (design 4)."""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from crdt_chat.errors import Malformed
from crdt_chat.page.index import Index
from crdt_chat.page.update import Id, Item, Skip, Struct, Update


def trim(update: Update, index: Index) -> dict[int, Sequence[Struct]] | None:
    """The structs that the index does not know, per client, known beginnings cut.

    "Trim what the server already has: known struct ranges." None for a gap: a clock ahead of what the
    server has, or a Skip, which says that the sender herself lacks something.
    """
    found: dict[int, Sequence[Struct]] = {}
    for client, structs in update.structs.items():
        runs = index.runs.get(client)
        end = 0 if runs is None else runs.end
        fresh: Sequence[Struct] = structs
        if structs[0].clock < end:
            fresh = [
                struct if struct.clock >= end else cut(struct, end)
                for struct in structs
                if struct.clock + struct.length > end
            ]
            if not fresh:
                continue
        if fresh[0].clock > end or Skip in map(type, fresh):
            return None
        found[client] = fresh
    return found


def cut(struct: Struct, end: int) -> Struct:
    """What of a struct is not before clock `end`: it hangs on the last known unit."""
    known = end - struct.clock
    if isinstance(struct, Item):
        values = None if struct.values is None else struct.values[known:]
        return Item(
            struct.client, end, struct.length - known, (struct.client, end - 1), "", "", values
        )
    return type(struct)(struct.client, end, struct.length - known)


def integration_order(found: Mapping[int, Sequence[Struct]]) -> Sequence[Struct]:
    """The same structs so that each comes after its origin and after the earlier ones of its client.

    An origin that is not in `found` does not hold its struct up. Raises Malformed for a cycle, be it of
    origins alone or through the order of clocks: both libraries would keep it pending for ever.
    """
    if len(found) == 1:
        (only,) = found.values()
        return only
    ordered: list[Struct] = []
    place = dict.fromkeys(found, 0)
    waiting: dict[int, list[Id]] = {client: [] for client in found}
    ready = list(found)[::-1]
    while ready:
        client = ready.pop()
        structs = found[client]
        at = place[client]
        while at < len(structs):
            origin = _awaited(structs[at], found, place)
            if origin is not None:
                heappush(waiting[origin[0]], (origin[1], client))
                break
            ordered.append(structs[at])
            at += 1
        place[client] = at
        end = structs[at].clock if at < len(structs) else _end(structs)
        queue = waiting[client]
        while queue and queue[0][0] < end:
            ready.append(heappop(queue)[1])
    if len(ordered) < sum(map(len, found.values())):
        raise Malformed("structs wait for each other in a circle")
    return ordered


def _end(structs: Sequence[Struct]) -> int:
    return structs[-1].clock + structs[-1].length


def _awaited(
    struct: Struct, found: Mapping[int, Sequence[Struct]], place: Mapping[int, int]
) -> Id | None:
    """The origin of this struct, if it is among those of `found` that are still to come."""
    if type(struct) is not Item or struct.origin is None or struct.origin[0] == struct.client:
        return None
    structs = found.get(struct.origin[0])
    if structs is None:
        return None
    at = place[struct.origin[0]]
    if at < len(structs) and structs[at].clock <= struct.origin[1] < _end(structs):
        return struct.origin
    return None
