"""A page at rest: the packed state in place of document and index, until somebody needs these again.

An annotation costs 1.7 KiB awake, 0.3 KiB here. Waking takes a millisecond for 50 annotations.
"""

import zlib
from dataclasses import dataclass

from crdt_chat.page.content import Content
from crdt_chat.page.index import MENDED
from crdt_chat.page.ledger import Ledger

FAST = 1
"""zlib's level: selectors and ids pack well, the level matters little."""


@dataclass(frozen=True, slots=True)
class Resting:
    """What is kept. ledger stays as it is: who comes is counted and owned without waking the page.

    vector is the encoded state vector, size that of the state in bytes; mended are (client, clock,
    length) of the Gcs whose writers were rolled back, which the state does not tell from others.
    """

    ledger: Ledger
    vector: bytes
    size: int
    mended: tuple[tuple[int, int, int], ...]
    _packed: bytes

    @classmethod
    def of(cls, content: Content) -> "Resting":
        """Put this content to rest; it must not be used any more. Raises PageBroken."""
        runs = content.index.runs
        mended = [
            (client, first, end - first)
            for client, each in runs.items()
            for first, end, owner in zip(
                each.firsts, (*each.firsts[1:], each.end), each.owners, strict=True
            )
            if owner is MENDED
        ]
        state = content.state()
        packed = zlib.compress(state, FAST)
        return cls(content.ledger, content.vector(), len(state), tuple(mended), packed)

    def state(self) -> bytes:
        """The whole page as one Yjs update."""
        return zlib.decompress(self._packed)

    def wake(self) -> Content:
        """The content as it was. Raises PageBroken."""
        return Content.restored(self.state(), self.ledger, self.mended)
