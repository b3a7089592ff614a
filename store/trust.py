"""The tables of tenants, roles, revocations, the server's secret and the audit log, and the verbs on them."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from store.beside import BesideTables
from store.checksums import fields_crc
from store.tenants import ANY, AuditEntry, AuditWanted, RevocationRow, RoleRow, TenantRow

FIXED = """
    CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
"""

TABLES = (
    """
    CREATE TABLE tenant (
        name TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE tenant_role (
        tenant TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (tenant, user)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE revocation (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, kind TEXT NOT NULL,
        subject TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER, reason TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE server_secret (
        id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL,
        address TEXT NOT NULL, tenant TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX audit_of_tenant ON audit (tenant, id)",
    # Append-only against mistakes of this program; whoever can write the file can do anything.
    """
    CREATE TRIGGER audit_stays BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    FIXED,
)
"""The statements of the migration that makes the tables."""

_AUDIT = (
    "INSERT INTO audit (at, actor, address, tenant, action, subject, detail) VALUES (?,?,?,?,?,?,?)"
)

_NAMING = (
    "SELECT id, action, subject, detail FROM audit "
    "WHERE tenant = ? AND (subject = ? OR instr(detail, ?))"
)

IMPERSONAL = (
    "tenant.", "key.", "refused", "moderation.", "revoke.token", "revoke.tenant", "revoke.undo", "erase.",
)  # fmt: skip
"""Actions whose subject is no person: somebody of the same name must not take it with her."""

_STRUCTURE = frozenset(
    {"id", "role", "page", "pages", "rules", "keys", "domains", "open", "anonymous"}
)
"""What details say of other things than people."""


def _unnamed(detail: str, user: str, alias: str) -> str:
    """A detail in which `alias` stands for a user: where a value is her id, not where it contains one."""
    said = json.loads(detail)
    if not isinstance(said, dict):
        return detail
    hers = {name for name, value in said.items() if value == user and name not in _STRUCTURE}
    return json.dumps({name: alias if name in hers else value for name, value in said.items()})


class TenantTables(BesideTables):
    """Implements Trust."""

    statements = TABLES

    async def tenants(self) -> list[TenantRow]:
        """All tenants by name."""
        return await self._reading(_tenants)

    async def put_tenant(self, name: str, body: str, audit: AuditEntry, *, new: bool) -> bool:
        """Insert (new) or replace a tenant."""

        def work(db: sqlite3.Connection) -> bool:
            there = db.execute("SELECT 1 FROM tenant WHERE name = ?", (name,)).fetchone()
            if (there is None) is not new:
                return False
            row = (name, body, fields_crc(name, body))
            db.execute("INSERT OR REPLACE INTO tenant (name, body, crc) VALUES (?,?,?)", row)
            append(db, audit)
            return True

        return await self._writing(work)

    async def remove_tenant(self, name: str, audit: AuditEntry) -> bool:
        """Remove a tenant with its roles and revocations."""

        def work(db: sqlite3.Connection) -> bool:
            if not db.execute("DELETE FROM tenant WHERE name = ?", (name,)).rowcount:
                return False
            db.execute("DELETE FROM tenant_role WHERE tenant = ?", (name,))
            db.execute("DELETE FROM revocation WHERE tenant = ?", (name,))
            append(db, audit)
            return True

        return await self._writing(work)

    async def roles(self) -> list[RoleRow]:
        """All roles that were given by hand."""
        query = "SELECT tenant, user, role FROM tenant_role"
        return await self._reading(lambda db: [RoleRow(*row) for row in db.execute(query)])

    async def put_role(self, tenant: str, user: str, role: str | None, audit: AuditEntry) -> None:
        """Give somebody a role, or let her token decide again."""

        def work(db: sqlite3.Connection) -> None:
            if role is None:
                query = "DELETE FROM tenant_role WHERE tenant = ? AND user = ?"
                db.execute(query, (tenant, user))
            else:
                query = "INSERT OR REPLACE INTO tenant_role (tenant, user, role) VALUES (?,?,?)"
                db.execute(query, (tenant, user, role))
            append(db, audit)

        await self._writing(work)

    async def revoke(self, row: RevocationRow, audit: AuditEntry) -> int:
        """Add a revocation."""

        def work(db: sqlite3.Connection) -> int:
            query = (
                "INSERT INTO revocation (tenant, kind, subject, at, until, reason) "
                "VALUES (?,?,?,?,?,?)"
            )
            values = (row.tenant, row.kind, row.subject, row.at, row.until, row.reason)
            number = db.execute(query, values).lastrowid
            append(db, audit)
            return number or 0

        return await self._writing(work)

    async def forgive(self, tenant: str, number: int, audit: AuditEntry) -> bool:
        """Take a revocation back."""

        def work(db: sqlite3.Connection) -> bool:
            query = "DELETE FROM revocation WHERE tenant = ? AND id = ?"
            if not db.execute(query, (tenant, number)).rowcount:
                return False
            append(db, audit)
            return True

        return await self._writing(work)

    async def revocations(self, now: int) -> list[RevocationRow]:
        """All revocations that still matter."""
        query = (
            "SELECT tenant, kind, subject, at, until, reason, id FROM revocation "
            "WHERE until IS NULL OR until > ? ORDER BY id"
        )
        return await self._reading(
            lambda db: [RevocationRow(*row) for row in db.execute(query, (now,))]
        )

    async def server_secret(self, fresh: bytes, *, renewal: AuditEntry | None = None) -> bytes:
        """The secret of this file."""

        def work(db: sqlite3.Connection) -> bytes:
            if renewal is not None:
                db.execute("DELETE FROM server_secret")
                append(db, renewal)
            query = "INSERT INTO server_secret VALUES (1, ?) ON CONFLICT DO NOTHING"
            db.execute(query, (fresh,))
            return bytes(db.execute("SELECT secret FROM server_secret").fetchone()[0])

        return await self._writing(work)

    async def note(self, entries: Sequence[AuditEntry]) -> None:
        """Append to the audit log."""

        def work(db: sqlite3.Connection) -> None:
            for entry in entries:
                append(db, entry)

        await self._writing(work)

    async def forget(self, tenant: str, user: str, alias: str) -> None:
        """Let an erased user's role go, and `alias` stand for her in the audit log."""

        def work(db: sqlite3.Connection) -> None:
            query = "DELETE FROM tenant_role WHERE tenant = ? AND user = ?"
            db.execute(query, (tenant, user))
            # The one exception from "append-only", and only for a name.
            db.execute("DROP TRIGGER audit_is_fixed")
            db.execute(
                "UPDATE audit SET actor = ? WHERE tenant = ? AND actor = ?", (alias, tenant, user)
            )
            named = db.execute(_NAMING, (tenant, user, json.dumps(user))).fetchall()
            for number, action, subject, detail in named:
                if subject == user and not action.startswith(IMPERSONAL):
                    subject = alias
                row = (subject, _unnamed(detail, user, alias), number)
                db.execute("UPDATE audit SET subject = ?, detail = ? WHERE id = ?", row)
            db.execute(FIXED)

        await self._writing(work)

    async def audit(self, tenant: str | None = None, wanted: AuditWanted = ANY) -> list[AuditEntry]:
        """Audit entries, ascending."""
        query = (
            "SELECT at, actor, address, tenant, action, subject, detail, id FROM audit "  # noqa: S608
            "WHERE id > :after AND (:tenant IS NULL OR tenant = :tenant) "
            "AND substr(action, 1, length(:action)) = :action "
            "AND (:user IS NULL OR :user IN (actor, subject)) "
            f"ORDER BY id {'DESC' if wanted.newest else 'ASC'} LIMIT :limit"
        )
        values = asdict(wanted) | {"tenant": tenant}

        def work(db: sqlite3.Connection) -> list[AuditEntry]:
            found = [AuditEntry(*row) for row in db.execute(query, values)]
            return found[::-1] if wanted.newest else found

        return await self._reading(work)


def names_in(path: Path) -> list[str]:
    """The tenants that a file holds, read without a lock; [] if there is no such file or table.

    Raises sqlite3.Error, StoreError for a file that can't be read.
    """
    from store import schema

    if not path.is_file():
        return []
    db = schema.connect(path, readonly=True)
    try:
        there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tenant'"
        return [row.name for row in _tenants(db)] if db.execute(there).fetchone() else []
    finally:
        db.close()


def _tenants(db: sqlite3.Connection) -> list[TenantRow]:
    rows = db.execute("SELECT name, body, crc FROM tenant ORDER BY name")
    return [
        TenantRow(name, body if crc == fields_crc(name, body) else None) for name, body, crc in rows
    ]


def append(db: sqlite3.Connection, entry: AuditEntry) -> None:
    """Append to the audit log, in the transaction of what it tells of."""
    values = (entry.at, entry.actor, entry.address, entry.tenant, entry.action)
    db.execute(_AUDIT, (*values, entry.subject, entry.detail))
