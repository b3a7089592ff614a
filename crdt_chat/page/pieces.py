"""A big page in pieces: no one call into Yjs may hold the interpreter for long (design 4 and 15).

yrs keeps Python's lock while it works, about a microsecond for each struct. What is big is therefore
integrated as several updates that follow each other, and encoded some clients at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from crdt_chat.errors import PageBroken
from crdt_chat.page.index import Index
from crdt_chat.page.lib0 import read_uint, write_uint
from crdt_chat.page.order import integration_order
from crdt_chat.page.update import Ranges, Struct, encode
from crdt_chat.page.vector import encode_vector

STRUCTS: Final = 1_000
"""Structs, or deleted clocks, of one piece: 10 ms or so."""

PARTS: Final = 128
"""Into how many parts a range of deleted clocks is split at most: Gcs may be of any length."""

ENCODED: Final = 8_000
"""Runs of units whose state is encoded in one go: 10 ms or so."""


def is_big(structs: Mapping[int, Sequence[Struct]], deleted: Ranges) -> bool:
    """Whether an update is better integrated in pieces."""
    if sum(map(len, structs.values())) > STRUCTS:
        return True
    return sum(end - first for ranges in deleted.values() for first, end in ranges) > STRUCTS


def pieces(structs: Mapping[int, Sequence[Struct]], deleted: Ranges) -> Iterator[bytes]:
    """Updates that say the same one after the other, each complete without the later ones.

    Arguments as `encode`. Raises Malformed for structs that wait for each other in a circle.
    """
    ordered = integration_order(structs) if structs else ()
    for start in range(0, len(ordered), STRUCTS):
        piece: dict[int, list[Struct]] = {}
        for struct in ordered[start : start + STRUCTS]:
            piece.setdefault(struct.client, []).append(struct)
        yield encode(piece, {})
    for ranges in _deletions(deleted):
        yield encode({}, ranges)


def _deletions(deleted: Ranges) -> Iterator[Ranges]:
    """The delete set in parts of about so many clocks; a range of very many has few structs for them."""
    part: Ranges = {}
    size = 0
    for client, ranges in deleted.items():
        for first, end in ranges:
            step = max(STRUCTS, (end - first) // PARTS)
            for start in range(first, end, step):
                stop = min(end, start + step)
                part.setdefault(client, []).append((start, stop))
                size += stop - start
                if size >= STRUCTS:
                    yield part
                    part, size = {}, 0
    if part:
        yield part


def encoded(index: Index, known: Mapping[int, int], since: Callable[[bytes], bytes]) -> bytes:
    """What somebody with the state vector `known` lacks, as one update; `since` asks the document.

    Each answer of the document has the sections of some clients, and the whole delete set behind them.
    Raises PageBroken.
    """
    ends = {client: runs.end for client, runs in index.runs.items()}
    deletions = since(encode_vector(ends))[1:]
    sections, count = bytearray(), 0
    for group in _groups(index, known):
        part = since(encode_vector(ends | {client: known.get(client, 0) for client in group}))
        found, at = read_uint(part, 0)
        if found != len(group):
            raise PageBroken("the document lacks what its index knows")
        sections += part[at : len(part) - len(deletions)]
        count += found
    out = bytearray()
    write_uint(out, count)
    return bytes(out + sections + deletions)


def _groups(index: Index, known: Mapping[int, int]) -> Iterator[list[int]]:
    """The clients of whom something is not known, higher ids first, in groups of bounded size."""
    group: list[int] = []
    size = 0
    for client in sorted(index.runs, reverse=True):
        runs = index.runs[client]
        if known.get(client, 0) >= runs.end:
            continue
        if group and size + len(runs.owners) > ENCODED:
            yield group
            group, size = [], 0
        group.append(client)
        size += len(runs.owners)
    if group:
        yield group
