"""The live content of a page: the document, and what the gate knows of it without looking into it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from crdt_chat.errors import Malformed, PageBroken, UpdateBroken
from crdt_chat.page.arrival import Arrival, retrace
from crdt_chat.page.document import Document, Expected
from crdt_chat.page.index import MENDED, Index
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.ledger import ENTITY_ROOTS, Ledger, Past, past_in
from crdt_chat.page.merge import merge
from crdt_chat.page.outgoing import learn
from crdt_chat.page.pieces import encoded, pieces
from crdt_chat.page.update import decode
from crdt_chat.page.vector import encode_vector
from crdt_chat.page.verdict import Change, GateRows, Json, Verdict

SMALL: Final = 64 * 1024
"""Bytes of an update or a state that Yjs is given, or gives, in one piece."""


def _in_pieces(update: bytes) -> Iterable[bytes]:
    """A stored update as Yjs is given it. Raises Malformed."""
    return [update] if len(update) <= SMALL else pieces(*decode(update)[:2])


class Content:
    """document, index and ledger, always in step with each other."""

    __slots__ = ("_grown", "_size", "document", "index", "ledger")

    def __init__(self) -> None:
        self.document = Document()
        self.index = Index(ROOTS)
        self.ledger = Ledger()
        self._size = 0
        self._grown = 0

    @classmethod
    def load(cls, updates: Iterable[bytes], rows: GateRows) -> "Content":
        """The content of trusted updates: after a restart it says exactly what it said before.

        Raises PageBroken if they are not what this gate lets come about.
        """
        content = cls()
        content._take(list(updates))
        for client, clock, length, repair in rows.refused:
            if repair == "rollback":
                content.index.mark(client, clock, length, MENDED)
        content.ledger.add(rows)
        for root in ROOTS:
            content.ledger.apply(
                Change(root, name, None, value)
                for name, value in content.document.items(root).items()
            )
        return content

    @classmethod
    def restored(
        cls, state: bytes, ledger: Ledger, mended: Iterable[tuple[int, int, int]]
    ) -> "Content":
        """The content that had this state and this ledger; mended: its Gcs that are MENDED.

        Raises PageBroken.
        """
        content = cls()
        content._take([state])
        for client, clock, length in mended:
            content.index.mark(client, clock, length, MENDED)
        content.ledger = ledger
        return content

    def _take(self, updates: Sequence[bytes]) -> None:
        """Fill the document, and the index from it."""
        try:
            for update in updates:
                self.document.apply(_in_pieces(update))
            state = self.document.state() if sum(map(len, updates)) <= SMALL else merge(updates)
            arrival = retrace(decode(state), self.index)
        except (Malformed, ValueError) as error:
            raise PageBroken("the stored page is not one that this gate wrote") from error
        self._size = len(state)
        if arrival.lacks:
            raise PageBroken("the stored page is incomplete")
        learn(arrival, self.index)

    def apply(
        self,
        arrival: Arrival,
        verdict: Verdict,
        updates: Iterable[bytes],
        expected: Iterable[Expected],
    ) -> None:
        """Carry out a verdict; `updates` are its update, in one or several pieces.

        Raises UpdateBroken, also if Yjs shows otherwise; PageBroken if the document had failed before.
        """
        *before, last = updates
        sound = not self.document.broken
        try:
            if before:
                self.document.apply(before)
            self.document.carry_out(last, expected)
        except PageBroken as fault:
            if not sound:
                raise
            raise UpdateBroken("an update broke the document") from fault
        learn(arrival, self.index)
        for client, user in verdict.rows.owners:
            self.ledger.owners[client] = user
        if verdict.refusals:
            self.ledger.refuse(verdict.rows)
        self.ledger.apply(verdict.changes)
        for name, creator, created in verdict.rows.entities:
            # What came together with its own deletion was never there, and is remembered all the same.
            if self.index.entries[ENTITY_ROOTS["/" in name]][name].live is False:
                self.ledger.gone[name] = Past(creator, created)
        self._size += len(verdict.update)
        self._grown += len(verdict.update)

    @property
    def size(self) -> int:
        """How many bytes the state has at most."""
        return self._size

    def state(self) -> bytes:
        """The whole document as one update. Raises PageBroken."""
        return self.since({})

    def since(self, known: Mapping[int, int]) -> bytes:
        """What somebody with this state vector lacks, as one update. Raises PageBroken."""
        if self._size <= SMALL:
            return self.document.since(encode_vector(known))
        return encoded(self.index, known, self.document.since)

    def past_of(self, entity: str) -> Past | None:
        """Creator and time of an annotation or comment that is or was there. Raises PageBroken."""
        past = self.ledger.gone.get(entity)
        if past is None:
            root = ENTITY_ROOTS["/" in entity]
            entry = self.index.entry(root, entity)
            if entry is not None and entry.live:
                return past_in(self.document.read(root, entity))
        return past

    def value(self, root: str, name: str) -> Json | None:
        """The value of an entry, None if it is absent. Raises PageBroken."""
        entry = self.index.entry(root, name)
        return self.document.read(root, name) if entry is not None and entry.live else None

    def exceeds(self, more: int, limit: int) -> bool:
        """Whether the state would outgrow `limit` bytes, give or take a hundredth.

        The sum of all updates is an upper bound of the state; only where that is too much is the state
        looked at, and again after another hundredth: on a full page every update would cost it else.
        """
        if self._size + more > limit and self._grown * 100 >= limit:
            self._size = len(self.state())
            self._grown = 0
        return self._size + more > limit
