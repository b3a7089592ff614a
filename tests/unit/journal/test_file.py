"""The file: one writer, our schema or none, and never moved or emptied by mistake."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from kept import annotation, commit, head
from sqlite_utils import Database

import store
from store import fresh, open_reader, open_store, schema
from store.errors import Damaged, Locked, NotAStore, SchemaMismatch
from store.protocol import Reader, Store

pytestmark = pytest.mark.anyio
ROOT = Path(store.__file__).parents[1]


def in_another_process(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def untouched(path: Path, content: bytes) -> bool:
    """Whether the file is as it was, and there is no copy of it: only what SQLite and we lock by."""
    beside = {other.name.removeprefix(path.name) for other in path.parent.iterdir()}
    return path.read_bytes() == content and beside <= {"", ".lock", "-shm", "-wal"}


def test_importing_the_store_is_cheap():
    script = (
        "import sys, store; print(sorted({'sqlite3', 'sqlite_utils', 'anyio'} & {*sys.modules}))"
    )
    done = in_another_process(script)
    assert done.communicate()[0].strip() == "[]"
    assert store.DISTRIBUTION == "crdt-chat"


def test_opening_a_new_file_takes_no_migrations(path):
    script = (
        "import sys; from store import open_store; open_store(sys.argv[1]);"
        "print(sorted({'sqlite_utils', 'pandas', 'numpy'} & {*sys.modules}))"
    )
    assert in_another_process(script, path).communicate()[0].strip() == "[]"


async def test_a_new_file_is_what_all_migrations_make(path):
    def described(db):
        columns = "type, name, tbl_name, rtrim(sql, char(10) || ' ')"
        tables = db.execute(f"SELECT {columns} FROM sqlite_master ORDER BY 1, 2")
        return tables.fetchall(), fresh.script_of(db)

    await open_store(path).close()
    with closing(sqlite3.connect(path)) as made, closing(fresh.migrated()) as migrated:
        assert described(made) == described(migrated), "python -m store.fresh > store/fresh.sql"
        (at,) = made.execute("SELECT max(applied_at) FROM _sqlite_migrations").fetchone()
        assert datetime.fromisoformat(at).tzinfo is not None
        assert schema.check(made, path) == schema.VERSION


async def test_a_second_writer_is_told_who_has_the_file(path, kept):
    with pytest.raises(Locked) as caught:
        open_store(path)
    assert caught.value.pid == os.getpid()
    assert str(os.getpid()) in str(caught.value)


async def test_another_process_is_locked_out_until_it_is_killed(path):
    holder = in_another_process(
        "import sys; from store import open_store; kept = open_store(sys.argv[1]);"
        "print('open', flush=True); sys.stdin.read()",
        path,
    )
    with holder:
        assert holder.stdout.readline() == "open\n"
        link = path.with_name("link.db")
        link.symlink_to(path)
        for name in (path, link):
            with pytest.raises(Locked) as caught:
                open_store(name)
            assert caught.value.pid == holder.pid
        holder.kill()
        holder.wait()
        await open_store(path).close()


async def test_a_lock_without_a_pid_is_still_a_lock(path, kept):
    path.with_name(path.name + ".lock").write_text("")
    with pytest.raises(Locked) as caught:
        open_store(path)
    assert caught.value.pid is None


async def test_readers_need_no_lock_and_see_what_is_committed(path, kept):
    reader = open_reader(path)
    assert isinstance(reader, Reader)
    assert not isinstance(reader, Store)
    assert await reader.load("t", "p") is None
    await kept.commit([commit(0, "one", projected=[annotation("a", "quote")])])
    assert (await reader.load("t", "p")).rows[0].update == b"one"
    assert len(await reader.search("t", "quote")) == 1
    assert not (await reader.integrity()).problems
    await reader.close()


async def test_a_reader_of_a_file_nobody_serves(path):
    opened = open_store(path)
    await opened.commit([commit(0, "one")])
    await opened.close()
    reader = open_reader(path)
    assert (await reader.load("t", "p")).seq == 1
    await reader.close()
    with pytest.raises(NotAStore, match="no file"):
        open_reader(path.with_name("other.db"))
    assert not path.with_name("other.db").exists()


@pytest.mark.parametrize("opener", [open_store, open_reader])
async def test_a_newer_schema_is_refused_and_left_alone(path, opener):
    await open_store(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()
    content = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="newer"):
        opener(path)
    assert untouched(path, content)


@pytest.mark.parametrize("opener", [open_store, open_reader])
@pytest.mark.parametrize("version", [0, -1])
async def test_a_schema_that_never_was_is_refused_and_left_alone(path, opener, version):
    await open_store(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    content = path.read_bytes()
    with pytest.raises(SchemaMismatch):
        opener(path)
    assert untouched(path, content)


@pytest.mark.parametrize("opener", [open_store, open_reader])
async def test_somebody_elses_database_is_left_alone(path, opener):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE page (id INTEGER PRIMARY KEY)")
    db.commit()
    db.close()
    content = path.read_bytes()
    with pytest.raises(NotAStore):
        opener(path)
    assert untouched(path, content)


@pytest.mark.parametrize("opener", [open_store, open_reader])
async def test_a_file_that_is_no_database_is_left_alone(path, opener):
    content = b"Dear diary, " * 1000
    path.write_bytes(content)
    with pytest.raises(Damaged):
        opener(path)
    assert untouched(path, content)


async def test_a_directory_that_is_not_there_is_told_in_a_sentence(tmp_path):
    with pytest.raises(NotAStore, match="No such file or directory"):
        open_store(tmp_path / "nowhere" / "kept.db")


async def test_an_older_schema_is_copied_then_migrated(path):
    db = sqlite3.connect(path, isolation_level=None)
    schema.migrations().apply(Database(db), stop_before="m002_trust")
    db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.close()
    with pytest.raises(SchemaMismatch, match="start the server once"):
        open_reader(path)
    opened = open_store(path)
    assert head((await opened.commit([commit(0, "one")]))[0]) == 1
    await opened.close()
    copy = sqlite3.connect(path.with_name(path.name + ".schema-1"))
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    assert copy.execute("SELECT count(*) FROM page").fetchone() == (0,)
    copy.close()
    await open_store(path).close()


async def test_a_first_start_that_was_killed_half_way_is_finished(path):
    db = sqlite3.connect(path, isolation_level=None)
    schema.migrations().apply(Database(db))
    db.close()
    opened = open_store(path)
    assert head((await opened.commit([commit(0, "one")]))[0]) == 1
    await opened.close()


async def test_the_schema_number_is_the_number_of_migrations(path):
    db = sqlite3.connect(path, isolation_level=None)
    assert len(schema.migrations().pending(Database(db))) == schema.VERSION
    db.close()


async def test_the_writer_is_durable_and_wipes_what_it_deletes(path, kept):
    db = schema.connect(path)
    pragmas = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
    assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == ["wal", 2, 1, 1]
    db.close()
    db = schema.connect(path, readonly=True)
    with pytest.raises(sqlite3.OperationalError):
        db.execute("DELETE FROM page")
    db.close()


async def test_deleted_text_is_nowhere_in_the_file(path):
    """Promise of erasure: after a rewrite and a wipe not a byte of the old content is on the disk."""
    from kept import comment, entry

    from store.records import Rewrite

    opened = open_store(path)
    secret = "Unforgettable7"
    await opened.commit(
        [
            commit(
                0,
                f"{secret} in the log " * 50,
                projected=[comment("a/c", f"{secret} in a comment"), annotation("a", secret)],
                held=[("x", f'"{secret} held"')],
                owners=[(5, f"{secret}@example.org")],
            )
        ]
    )
    await opened.snapshot("t", "p", 1, f"{secret} in the snapshot".encode() * 400)
    await opened.rewrite("t", "p", 1, Rewrite(entry("clean")))
    await opened.wipe()
    await opened.close()
    content = path.read_bytes().lower()
    assert secret.lower().encode() not in content
