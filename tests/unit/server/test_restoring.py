"""A backup in the place of a database: what is taken over from it, and what without it."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import anyio
import pytest
from kept import annotation, entry
from sqlite_utils import Database

from crdt_chat.config import Config
from crdt_chat.page.erasure import whole
from crdt_chat.server.privacy.erasure_log import (
    ENTITY,
    NAMES,
    PAGE,
    USER,
    Erased,
    ErasureLog,
    digest,
    path_of,
)
from crdt_chat.server.restoring import LEAP, restore
from store import open_store, schema
from store.errors import Locked, NotAStore
from store.records import PageCommit, Rewrite
from store.tenants import AuditEntry, RevocationRow

VALUE = {"creator": "ada", "created": 1, "target": {"selector": []}}
STATE = whole({("annotations", "a"): VALUE}, 70_000)


def page(name, client=70_000):
    first = entry()
    first = type(first)(first.origin, first.actor, first.connection, first.at, STATE)
    rows = {"entities": [("a", "ada", 1)], "projected": [annotation("a")]}
    return PageCommit("open", name, 0, [first], owners=[(client, "ada")], **rows)


async def written(db, *pages):
    store = open_store(db)
    assert all(hasattr(one, "seq") for one in await store.commit(pages))
    return store


async def look(db, name):
    store = open_store(db)
    found = await store.load("open", name)
    await store.close()
    return found


@pytest.fixture
def config(tmp_path):
    return Config(db=tmp_path / "chat.db", open_tenants=("open",))


@pytest.fixture
def backup(config, tmp_path):
    async def made():
        store = await written(config.db, page("p"))
        await store.backup(tmp_path / "backup.db")
        await store.close()

    anyio.run(made)
    return tmp_path / "backup.db"


def test_without_the_old_database_the_epoch_leaps(config, backup):
    config.db.unlink()
    done = restore(config, backup)
    assert (done.pages, done.erasures, done.replaced) == (1, 0, None)
    found = anyio.run(look, config.db, "p")
    assert found.epoch == 1 + LEAP
    assert found.retired == [70_000]
    assert [name for name, *_ in found.entities] == ["a"]


def test_what_the_old_database_knew_of_epochs_and_people_counts(config, backup):
    async def later():
        store = open_store(config.db)
        rewrite = Rewrite(entry("x"), owners=[(80_000, "bob")], epoch=5, erased=["d"])
        await store.rewrite("open", "p", 1, rewrite)
        await store.commit([page("newer", 90_000)])
        row = RevocationRow("open", "user", "eve", 1)
        await store.trust.revoke(row, AuditEntry(1, "op", "", "open", "revoke.user", "eve"))
        await store.close()

    anyio.run(later)
    done = restore(config, backup)
    assert done.pages == 2
    assert done.replaced is not None
    assert done.replaced.exists()
    found = anyio.run(look, config.db, "p")
    assert (found.epoch, found.erased) == (6, ["d"])
    assert {70_000, 80_000} <= set(found.retired)
    newer = anyio.run(look, config.db, "newer")
    assert (newer.epoch, newer.retired, newer.entities) == (2, [90_000], [])
    with closing(sqlite3.connect(config.db)) as db, db:
        assert db.execute("SELECT subject FROM revocation").fetchall() == [("eve",)]
        assert ("revoke.user",) in db.execute("SELECT action FROM audit").fetchall()


def test_a_secret_that_was_renewed_since_the_backup_is_not_good_again(config, backup):
    async def renewed():
        store = open_store(config.db)
        renewal = AuditEntry(1, "op", "", "*", "secret.renew", "*")
        await store.trust.server_secret(b"fresh" * 7, renewal=renewal)
        await store.close()

    async def secret():
        store = open_store(config.db)
        found = await store.trust.server_secret(b"another" * 5)
        await store.close()
        return found

    anyio.run(renewed)
    restore(config, backup)
    assert anyio.run(secret) == b"fresh" * 7


def of_schema_4(source, target):
    """The same pages in the tables of the version before the index and the seals."""
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        schema.migrations().apply(Database(db), stop_before="m005_index_apart")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 4")
        db.execute("ATTACH ? AS newer", (str(source),))
        for table in ("page", "directory", "log", "snapshot", "client_owner", "entity"):
            db.execute(f"INSERT OR REPLACE INTO main.{table} SELECT * FROM newer.{table}")
        columns = "id, page, name, value, crc, quote"
        db.execute(
            f"INSERT INTO main.annotation ({columns}) SELECT {columns} FROM newer.annotation"
        )


def test_a_backup_from_before_an_upgrade_is_as_good(config, backup, tmp_path):
    old = tmp_path / "old.db"
    of_schema_4(backup, old)

    async def later():
        store = open_store(config.db)
        await store.reserve_clock(4_000_000_000_000)
        row = RevocationRow("open", "user", "eve", 1)
        await store.trust.revoke(row, AuditEntry(1, "op", "", "open", "revoke.user", "eve"))
        await store.close()

    anyio.run(later)
    assert restore(config, old).pages == 1

    async def renewed():
        store = open_store(config.db)
        assert (await store.integrity()).problems == []
        assert [row.subject for row in await store.trust.revocations(0)] == ["eve"]
        assert await store.reserve_clock(0) >= 4_000_000_000_000
        await store.close()

    anyio.run(renewed)
    found = anyio.run(look, config.db, "p")
    assert [name for name, *_ in found.entities] == ["a"]
    assert not list(tmp_path.glob("*restoring*"))


def test_what_the_log_says_is_erased_again_and_stays_barred(config, backup):
    log = ErasureLog(path_of(config.db))
    log.append(Erased("1", 1, "open", ENTITY, "p", "salt", digest("salt", "a")))
    log.append(Erased("1", 1, "open", NAMES, "p", "", "", ["later"]))
    config.db.unlink()
    assert restore(config, backup).erasures == 1
    found = anyio.run(look, config.db, "p")
    assert found.entities == []
    assert "later" in found.erased
    assert len(found.erased) == 2
    assert b"a quote" not in config.db.read_bytes()


def erased_before(config, backup, tmp_path, kind, subject):
    """A backup that was made after an erasure and after somebody has written again."""

    async def made():
        store = open_store(config.db)
        detail = json.dumps({"id": "1", "page": "p", "pages": 1})
        await store.trust.note([AuditEntry(1, "op", "", "open", f"erase.{kind}", "digest", detail)])
        await store.backup(tmp_path / "later.db")
        await store.close()

    anyio.run(made)
    log = ErasureLog(path_of(config.db))
    log.append(Erased("1", 1, "open", kind, "p", "salt", digest("salt", subject)))
    return tmp_path / "later.db"


@pytest.mark.parametrize(("kind", "subject"), [(PAGE, "p"), (USER, "ada")])
@pytest.mark.parametrize("lost", [False, True])
def test_what_was_written_after_an_erasure_is_not_erased_by_a_restore(
    config, backup, tmp_path, kind, subject, lost
):
    """With the replaced database there, and on another machine that has the log of erasures alone."""
    later = erased_before(config, backup, tmp_path, kind, subject)
    if lost:
        config.db.unlink()
    assert restore(config, later).erasures == 0
    assert [name for name, *_ in anyio.run(look, config.db, "p").entities] == ["a"]


def test_an_erasure_that_was_done_again_is_known_to_the_next_backup(config, backup, tmp_path):
    log = ErasureLog(path_of(config.db))
    log.append(Erased("1", 1, "open", PAGE, "p", "salt", digest("salt", "p")))
    config.db.unlink()
    assert restore(config, backup).erasures == 1

    async def again():
        store = open_store(config.db)
        stored = await store.load("open", "p")
        rows = replace(page("p", 80_000), expected_seq=stored.seq)
        assert all(hasattr(one, "seq") for one in await store.commit([rows]))
        await store.backup(tmp_path / "next.db")
        await store.close()

    anyio.run(again)
    assert restore(config, tmp_path / "next.db").erasures == 0
    assert [name for name, *_ in anyio.run(look, config.db, "p").entities] == ["a"]


def test_a_database_in_use_and_a_file_that_is_none_are_left_alone(config, backup, tmp_path):
    store = open_store(config.db)
    with pytest.raises(Locked):
        restore(config, backup)
    anyio.run(store.close)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db, db:
        db.execute("CREATE TABLE x (y)")
    before = config.db.read_bytes()
    with pytest.raises(NotAStore):
        restore(config, other)
    assert config.db.read_bytes() == before
    assert anyio.run(look, config.db, "p").epoch == 1
