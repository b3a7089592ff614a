"""State vectors: per client id the next clock. Read strictly, since a peer's is not to be trusted."""

from collections.abc import Mapping
from typing import Final

from crdt_chat.errors import Malformed
from crdt_chat.page.index import Index
from crdt_chat.page.lib0 import read_uint, write_uint

UNKNOWN_IDS: Final = 1_000
"""How many unknown client ids a peer's state vector may name by default (design 15)."""


def encode_vector(clocks: Mapping[int, int]) -> bytes:
    """The bytes of y-protocols' step 1: higher client ids first, so that equal ones are equal bytes."""
    out = bytearray()
    write_uint(out, len(clocks))
    for client in sorted(clocks, reverse=True):
        write_uint(out, client)
        write_uint(out, clocks[client])
    return bytes(out)


def known_part(data: bytes, index: Index, unknown: int = UNKNOWN_IDS) -> dict[int, int]:
    """What of a peer's state vector names clocks that this page has.

    Raises Malformed for bad bytes, and for more ids than the page has plus `unknown`.
    """
    try:
        count, at = read_uint(data, 0)
        if count > len(index.runs) + unknown:
            raise Malformed("the state vector names too many unknown client ids")
        known: dict[int, int] = {}
        for _ in range(count):
            client, at = read_uint(data, at)
            clock, at = read_uint(data, at)
            end = index.next(client)
            if end:
                known[client] = min(clock, end)
    except IndexError as error:
        raise Malformed("the state vector is cut short") from error
    if at != len(data):
        raise Malformed("bytes are left over")
    return known
