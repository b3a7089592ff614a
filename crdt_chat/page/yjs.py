"""What Yjs makes of a state, asked before the rows that it replaces go: the only module that touches pycrdt.

yrs panics with a BaseException on some inputs; whatever comes out of it becomes PageBroken here. It keeps
Python's lock while it works, about a microsecond for each struct, so what is big is given to it in pieces.
pycrdt's inner classes are used, not their wrappers: these cost 5 us for each entry that is read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from crdt_chat.errors import PageBroken
from crdt_chat.page.dropping import empty
from crdt_chat.page.layout import ROOTS
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.order import integration_order
from crdt_chat.page.skipping import skip_any
from crdt_chat.page.update import Ranges, Struct, decode, encode
from crdt_chat.page.verdict import Json

if TYPE_CHECKING:
    from pycrdt._pycrdt import Doc

STRUCTS: Final = 1_000
"""Structs, or deleted clocks, of one piece: 10 ms or so."""

PARTS: Final = 128
"""Into how many parts a range of deleted clocks is split at most: Gcs may be of any length."""


def shown(state: bytes) -> Iterator[tuple[str, str, Json]]:
    """Root, name and value of every entry that Yjs shows of a state, one at a time.

    Raises PageBroken if the library fails.
    """
    # Loaded when it is needed: a server that starts does without.
    from pycrdt._pycrdt import Doc

    update = decode(state, skip_any)
    structs, deleted = update.structs, update.deleted
    everything = {client: [(0, _end(run))] for client, run in structs.items()}
    try:
        doc = Doc(0, None, None)
        _tell(doc, pieces(structs, deleted))
        empty(structs)
        transaction = doc.create_transaction()
        for root in ROOTS:
            entries: Any = doc.get_or_insert_map(transaction, root)  # its stubs lack `keys`
            for name in entries.keys(transaction):
                yield root, name, as_json(entries.get(transaction, name))
        transaction.drop()
        # To let go of all values in one call would hold the interpreter: 80 ms for 60,000 of them.
        _tell(doc, pieces({}, everything))
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise PageBroken("Yjs failed on the page's state") from error


def _tell(doc: "Doc", updates: Iterable[bytes]) -> None:
    for update in updates:
        transaction = doc.create_transaction()
        doc.apply_update(transaction, update)
        transaction.drop()


def _end(run: Sequence[Struct]) -> int:
    return run[-1].clock + run[-1].length


def pieces(structs: Mapping[int, Sequence[Struct]], deleted: Ranges) -> Iterator[bytes]:
    """Updates that say the same one after the other, each complete without the later ones.

    Arguments as `encode`. Raises Malformed for structs that wait for each other in a circle.
    """
    ordered = integration_order(structs) if structs else ()
    for start in range(0, len(ordered), STRUCTS):
        piece: dict[int, list[Struct]] = {}
        for struct in ordered[start : start + STRUCTS]:
            piece.setdefault(struct.client, []).append(struct)
        yield encode(piece, {})
    for ranges in _deletions(deleted):
        yield encode({}, ranges)


def _deletions(deleted: Ranges) -> Iterator[Ranges]:
    """The delete set in parts of about so many clocks; a range of very many has few structs for them."""
    part: Ranges = {}
    size = 0
    for client, ranges in deleted.items():
        for first, end in ranges:
            step = max(STRUCTS, (end - first) // PARTS)
            for start in range(first, end, step):
                stop = min(end, start + step)
                part.setdefault(client, []).append((start, stop))
                size += stop - start
                if size >= STRUCTS:
                    yield part
                    part, size = {}, 0
    if part:
        yield part


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
