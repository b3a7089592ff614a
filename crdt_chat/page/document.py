"""The Y.Doc itself, behind the few verbs that the gate needs: the only module that touches pycrdt.

yrs panics with a BaseException on some inputs, and a document that has panicked must never be touched
again: whatever comes out of it becomes PageBroken here (design 4). pycrdt's inner classes are used, not
their wrappers: these cost 5 us for each entry that is read and 6 KiB for each open page.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar

from pycrdt._pycrdt import Doc, Map, Transaction

from crdt_chat.errors import PageBroken
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.verdict import Json

P = ParamSpec("P")
T = TypeVar("T")

Expected: TypeAlias = tuple[str, str, bool, Json]
"""Root and name of an entry, whether it must be there now, and its value (None: not looked at)."""

NOTHING: Final = b"\x00"
"""The state vector of who has nothing."""

_FAILED: Final = "the document has failed and must be rebuilt"


def _guarded(
    verb: Callable[Concatenate["Document", P], T],
) -> Callable[Concatenate["Document", P], T]:
    """Let whatever goes wrong within a verb leave the document broken for good."""

    @wraps(verb)
    def guard(self: "Document", /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._broken:
            raise PageBroken(_FAILED)
        self._broken = True
        try:
            if self._folded is not None:
                self._unfold(self._folded)
            result = verb(self, *args, **kwargs)
        except (PageBroken, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise PageBroken(_FAILED) from error
        self._broken = False
        return result

    return guard


class Document:
    """One Y.Doc. Every verb raises PageBroken if the library fails, and always after that.

    Folded it is its encoded state only, a sixth of the memory: the next verb unfolds it, in 0.2 ms for
    50 annotations.
    """

    __slots__ = ("_broken", "_doc", "_folded", "_maps")

    def __init__(self) -> None:
        self._broken = False
        self._maps: dict[str, Map] = {}
        self._folded: bytes | None = None
        # The id of the Y.Doc is never written: the gate encodes all structs itself.
        self._doc = Doc(0, None, None)

    @property
    def broken(self) -> bool:
        """Whether it has failed before."""
        return self._broken

    @_guarded
    def apply(self, updates: Iterable[bytes]) -> None:
        """Integrate trusted updates, each in its transaction."""
        for update in updates:
            transaction = self._doc.create_transaction()
            self._doc.apply_update(transaction, update)
            transaction.drop()

    @_guarded
    def carry_out(self, update: bytes, expected: Iterable[Expected]) -> None:
        """Integrate a canonical update and read the touched keys back, so that Yjs decides who won."""
        transaction = self._doc.create_transaction()
        self._doc.apply_update(transaction, update)
        for root, name, lives, value in expected:
            entries = self._map(transaction, root)
            if value is None:
                right = entries.has(transaction, name) is lives
            else:
                right = entries.get(transaction, name) == value
            if not right:
                raise PageBroken(f"Yjs decided otherwise about {root}/{name}")
        transaction.drop()

    def fold(self) -> None:
        """Keep only the encoded state until somebody needs more."""
        if self._folded is None:
            state = self.state()
            self._maps = {}
            del self._doc
            self._folded = state

    @property
    def folded(self) -> bool:
        """Whether there is only the encoded state."""
        return self._folded is not None

    def _unfold(self, state: bytes) -> None:
        self._doc = Doc(0, None, None)
        self._folded = None
        transaction = self._doc.create_transaction()
        self._doc.apply_update(transaction, state)
        transaction.drop()

    def since(self, state_vector: bytes) -> bytes:
        """What a peer with this state vector, which is trusted, lacks."""
        if self._folded is not None and state_vector == NOTHING:
            return self._folded
        return self._since(state_vector)

    @_guarded
    def _since(self, state_vector: bytes) -> bytes:
        transaction = self._doc.create_transaction()
        update = self._doc.get_update(transaction, state_vector)
        transaction.drop()
        return update

    def state(self) -> bytes:
        """The whole document as one update."""
        return self.since(NOTHING)

    @_guarded
    def read(self, root: str, name: str) -> Json:
        """The value of an entry that is there, as JSON."""
        transaction = self._doc.create_transaction()
        value = as_json(self._map(transaction, root).get(transaction, name))
        transaction.drop()
        return value

    @_guarded
    def names(self, root: str) -> list[str]:
        """The names of all entries of a root map."""
        transaction = self._doc.create_transaction()
        entries: Any = self._map(transaction, root)  # its stubs lack `keys`
        names: list[str] = entries.keys(transaction)
        transaction.drop()
        return names

    def items(self, root: str) -> dict[str, Json]:
        """All entries of a root map: read one by one, all at once would hold the interpreter for long."""
        return {name: self.read(root, name) for name in self.names(root)}

    def _map(self, transaction: Transaction, root: str) -> Map:
        """This root map, made at its first use: an open page costs less so."""
        found = self._maps.get(root)
        if found is None:
            found = self._maps[root] = self._doc.get_or_insert_map(transaction, root)
        return found


def as_json(value: Any) -> Json:
    """This value with integral floats as integers: Yjs numbers may come back as either."""
    kind = type(value)
    if kind is float:
        whole = value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER
        return int(value) if whole else value
    if kind is dict:
        for name, each in value.items():
            if type(each) is not str:
                value[name] = as_json(each)
    elif kind is list:
        value[:] = map(as_json, value)
    return value
