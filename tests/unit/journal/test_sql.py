"""The SQL that docs/storage.md shows runs as it is on a store's file and finds what it says."""

import json
import re
from pathlib import Path

import pytest
from kept import annotation, comment, commit

import store
from store import schema
from store.records import Projected

pytestmark = pytest.mark.anyio
PAGE = Path(store.__file__).parents[1] / "docs" / "storage.md"
QUERIES = re.findall(r"```sql\n-- (.*?)\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[title for title, _ in QUERIES])
async def test_what_the_page_shows_runs(path, kept, title, query):
    done = Projected("resolved", "b", json.dumps({"by": "ada", "at": 1, "resolved": True}))
    said = [annotation("a", "quoted"), annotation("b"), comment("a/1", "one fox"), done]
    await kept.commit([commit(0, "one", "two", page="p", tenant="demo", projected=said)])
    # The index follows when the writer is idle, or here, before a search.
    await kept.search("demo", "fox")
    db = schema.connect(path, readonly=True)
    rows = db.execute(query).fetchall()
    db.close()
    found = {
        "The ten most discussed pages of a tenant": [("p", 1)],
        "Threads nobody has resolved yet, oldest first": [
            ("p", "a", "quoted", "2023-11-14 22:13:20")
        ],
        "Full text: https://www.sqlite.org/fts5.html": [("p", "a", "one fox")],
        "Who wrote how much, by day": [("2023-11-14", "ada", 2, 6)],
    }
    assert rows == found[title]


def test_every_table_is_in_the_page(kept_tables):
    told = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    assert kept_tables <= told


@pytest.fixture
async def kept_tables(path, kept):
    db = schema.connect(path, readonly=True)
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite_%'"
    names = {name for (name,) in db.execute(query)}
    db.close()
    return {name for name in names if not re.search(r"_fts_\w+$", name)}
