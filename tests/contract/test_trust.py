"""Tenants, revocations, roles and the audit log: kept by both stores in the same way."""

import sqlite3

import pytest

from store import open_store, seals
from store.memory import MemoryStore
from store.tenants import AuditEntry, AuditWanted, RevocationRow, TenantRow
from store.trust import names_in

pytestmark = pytest.mark.anyio


def did(action: str, tenant: str = "acme", subject: str = "") -> AuditEntry:
    return AuditEntry(1, "operator", "socket", tenant, action, subject or tenant)


@pytest.fixture(params=["memory", "sqlite"])
async def trust(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else open_store(tmp_path / "a.db")
    yield store.trust
    await store.close()


async def test_a_tenant_is_added_once_replaced_and_removed(trust):
    assert await trust.put_tenant("acme", "{}", did("add"), new=True)
    assert not await trust.put_tenant("acme", '{"a":1}', did("add"), new=True)
    assert not await trust.put_tenant("other", "{}", did("set"), new=False)
    assert await trust.put_tenant("acme", '{"b":1}', did("set"), new=False)
    assert await trust.tenants() == [TenantRow("acme", '{"b":1}')]
    assert await trust.remove_tenant("acme", did("remove"))
    assert not await trust.remove_tenant("acme", did("remove"))
    assert await trust.tenants() == []
    # what did not happen is in no log
    assert [entry.action for entry in await trust.audit()] == ["add", "set", "remove"]


async def test_what_belongs_to_a_tenant_goes_with_it_and_with_no_other(trust):
    for name in ("acme", "acme2"):
        await trust.put_tenant(name, "{}", did("add", name), new=True)
        await trust.put_role(name, "ada", "viewer", did("role", name))
        await trust.revoke(RevocationRow(name, "user", "ada", 5), did("revoke", name))
    await trust.remove_tenant("acme", did("remove"))
    assert [row.tenant for row in await trust.roles()] == ["acme2"]
    assert [row.tenant for row in await trust.revocations(0)] == ["acme2"]


async def test_a_role_by_hand_is_given_changed_and_taken_back(trust):
    await trust.put_role("acme", "ada", "viewer", did("role"))
    await trust.put_role("acme", "ada", "editor", did("role"))
    assert [row.role for row in await trust.roles()] == ["editor"]
    await trust.put_role("acme", "ada", None, did("role"))
    assert await trust.roles() == []


async def test_a_revocation_counts_until_its_time_or_until_it_is_taken_back(trust):
    first = await trust.revoke(RevocationRow("acme", "token", "j", 5, until=10), did("revoke"))
    second = await trust.revoke(RevocationRow("acme", "user", "ada", 5), did("revoke"))
    assert [row.id for row in await trust.revocations(9)] == [first, second]
    assert [row.id for row in await trust.revocations(10)] == [second]
    assert not await trust.forgive("other", second, did("forgive"))
    assert await trust.forgive("acme", second, did("forgive"))
    assert await trust.revocations(10) == []


async def test_the_audit_log_is_read_by_tenant_and_in_pages(trust):
    await trust.note([did("one"), did("two", "other"), did("three")])
    rows = await trust.audit()
    assert [row.action for row in rows] == ["one", "two", "three"]
    assert [row.action for row in await trust.audit("acme")] == ["one", "three"]
    assert [row.action for row in await trust.audit(None, AuditWanted(rows[0].id, 1))] == ["two"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AuditWanted(action="tenant."), ["tenant.add", "tenant.set"]),
        (AuditWanted(action="%"), []),
        (AuditWanted(user="eve"), ["tenant.set", "role"]),
        (AuditWanted(user="eve", action="role"), ["role"]),
        (AuditWanted(limit=2, newest=True), ["tenant.set", "role"]),
        (AuditWanted(after=1, limit=1), ["tenant.set"]),
    ],
)
async def test_the_audit_log_is_asked_by_action_and_person(trust, wanted, found):
    by_eve = AuditEntry(1, "eve", "socket", "acme", "tenant.set", "acme")
    await trust.note([did("tenant.add"), by_eve, did("role", subject="eve")])
    assert [row.action for row in await trust.audit("acme", wanted)] == found


async def test_the_first_secret_stays(trust):
    assert await trust.server_secret(b"a" * 32) == b"a" * 32
    assert await trust.server_secret(b"b" * 32) == b"a" * 32
    renewal = did("secret.renew", "*")
    assert await trust.server_secret(b"c" * 32, renewal=renewal) == b"c" * 32
    assert [row.action for row in await trust.audit("*")] == ["secret.renew"]
    assert await trust.server_secret(b"d" * 32) == b"c" * 32


async def test_all_of_it_survives_a_restart(tmp_path):
    store = open_store(tmp_path / "a.db")
    await store.trust.put_tenant("acme", "{}", did("add"), new=True)
    await store.trust.server_secret(b"a" * 32)
    assert names_in(tmp_path / "a.db") == ["acme"]
    await store.close()
    store = open_store(tmp_path / "a.db")
    assert await store.trust.tenants() == [TenantRow("acme", "{}")]
    assert await store.trust.server_secret(b"b" * 32) == b"a" * 32
    await store.close()
    assert names_in(tmp_path / "absent.db") == []


async def test_a_tenant_that_does_not_verify_has_no_body(tmp_path):
    path = tmp_path / "a.db"
    store = open_store(path)
    await store.trust.put_tenant("acme", '{"open":false}', did("add"), new=True)
    await store.close()
    db = sqlite3.connect(path)
    db.execute("UPDATE tenant SET body = '{\"open\":true }'")
    db.commit()
    db.close()
    store = open_store(path)
    assert await store.trust.tenants() == [TenantRow("acme", None)]
    await store.close()


@pytest.mark.parametrize("statement", ["DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"])
async def test_the_audit_log_cannot_be_changed(tmp_path, statement):
    path = tmp_path / "a.db"
    store = open_store(path)
    await store.trust.note([did("one")])
    await store.close()
    db = sqlite3.connect(path)
    seals.define(db)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()
