"""Seals: a flipped bit in who may come, or in what was noted, is never taken for the truth."""

import sqlite3
from pathlib import Path

import pytest
from kept import T0

from store import open_reader, open_store, seals
from store.errors import Damaged
from store.moderation import ModerationEntry
from store.records import PageCommit
from store.tenants import AuditEntry, RevocationRow

pytestmark = pytest.mark.anyio
AUDIT = AuditEntry(T0, "grace", "::1", "acme", "user.revoke", "eve")


@pytest.fixture
async def trusted(path: Path) -> Path:
    """A file with a row in each of the sealed tables, some changed and some removed again."""
    opened = open_store(path)
    await opened.trust.server_secret(b"s" * 32)
    for user in ("eve", "ann", "bob"):
        await opened.trust.revoke(RevocationRow("acme", "user", user, T0), AUDIT)
        await opened.trust.put_role("acme", user, "viewer", AUDIT)
    await opened.trust.put_role("acme", "ann", "editor", AUDIT)
    await opened.trust.put_role("acme", "bob", None, AUDIT)
    await opened.trust.forgive("acme", 2, AUDIT)
    await opened.trust.forget("acme", "eve", "erased-1")
    entry = ModerationEntry("acme", "p", T0, "ann", "flag", "a1", "spam")
    await opened.moderation.note(entry)
    await opened.commit([PageCommit("acme", "p", 0, usage=[("updates", n)]) for n in (1, 2)])
    await opened.reserve_clock(T0)
    assert not (await opened.integrity()).problems
    await opened.close()
    return path


def change(path: Path, table: str, statement: str) -> None:
    """What a flipped bit does: the row is another, and no trigger has seen it."""
    db = sqlite3.connect(path, isolation_level=None)
    for event in ("insert", "update", "delete"):
        db.execute(f"DROP TRIGGER {table}_sealed_{event}")
    for trigger in ("audit_stays", "audit_is_fixed"):
        db.execute(f"DROP TRIGGER {trigger}")
    assert db.execute(statement).rowcount == 1
    db.close()


ACCESS = {
    "tenant_role": "UPDATE tenant_role SET role = 'admin' WHERE user = 'ann'",
    "revocation": "DELETE FROM revocation WHERE subject = 'bob'",
    "server_secret": "UPDATE server_secret SET secret = x'00'",
}
NOTES = {
    "audit": "UPDATE audit SET actor = 'mallory' WHERE id = 2",
    "moderation": "UPDATE moderation SET reason = 'ham'",
    "usage": "UPDATE usage SET amount = amount + 1",
    "clock": "UPDATE clock SET reserved = 7",
}


@pytest.mark.parametrize("table", ACCESS)
async def test_a_file_whose_table_of_access_is_damaged_is_not_served(trusted, table):
    change(trusted, table, ACCESS[table])
    with pytest.raises(Damaged, match=table):
        open_store(trusted)
    reader = open_reader(trusted)
    found = [problem.what for problem in (await reader.integrity()).problems]
    assert found == [f"the table {table} does not verify"]
    await reader.close()


@pytest.mark.parametrize("table", NOTES)
async def test_a_damaged_note_is_told_by_integrity(trusted, table):
    change(trusted, table, NOTES[table])
    opened = open_store(trusted)
    assert [problem.what for problem in (await opened.integrity()).problems] == [
        f"the table {table} does not verify"
    ]
    await opened.close()


async def test_an_operator_may_have_the_rows_believed_as_they_are(trusted):
    change(trusted, "revocation", ACCESS["revocation"])
    db = sqlite3.connect(trusted, isolation_level=None)
    db.execute("DELETE FROM seal WHERE name = 'revocation'")
    db.close()
    opened = open_store(trusted)
    assert not (await opened.integrity()).problems
    await opened.close()


async def test_a_seal_that_a_flipped_bit_gave_another_name_is_noticed(trusted):
    """The table was believed as it was, and sealed anew: what a bit had changed in it before, too."""
    db = sqlite3.connect(trusted, isolation_level=None)
    db.execute("UPDATE seal SET name = 'tenant_zole' WHERE name = 'tenant_role'")
    with pytest.raises(Damaged, match=r"tenant_role does not verify.*tenant_zole"):
        open_store(trusted)
    db.execute("DELETE FROM seal WHERE name = 'tenant_zole'")
    open_store(trusted)._close()
    db.execute("UPDATE seal SET name = 'usagd' WHERE name = 'usage'")
    db.close()
    opened = open_store(trusted)
    assert [problem.what for problem in (await opened.integrity()).problems] == [
        "the table usage does not verify",
        "the seal named usagd is of no table",
    ]
    await opened.close()


def test_every_table_without_checks_of_its_own_is_sealed(path):
    """Whoever adds a table decides how its damage is noticed."""
    open_store(path)._close()
    db = sqlite3.connect(path)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    checked = {
        "page", "directory", "log", "snapshot", "event", "tenant", "seal", "fulltext",
        "client_owner", "entity", "refused", "held", "archived", "retired", "erased",
        "annotation", "comment", "reaction", "resolved", "deleted", "fact",
    }  # fmt: skip
    ours = {name for name in tables if "_fts" not in name and not name.startswith(("_", "sqlite_"))}
    assert ours == checked | set(seals.TABLES)
