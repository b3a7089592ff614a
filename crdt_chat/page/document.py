"""The Y.Doc itself, behind the few verbs that the gate needs: the only module that touches pycrdt.

yrs panics with a BaseException on some inputs, and a document that has panicked must never be touched
again: whatever comes out of it becomes PageBroken here (design 4).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pycrdt

from crdt_chat.errors import PageBroken
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.verdict import Json

_ABSENT: Final = object()


@contextmanager
def _guarded() -> Iterator[None]:
    """Turn whatever the library throws into PageBroken."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
            raise
        raise PageBroken("the document failed and must be rebuilt") from error


class Document:
    """One Y.Doc with the root maps of the layout."""

    __slots__ = ("_doc", "_maps")

    def __init__(self) -> None:
        with _guarded():
            self._doc: pycrdt.Doc[Any] = pycrdt.Doc()
            self._maps: Mapping[str, pycrdt.Map[Any]] = {
                root: self._doc.get(root, type=pycrdt.Map) for root in ROOTS
            }

    def apply(self, *updates: bytes) -> None:
        """Integrate canonical updates, in one transaction. Raises PageBroken."""
        with _guarded():
            if len(updates) == 1:
                self._doc.apply_update(updates[0])
                return
            with self._doc.transaction():
                for update in updates:
                    self._doc.apply_update(update)

    def state(self) -> bytes:
        """The whole document as one update. Raises PageBroken."""
        with _guarded():
            return self._doc.get_update()

    def since(self, state_vector: bytes) -> bytes:
        """What a peer with this (trusted) state vector lacks. Raises PageBroken."""
        with _guarded():
            return self._doc.get_update(state_vector)

    def read(self, root: str, name: str) -> Json | None:
        """The value of an entry as JSON, None if it is absent. Raises PageBroken."""
        with _guarded():
            return as_json(self._maps[root].get(name))

    def holds(self, root: str, name: str, value: Json | None) -> bool:
        """Whether the entry has exactly this value (None: is absent). Raises PageBroken."""
        with _guarded():
            found = self._maps[root].get(name, _ABSENT)
            return found is _ABSENT if value is None else bool(found == value)

    def items(self, root: str) -> list[tuple[str, Json]]:
        """All entries of a root map. Raises PageBroken."""
        with _guarded():
            return [(name, as_json(value)) for name, value in self._maps[root].items()]


def as_json(value: Any) -> Json:  # noqa: ANN401 -- what the library gives is not typed
    """The same value with integral floats as integers: Yjs numbers may come back as either."""
    kind = type(value)
    if kind is float:
        whole = value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER
        return int(value) if whole else value
    if kind is dict:
        return {name: as_json(each) for name, each in value.items()}
    if kind is list:
        return [as_json(each) for each in value]
    return value
