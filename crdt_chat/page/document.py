"""The Y.Doc itself, behind the few verbs that the gate needs: the only module that touches pycrdt.

yrs panics with a BaseException on some inputs, and a document that has panicked must never be touched
again: whatever comes out of it becomes PageBroken here (design 4). pycrdt's inner classes are used, not
their wrappers: these cost 5 us for each entry that is read and 6 KiB for each open page.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from pycrdt._pycrdt import Doc, Map, Transaction

from crdt_chat.errors import PageBroken
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.verdict import Json

Expected: TypeAlias = tuple[str, str, bool, Json]
"""Root and name of an entry, whether it must be there now, and its value (None: not looked at)."""

_FAILED: Final = "the document has failed and must be rebuilt"


class Document:
    """One Y.Doc. Every method raises PageBroken if the library fails, and always after that."""

    __slots__ = ("_broken", "_doc", "_maps")

    def __init__(self) -> None:
        self._broken = False
        self._maps: dict[str, Map] = {}
        # The id of the Y.Doc is never written: the gate encodes all structs itself.
        self._doc = Doc(0, None, None)

    def apply(self, updates: Sequence[bytes]) -> None:
        """Integrate trusted updates, in one transaction."""
        with self._transaction() as transaction:
            for update in updates:
                self._doc.apply_update(transaction, update)

    def carry_out(self, update: bytes, expected: Iterable[Expected]) -> None:
        """Integrate a canonical update and read the touched keys back, so that Yjs decides who won."""
        with self._transaction() as transaction:
            self._doc.apply_update(transaction, update)
            for root, name, lives, value in expected:
                entries = self._map(transaction, root)
                right = entries.has(transaction, name) is lives
                if right and value is not None:
                    right = entries.get(transaction, name) == value
                if not right:
                    raise PageBroken(f"Yjs decided otherwise about {root}/{name}")

    def state(self) -> bytes:
        """The whole document as one update."""
        return self.since(b"\x00")

    def since(self, state_vector: bytes) -> bytes:
        """What a peer with this state vector, which is trusted, lacks."""
        with self._transaction() as transaction:
            return self._doc.get_update(transaction, state_vector)

    def read(self, root: str, name: str) -> Json:
        """The value of an entry that is there, as JSON."""
        with self._transaction() as transaction:
            return as_json(self._map(transaction, root).get(transaction, name))

    def items(self, root: str) -> dict[str, Json]:
        """All entries of a root map."""
        with self._transaction() as transaction:
            found: dict[str, Json] = json.loads(self._map(transaction, root).to_json(transaction))
            return found

    def _map(self, transaction: Transaction, root: str) -> Map:
        """This root map, made at its first use: an open page costs less so."""
        found = self._maps.get(root)
        if found is None:
            found = self._maps[root] = self._doc.get_or_insert_map(transaction, root)
        return found

    def _transaction(self) -> "_Guard":
        return _Guard(self)


class _Guard:
    """A transaction; whatever goes wrong within leaves the document broken for good."""

    __slots__ = ("_document", "_inner")

    def __init__(self, document: Document) -> None:
        if document._broken:
            raise PageBroken(_FAILED)
        document._broken = True
        self._document = document
        try:
            self._inner = document._doc.create_transaction()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise PageBroken(_FAILED) from error

    def __enter__(self) -> Transaction:
        return self._inner

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        try:
            self._inner.drop()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:
            raise PageBroken(_FAILED) from failure
        if error is None:
            self._document._broken = False
        elif not isinstance(error, (PageBroken, KeyboardInterrupt, SystemExit)):
            raise PageBroken(_FAILED) from error


def as_json(value: Any) -> Json:
    """The same value with integral floats as integers: Yjs numbers may come back as either."""
    kind = type(value)
    if kind is str:
        return value
    if kind is float:
        whole = value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER
        return int(value) if whole else value
    if kind is dict:
        return {name: as_json(each) for name, each in value.items()}
    if kind is list:
        return [as_json(each) for each in value]
    return value
