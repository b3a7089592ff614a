"""Erasing on a page that can't be read, and by who may not."""

import sqlite3
from contextlib import closing

import pytest
from kept import annotation, entry

from crdt_chat.config import Config
from crdt_chat.errors import Forbidden, Malformed, NotFound, TryLater
from crdt_chat.server.admin.administration import Caller
from crdt_chat.server.app import build
from crdt_chat.server.privacy.erasure import Wanted
from store import open_store
from store.records import PageCommit

pytestmark = pytest.mark.anyio
OPERATOR = Caller("op", "here")
SECRET = "an unforgettable quote"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def app(tmp_path):
    store = open_store(tmp_path / "chat.db")
    rows = {"projected": [annotation("a", SECRET)], "owners": [(7, "ada")]}
    await store.commit([PageCommit("open", "p", 0, [entry("no update at all")], **rows)])
    await store.close()
    with closing(sqlite3.connect(tmp_path / "chat.db")) as db, db:
        db.execute("UPDATE log SET data = x'00'")
    store = open_store(tmp_path / "chat.db")
    async with build(Config(open_tenants=("open",)), store) as running:
        yield running
    await store.close()


async def test_a_damaged_page_is_erased_as_a_whole_or_not_at_all(app, tmp_path):
    for wanted in (Wanted(user="ada"), Wanted(page="p", entity="a")):
        with pytest.raises(TryLater):
            await app.erasure.erase(OPERATOR, "open", wanted)
    assert SECRET.encode() in (tmp_path / "chat.db").read_bytes()
    assert (await app.erasure.erase(OPERATOR, "open", Wanted(page="p")))["pages"] == 1
    stored = await app.services.store.load("open", "p")
    assert (stored.epoch, stored.retired) == (2, [7])
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
    assert (await app.services.store.integrity()).problems == []


async def test_nothing_is_erased_where_the_log_cannot_be_written(app, tmp_path):
    (tmp_path / "chat.db.erasures").mkdir()
    with pytest.raises(TryLater, match="log of erasures"):
        await app.erasure.erase(OPERATOR, "open", Wanted(page="p"))
    assert SECRET.encode() in (tmp_path / "chat.db").read_bytes()


async def test_who_may_not_and_what_is_not_there(app):
    with pytest.raises(Forbidden):
        await app.erasure.erase(Caller("eve", "", "other"), "open", Wanted(page="p"))
    for tenant, page in (("nobody", "p"), ("open", "nothing")):
        with pytest.raises(NotFound):
            await app.erasure.erase(OPERATOR, tenant, Wanted(page=page))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"user": ""},
        {"user": 7},
        {"user": "a", "page": "p"},
        {"user": "a", "annotation": "b"},
        {"annotation": "b"},
        {"page": ""},
        {"page": "p", "annotation": "a/b/c"},
        {"page": "p", "everything": True},
    ],
)
def test_what_is_no_erasure_is_a_mistake(said):
    with pytest.raises(Malformed):
        Wanted.parse(said)
