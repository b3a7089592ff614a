"""The live content of a page: the document, and what the gate knows of it without looking into it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from crdt_chat.errors import Malformed, PageBroken
from crdt_chat.page.arrival import Arrival, retrace
from crdt_chat.page.document import Document
from crdt_chat.page.dropping import consumed, empty
from crdt_chat.page.index import MENDED, Entry, Index
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.ledger import ENTITY_ROOTS, Ledger, Past, past_in
from crdt_chat.page.merge import merge
from crdt_chat.page.outgoing import Outgoing, assemble, learn
from crdt_chat.page.update import decode
from crdt_chat.page.vector import encode_vector
from crdt_chat.page.verdict import Change, GateRows, Json, Verdict

NOTHING: Final = b"\x00\x00"
"""The update that says nothing."""

BROKEN: Final = "the page has failed and must be rebuilt"


class Content:
    """document, index and ledger, always in step with each other.

    broken: something went wrong while they changed; they must be thrown away.
    """

    __slots__ = ("_grown", "_size", "_vector", "broken", "document", "index", "ledger")

    def __init__(self) -> None:
        self.broken = False
        self.document = Document()
        self.index = Index(ROOTS)
        self.ledger = Ledger()
        self._size = 0
        self._grown = 0
        self._vector: bytes | None = None

    @classmethod
    def load(cls, updates: Iterable[bytes], rows: GateRows) -> "Content":
        """The content of trusted updates: after a restart it says exactly what it said before.

        Raises PageBroken if they are not what this gate lets come about.
        """
        content = cls()
        changes = content._take(list(updates))
        for client, clock, length, repair in rows.refused:
            if repair == "rollback":
                content.index.mark(client, clock, length, MENDED)
        content.ledger.add(rows)
        content.ledger.apply(consumed(changes))
        return content

    @classmethod
    def restored(
        cls, state: bytes, ledger: Ledger, mended: Iterable[tuple[int, int, int]]
    ) -> "Content":
        """The content that had this state and this ledger; mended: its Gcs that are MENDED.

        Raises PageBroken.
        """
        content = cls()
        empty(content._take([state]))
        for client, clock, length in mended:
            content.index.mark(client, clock, length, MENDED)
        content.ledger = ledger
        return content

    def _take(self, updates: Sequence[bytes]) -> list[Change]:
        """Fill document and index. Returns all that is there now. Raises PageBroken."""
        try:
            state = merge(updates) or NOTHING
            arrival = retrace(decode(state), self.index)
            if arrival.lacks:
                raise PageBroken("the stored page is incomplete")
            outgoing = assemble(arrival, self.index, 0)
            self._carry_out(arrival, outgoing)
        except (Malformed, ValueError) as error:
            raise PageBroken("the stored page is not one that this gate wrote") from error
        self._size = len(state)
        changes = outgoing.changes
        del outgoing
        arrival.drop()
        return changes

    def _carry_out(self, arrival: Arrival, outgoing: Outgoing) -> None:
        self._vector = None
        for client, run in outgoing.structs.items():
            self.document.append(client, run)
        self.document.drop(outgoing.gone)
        learn(arrival, self.index)

    def apply(self, arrival: Arrival, verdict: Verdict, outgoing: Outgoing) -> None:
        """Carry out a verdict, of which `outgoing` is the update.

        Raises UpdateBroken if the document does not have what the index says.
        """
        self.broken = True
        self._carry_out(arrival, outgoing)
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
        self.broken = False

    @property
    def size(self) -> int:
        """How many bytes the state has at most."""
        return self._size

    def vector(self) -> bytes:
        """The next clock of every client id, encoded: whoever joins is told, and it costs 0.5 us for each."""
        if self._vector is None:
            ends = {client: runs.end for client, runs in self.index.runs.items()}
            self._vector = encode_vector(ends)
        return self._vector

    def state(self) -> bytes:
        """The whole document as one update."""
        return self.since({})

    def since(self, known: Mapping[int, int]) -> bytes:
        """What somebody with this state vector lacks, as one update. Raises PageBroken."""
        if self.broken:
            raise PageBroken(BROKEN)
        return self.document.since(known)

    def read(self, entry: Entry) -> Json:
        """The value of an entry that is live."""
        return self.document.read(entry.leaf())

    def names(self, root: str) -> list[str]:
        """The names of all entries of a root map that are there."""
        return [name for name, entry in self.index.entries[root].items() if entry.live]

    def past_of(self, entity: str) -> Past | None:
        """Creator and time of an annotation or comment that is or was there. Raises PageBroken."""
        past = self.ledger.gone.get(entity)
        if past is None:
            root = ENTITY_ROOTS["/" in entity]
            entry = self.index.entry(root, entity)
            if entry is not None and entry.live:
                return past_in(self.document.recall(entry.leaf()))
        return past

    def value(self, root: str, name: str) -> Json | None:
        """The value of an entry, None if it is absent. Raises PageBroken."""
        entry = self.index.entry(root, name)
        return self.read(entry) if entry is not None and entry.live else None

    def recall(self, root: str, name: str) -> Json | None:
        """`value`, where it is asked for again and again; it is not to be changed. Raises PageBroken."""
        entry = self.index.entry(root, name)
        return self.document.recall(entry.leaf()) if entry is not None and entry.live else None

    def exceeds(self, more: int, limit: int) -> bool:
        """Whether the state would outgrow `limit` bytes, give or take a hundredth.

        The sum of all updates is an upper bound of the state; only where that is too much is the state
        looked at, and again after another hundredth: on a full page every update would cost it else.
        """
        if self._size + more > limit and self._grown * 100 >= limit:
            self._size = len(self.state())
            self._grown = 0
        return self._size + more > limit
