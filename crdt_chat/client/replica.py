"""This peer's copy of the document: a pycrdt Doc, its mirror, and the bytes of a local write.

Used from one thread only: a second thread that enters a transaction silently joins the first one's.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pycrdt

from crdt_chat.client.mirror import Mirror
from crdt_chat.errors import CrdtChatError
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.verdict import Change, Json

Operation = tuple[str, str, Json]
"""root, name, value; None removes the key."""

NOTHING = b"\x00\x00"
"""The update that says nothing."""


class ReplicaBroken(CrdtChatError):
    """The document could not take an update: drop it and start anew from the server's state."""


class Replica:
    """One Y.Doc and what it holds. A document that was refused is dropped, never mended."""

    def __init__(self) -> None:
        self.doc: pycrdt.Doc[Any] = pycrdt.Doc()
        self.mirror = Mirror()
        self._touched: dict[tuple[str, str], Json] = {}
        self._update = b""
        self._maps: dict[str, pycrdt.Map[Any]] = {}
        # A subscription ends silently when nobody holds it any more.
        self._subscriptions = [self.doc.observe(self._after_transaction)]
        for root in ROOTS:
            values: pycrdt.Map[Any] = self.doc.get(root, type=pycrdt.Map)
            self._maps[root] = values
            self._subscriptions.append(values.observe(self._touch_in(root)))

    @property
    def client(self) -> int:
        """The Yjs client id of this document."""
        return self.doc.client_id

    def write(self, operations: Iterable[Operation]) -> tuple[bytes, list[Change]]:
        """Make these operations in one transaction. Returns its update, and what it changed.

        Removing what is not there is nothing; the update of nothing is empty.
        """
        self._update = b""
        with self.doc.transaction():
            for root, name, value in operations:
                values = self._maps[root]
                if value is not None:
                    values[name] = value
                elif name in values:
                    del values[name]
        return self._update, self._changes()

    def apply(self, update: bytes) -> list[Change]:
        """Take an update from the server. Returns what it changed; raises ReplicaBroken."""
        try:
            self.doc.apply_update(update)
        except (ValueError, RuntimeError) as error:
            raise ReplicaBroken("an update that cannot be applied") from error
        except BaseException as error:
            # A panic of yrs is a BaseException; the document must not be touched after it.
            if type(error).__name__ != "PanicException":
                raise
            raise ReplicaBroken("the document broke over an update") from error
        return self._changes()

    def state_vector(self) -> bytes:
        """What this document has, for a step 1."""
        return self.doc.get_state()

    def diff(self, state_vector: bytes) -> bytes:
        """What a peer with this state vector lacks, for a step 2. Raises ReplicaBroken."""
        try:
            return self.doc.get_update(state_vector)
        except (ValueError, RuntimeError) as error:
            raise ReplicaBroken("a state vector that cannot be read") from error

    def _changes(self) -> list[Change]:
        touched, self._touched = self._touched, {}
        found = (self.mirror.apply(root, name, value) for (root, name), value in touched.items())
        return [change for change in found if change is not None]

    def _after_transaction(self, event: pycrdt.TransactionEvent) -> None:
        self._update = event.update

    def _touch_in(self, root: str) -> Any:
        def touch(event: Any) -> None:
            for name, how in event.keys.items():
                self._touched[root, name] = plain(how.get("newValue"))

        return touch


def plain(value: Json) -> Json:
    """A JSON value with whole numbers as int: they come back from the document as floats."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def merged(updates: Sequence[bytes]) -> bytes:
    """Several updates of this peer as one."""
    return updates[0] if len(updates) == 1 else pycrdt.merge_updates(*updates)
