"""The read model: what the pages say now, as plain SQL tables with a full text index.

Filled in the transaction that appends the update. Each row keeps the key's whole value as JSON;
what SQL wants to ask for are columns beside it, most of them generated from that JSON.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import unquote

import orjson

from store.checksums import fields_crc
from store.records import Projected

Columns = tuple[str | None, ...]


def quote(value: str) -> str:
    """The exact text of an annotation's TextQuoteSelector, empty if it has none.

    https://www.w3.org/TR/annotation-model/#text-quote-selector
    """
    selectors = orjson.loads(value).get("target", {}).get("selector", ())
    quotes = (s.get("exact") for s in selectors if s.get("type") == "TextQuoteSelector")
    return next((quote for quote in quotes if isinstance(quote, str)), "")


def text(root: str, value: str) -> str:
    """What people can read in a comment or an annotation: its body, or its quote and title.

    From the JSON: SQLite's own columns end at a character U+0000.
    """
    if root == "annotations":
        title = orjson.loads(value).get("title")
        return f"{quote(value)} {title}" if isinstance(title, str) else quote(value)
    body = orjson.loads(value).get("body")
    return body if isinstance(body, str) else ""


def _annotation(_name: str, value: str) -> Columns:
    return (quote(value),)


def _comment(name: str, _value: str) -> Columns:
    annotation, _, comment = name.partition("/")
    return annotation, comment


def _reaction(name: str, _value: str) -> Columns:
    annotation, comment, emoji, user = name.split("/")
    return annotation, comment, emoji, unquote(user)


def _nothing(_name: str, _value: str) -> Columns:
    return ()


def _deleted(name: str, _value: str) -> Columns:
    parts = name.split("/")
    return parts[0], parts[1] if len(parts) == 3 else None, unquote(parts[-1])


_DERIVED: dict[str, tuple[tuple[str, ...], Callable[[str, str], Columns]]] = {
    "annotations": (("quote",), _annotation),
    "comments": (("annotation", "comment"), _comment),
    "reactions": (("annotation", "comment", "emoji", "user"), _reaction),
    "resolved": ((), _nothing),
    "deleted": (("annotation", "comment", "user"), _deleted),
}
TABLES = {
    "annotations": "annotation",
    "comments": "comment",
    "reactions": "reaction",
    "resolved": "resolved",
    "deleted": "deleted",
}
"""Root of the document -> table; every other root goes to `fact`."""


def _upsert(table: str, columns: tuple[str, ...]) -> str:
    every = ("page", "name", "value", "crc", *columns)
    sets = ", ".join(f"{column} = excluded.{column}" for column in ("value", "crc", *columns))
    return (
        f"INSERT INTO {table} ({', '.join(every)}) VALUES ({','.join('?' * len(every))}) "  # noqa: S608
        f"ON CONFLICT (page, name) DO UPDATE SET {sets}"
    )


_UPSERT = {root: _upsert(TABLES[root], columns) for root, (columns, _) in _DERIVED.items()}
_FACT = (
    "INSERT INTO fact (page, root, name, value, crc) VALUES (?,?,?,?,?) "
    "ON CONFLICT (page, root, name) DO UPDATE SET value = excluded.value, crc = excluded.crc"
)


def apply(db: sqlite3.Connection, parts: Iterable[tuple[int, Sequence[Projected]]]) -> None:
    """Bring these keys of these pages (by page id) up to date; of one key the last word counts.

    Raises ValueError for a name or value that its table cannot take: the page's commit fails.
    """
    last = {(page, key.root, key.name): key.value for page, keys in parts for key in keys}
    statements: dict[str, list[tuple[str | int | None, ...]]] = {}
    for (page, root, name), value in last.items():
        statement, parameters = _statement(page, root, name, value)
        statements.setdefault(statement, []).append(parameters)
    for statement, rows_of_it in statements.items():
        db.executemany(statement, rows_of_it)


def check(projected: Projected) -> None:
    """Raise what `apply` would raise for this key: ValueError, AttributeError."""
    if projected.value is not None:
        fields_crc(projected.root, projected.name, projected.value)
        if projected.root in TABLES:
            _DERIVED[projected.root][1](projected.name, projected.value)


def _statement(
    page: int, root: str, name: str, value: str | None
) -> tuple[str, tuple[str | int | None, ...]]:
    table = TABLES.get(root)
    if value is None and table is None:
        return "DELETE FROM fact WHERE page = ? AND root = ? AND name = ?", (page, root, name)
    if value is None:
        return f"DELETE FROM {table} WHERE page = ? AND name = ?", (page, name)  # noqa: S608
    if table is None:
        return _FACT, (page, root, name, value, fields_crc(root, name, value))
    derived = _DERIVED[root][1](name, value)
    crc = fields_crc(root, name, value, *derived)
    return _UPSERT[root], (page, name, value, crc, *derived)


def clear(db: sqlite3.Connection, page: int) -> None:
    """Remove the page from the read model."""
    for table in (*TABLES.values(), "fact"):
        db.execute(f"DELETE FROM {table} WHERE page = ?", (page,))  # noqa: S608


def rows(db: sqlite3.Connection, page: int) -> Iterator[tuple[str, str, str, bool]]:
    """Every key of the page: root, name, value as JSON text, and whether its row verifies."""
    for root, table in TABLES.items():
        columns = ", ".join(("crc", "name", "value", *_DERIVED[root][0]))
        query = f"SELECT {columns} FROM {table} WHERE page = ?"  # noqa: S608
        for crc, name, value, *derived in db.execute(query, (page,)):
            yield root, name, value, crc == fields_crc(root, name, value, *derived)
    query = "SELECT root, name, value, crc FROM fact WHERE page = ?"
    for root, name, value, crc in db.execute(query, (page,)):
        yield root, name, value, crc == fields_crc(root, name, value)


def pages_with(db: sqlite3.Connection, tenant: str, root: str, name: str) -> list[str]:
    """The names of the tenant's pages on which this key is there; one index seek per page."""
    query = (
        f"SELECT page.name FROM page JOIN {TABLES[root]} AS entry "  # noqa: S608
        "ON entry.page = page.id AND entry.name = ? WHERE page.tenant = ? ORDER BY page.name"
    )
    return [found for (found,) in db.execute(query, (name, tenant))]
