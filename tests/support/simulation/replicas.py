"""What the simulation asks of a replica, and the one that is a pycrdt Doc with a stock Provider."""

import json
from collections.abc import Sequence
from typing import Protocol

from contents import Content
from pycrdt import Doc, Map, TransactionEvent
from yjs_peer import Operation, YjsPeers, YjsReplica

ROOTS = ("annotations", "comments", "resolved", "reactions", "deleted", "closed", "page")
NOTHING = b"\x00\x00"


class Replica(Protocol):
    """One copy of the page in somebody's hands, without a network."""

    @property
    def client(self) -> int:
        """Its Yjs client id."""

    def transact(self, operations: Sequence[Operation], *, tracked: bool = True) -> list[bytes]:
        """Write in one transaction; returns what its provider sends."""

    def undo(self) -> list[bytes]:
        """Take back the last tracked transaction; returns what its provider sends."""

    def redo(self) -> list[bytes]:
        """Take back the last undo; returns what its provider sends."""

    def receive(self, update: bytes) -> list[bytes]:
        """Apply what came from the server; returns what its provider sends in answer."""

    def state_vector(self) -> bytes:
        """What its step 1 says."""

    def step2(self, state_vector: bytes | None = None) -> bytes:
        """What it sends in answer to a step 1."""

    def content(self) -> Content:
        """All live entries by root."""

    def pending(self) -> bool:
        """Whether anything waits for what has not come."""

    def drop(self) -> None:
        """Forget it."""


class YjsTab:
    """A yjs replica under Node; `gc` false keeps the content of what was overwritten."""

    def __init__(self, peers: YjsPeers, name: str, client: int, *, gc: bool, undo: bool) -> None:
        self._replica: YjsReplica = peers.replica(name, gc=gc, client=client, undo=undo)
        self.client = client
        self.transact = self._replica.transact
        self.undo = self._replica.undo
        self.redo = self._replica.redo
        self.state_vector = self._replica.state_vector
        self.step2 = self._replica.step2
        self.pending = self._replica.pending

    def content(self) -> Content:
        return self._replica.content()

    def receive(self, update: bytes) -> list[bytes]:
        self._replica.apply(update)
        return []

    def drop(self) -> None:
        self._replica.drop()


class PycrdtPeer:
    """A pycrdt Doc whose Provider sends every change it sees, the server's own included."""

    def __init__(self, client: int, *, gc: bool, echoes: bool) -> None:
        self.client = client
        self._doc: Doc[Map[object]] = Doc(client_id=client, skip_gc=not gc)
        self._sent: list[bytes] = []
        self._echoes = echoes
        self._subscription = self._doc.observe(self._observe)

    def _observe(self, event: TransactionEvent) -> None:
        if event.update != NOTHING:
            self._sent.append(event.update)

    def _take(self) -> list[bytes]:
        sent, self._sent = self._sent, []
        return sent

    def transact(self, operations: Sequence[Operation], *, tracked: bool = True) -> list[bytes]:
        with self._doc.transaction():
            for operation in operations:
                entries = self._doc.get(operation[1], type=Map)
                if operation[0] == "set":
                    entries[operation[2]] = operation[3]
                elif operation[2] in entries:
                    del entries[operation[2]]
        return self._take()

    def undo(self) -> list[bytes]:
        return []  # a program takes back what it did by doing something else

    redo = undo

    def receive(self, update: bytes) -> list[bytes]:
        self._doc.apply_update(update)
        echoed = self._take()
        return echoed if self._echoes else []

    def state_vector(self) -> bytes:
        return self._doc.get_state()

    def step2(self, state_vector: bytes | None = None) -> bytes:
        return self._doc.get_update(state_vector)

    def content(self) -> Content:
        found = {root: json.loads(str(self._doc.get(root, type=Map))) for root in ROOTS}
        return {root: entries for root, entries in found.items() if entries}

    def pending(self) -> bool:
        return False  # yrs integrates what is there: content alone can tell

    def drop(self) -> None:
        self._doc.unobserve(self._subscription)
