"""Questions to the read model: the pages of a tenant, full text search, usage."""

import json
import sqlite3
import unicodedata
from typing import Any

from store import readmodel, words
from store.records import Hit, ListedPage, UsageRow

_PAGES = """
SELECT name, updated, seq, epoch,
    (SELECT value FROM fact WHERE page = page.id AND root = 'page' AND name = 'title'),
    (SELECT count(*) FROM annotation WHERE page = page.id),
    (SELECT count(*) FROM comment WHERE page = page.id)
FROM page WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?
"""
# `0` is the character after `/`: the entries of a thread are one range of the primary key.
_VISIBLE = """NOT EXISTS (SELECT 1 FROM deleted WHERE page = said.page AND comment IS NULL
    AND name > said.annotation || '/' AND name < said.annotation || '0')"""
_SAID = {
    "comment": "SELECT id, page, annotation, comment, body AS text, value, creator, created "
    "FROM comment",
    "annotation": "SELECT id, page, name AS annotation, NULL AS comment, "
    "quote || coalesce(' ' || title, '') AS text, value, creator, created FROM annotation",
}
TABLE_ROOTS = {table: root for root, table in readmodel.TABLES.items()}
_HIT = """
SELECT page.name, said.annotation, said.comment, said.creator, said.created, said.value
FROM ({said}) AS said JOIN page ON page.id = said.page {join}
WHERE page.tenant = :tenant AND (:page IS NULL OR page.name = :page) AND {match} AND {visible}
ORDER BY {order} LIMIT :limit
"""

_INSIDE = {
    "join": "",
    "match": "instr(lower(said.text), lower(:text)) > 0",
    "order": "said.id DESC",
}
_INDEXED = {
    "join": "JOIN {table}_fts ON {table}_fts.rowid = said.id",
    "match": "{table}_fts MATCH :text",
    "order": "rank, said.id DESC",
}
_YOUNG = {
    "join": "",
    "match": "said.id IN (SELECT value FROM json_each(:ids))",
    "order": "said.id DESC",
}
"""Three ways to find texts: somewhere inside, by the index, and among those not indexed yet."""


def pages(db: sqlite3.Connection, tenant: str, after: str, limit: int) -> list[ListedPage]:
    """The tenant's pages by name, those after `after`, at most `limit`."""
    found = []
    for name, updated, seq, epoch, title, *counts in db.execute(_PAGES, (tenant, after, limit)):
        found.append(ListedPage(name, _text(title), updated, seq, epoch, *counts))
    return found


def _text(value: str | None) -> str | None:
    parsed: Any = None if value is None else json.loads(value)
    return parsed if isinstance(parsed, str) else None


def search(
    db: sqlite3.Connection, tenant: str, text: str, page: str | None, limit: int
) -> list[Hit]:
    """Where all words of `text` stand, best first, comments before quotes; at most `limit`."""
    given = text.split()
    if not given or limit <= 0:
        return []
    inside = any(_without_spaces(character) for character in text)
    wanted = text.strip() if inside else " ".join(f'"{word}"*' for word in map(_quoted, given))
    parameters: dict[str, str | int | None] = {"text": wanted, "tenant": tenant, "page": page}
    found: list[Hit] = []
    for table, said in _SAID.items():
        for way in (_INSIDE,) if inside else (_INDEXED, _YOUNG):
            if way is _YOUNG:
                parameters["ids"] = json.dumps(words.unindexed(db, table, wanted))
            query = _HIT.format(said=said, visible=_VISIBLE, **way).replace("{table}", table)
            rows = db.execute(query, parameters | {"limit": limit - len(found)})
            for name, annotation, comment, creator, created, value in rows:
                whole = readmodel.text(TABLE_ROOTS[table], value)
                found.append(Hit(name, annotation, comment, creator or "", created or 0, whole))
    return found


def _quoted(word: str) -> str:
    """A word inside a quoted FTS5 string: https://www.sqlite.org/fts5.html#fts5_strings"""
    return word.replace('"', '""').replace("\0", "")


def _without_spaces(character: str) -> bool:
    """Whether this script sets no spaces between words: the index cannot find words in it."""
    if character < "\u0e00":
        return False
    name = unicodedata.name(character, "")
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"))


def usage(db: sqlite3.Connection, tenant: str, first_day: int, last_day: int) -> list[UsageRow]:
    """The tenant's counters of these days, in order."""
    query = (
        "SELECT day, page, metric, amount FROM usage WHERE tenant = ? AND day BETWEEN ? AND ? "
        "ORDER BY day, page, metric"
    )
    return [UsageRow(*row) for row in db.execute(query, (tenant, first_day, last_day))]
