"""Several canonical updates of one page as one: what a commit sends, what a lagging reader gets.

pycrdt's merge_updates costs seconds for a long log and is bound to yrs; ours joins the lists of structs
that our own codec reads, copies their values unread, and leaves out content that a later update deleted.
"""

from collections.abc import Sequence

from crdt_chat.page.draft import covers
from crdt_chat.page.outgoing import Outgoing
from crdt_chat.page.skipping import skip_any
from crdt_chat.page.update import Gc, Item, Ranges, Struct, Update, decode, encode, joined


def merge(updates: Sequence[bytes]) -> bytes:
    """The canonical updates of consecutive verdicts as one canonical update.

    b"" stands for nothing applied, here and in the result. A lone update is given back unread. Raises
    Malformed if one of several is no update, ValueError if clocks are missing between them.
    """
    said = [update for update in updates if update]
    if len(said) < 2:
        return said[0] if said else b""
    return merged([decode(update, skip_any) for update in said])


def merged(parts: Sequence[Update | Outgoing]) -> bytes:
    """The same of updates that are decoded already; they stay as they are. Raises ValueError."""
    deleted = _deletions(parts)
    structs: dict[int, list[Struct]] = {}
    for part in parts:
        for client, run in part.structs.items():
            _append(structs.setdefault(client, []), run, deleted)
    return encode(structs, deleted)


def _deletions(parts: Sequence[Update | Outgoing]) -> Ranges:
    found: Ranges = {}
    for part in parts:
        for client, ranges in part.deleted.items():
            found.setdefault(client, []).extend(ranges)
    return {client: joined(ranges) for client, ranges in found.items()}


def _append(out: list[Struct], run: Sequence[Struct], deleted: Ranges) -> None:
    """Add a client's next structs, those that are deleted meanwhile without their content."""
    if out and out[-1].clock + out[-1].length != run[0].clock:
        raise ValueError("the updates do not follow each other")
    ranges = deleted.get(run[0].client)
    for struct in run:
        if type(struct) is Item and struct.values is not None:
            if ranges is None or not covers(ranges, struct.clock, struct.clock + struct.length):
                out.append(struct)
                continue
            struct = struct.deleted()
        one = _as_one(out[-1], struct) if out else None
        if one is None:
            out.append(struct)
        else:
            out[-1] = one


def _as_one(last: Struct, struct: Struct) -> Struct | None:
    """Both as one struct, if they are Gcs, or deleted units of one chain."""
    if isinstance(last, Gc) and isinstance(struct, Gc):
        return Gc(last.client, last.clock, last.length + struct.length)
    if (
        isinstance(last, Item)
        and isinstance(struct, Item)
        and last.values is None
        and struct.values is None
        and struct.origin == (struct.client, struct.clock - 1)
    ):
        return last.deleted(struct.length)
    return None
