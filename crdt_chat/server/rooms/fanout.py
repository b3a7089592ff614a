"""One frame to everybody on a page, encoded once (design 8)."""

from collections.abc import Iterable

from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.sockets.channel import binary_frame


def fan_out(peers: Iterable[Peer], frame: bytes, author: int | None, seq: int) -> int:
    """Give the increment that ends at row `seq` to all but `author`, whose own words it is.

    Returns to how many it is sent already.
    """
    encoded = binary_frame(frame)
    told = 0
    for peer in peers:
        if peer.outbox.seq >= seq:
            continue
        if peer.id == author:
            peer.outbox.skip(seq)
        else:
            told += peer.increment(frame, encoded, seq)
    return told
