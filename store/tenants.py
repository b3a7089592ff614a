"""Tenants, revocations, roles given by hand, the server's own secret and the audit log.

Few rows, read whole at start: what a row says beyond its keys is JSON that only the chat reads. One
implementation for both stores (beside.py).
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from store.beside import BesideTables
from store.checksums import fields_crc

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


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant. body is its JSON, None if the row does not verify: it must not be served."""

    name: str
    body: str | None


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role that somebody was given by hand, whatever her token says."""

    tenant: str
    user: str
    role: str


@dataclass(frozen=True, slots=True)
class RevocationRow:
    """What was revoked `at` (ms); `until` (ms) nothing of it can be in use any more, None: never.

    id is the store's (0 before it has one).
    """

    tenant: str
    kind: str
    subject: str
    at: int
    until: int | None = None
    reason: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to whom, when (ms) and from where; detail is JSON. id is the store's."""

    at: int
    actor: str
    address: str
    tenant: str
    action: str
    subject: str
    detail: str = "{}"
    id: int = 0


@dataclass(frozen=True, slots=True)
class AuditWanted:
    """Entries with id > `after`, at most `limit`; newest: the last of them instead of the first.

    action: how it begins (`moderation.`); user: who did it, or whom it was done to.
    """

    after: int = 0
    limit: int = 1_000
    action: str = ""
    user: str | None = None
    newest: bool = False


ANY = AuditWanted()


class Trust(Protocol):
    """The verbs. What a changing verb has answered is durable, its audit entry with it."""

    async def tenants(self) -> list[TenantRow]:
        """All tenants by name."""
        ...

    async def put_tenant(self, name: str, body: str, audit: AuditEntry, *, new: bool) -> bool:
        """Insert (new) or replace a tenant. False if it is there already, or not there."""
        ...

    async def remove_tenant(self, name: str, audit: AuditEntry) -> bool:
        """Remove a tenant with its roles and revocations; pages stay. False if it is not there."""
        ...

    async def roles(self) -> list[RoleRow]:
        """All roles that were given by hand."""
        ...

    async def put_role(self, tenant: str, user: str, role: str | None, audit: AuditEntry) -> None:
        """Give somebody a role, or (None) let her token decide again."""
        ...

    async def revoke(self, row: RevocationRow, audit: AuditEntry) -> int:
        """Add a revocation; returns its id."""
        ...

    async def forgive(self, tenant: str, number: int, audit: AuditEntry) -> bool:
        """Take a revocation back. False if the tenant has none of this id."""
        ...

    async def revocations(self, now: int) -> list[RevocationRow]:
        """All revocations that still matter at `now` (ms), in order."""
        ...

    async def server_secret(self, fresh: bytes, *, renew: bool = False) -> bytes:
        """The secret of this file; the first caller's `fresh` becomes it, or one's who renews it."""
        ...

    async def note(self, entries: Sequence[AuditEntry]) -> None:
        """Append to the audit log."""
        ...

    async def forget(self, tenant: str, user: str, alias: str) -> None:
        """Let an erased user's role go, and `alias` stand for her in the audit log.

        What was revoked for her stays until it can't be in use any more.
        """
        ...

    async def audit(self, tenant: str | None = None, wanted: AuditWanted = ANY) -> list[AuditEntry]:
        """Audit entries, ascending; of all tenants for None."""
        ...


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
            _note(db, audit)
            return True

        return await self._writing(work)

    async def remove_tenant(self, name: str, audit: AuditEntry) -> bool:
        """Remove a tenant with its roles and revocations."""

        def work(db: sqlite3.Connection) -> bool:
            if not db.execute("DELETE FROM tenant WHERE name = ?", (name,)).rowcount:
                return False
            db.execute("DELETE FROM tenant_role WHERE tenant = ?", (name,))
            db.execute("DELETE FROM revocation WHERE tenant = ?", (name,))
            _note(db, audit)
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
            _note(db, audit)

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
            _note(db, audit)
            return number or 0

        return await self._writing(work)

    async def forgive(self, tenant: str, number: int, audit: AuditEntry) -> bool:
        """Take a revocation back."""

        def work(db: sqlite3.Connection) -> bool:
            query = "DELETE FROM revocation WHERE tenant = ? AND id = ?"
            if not db.execute(query, (tenant, number)).rowcount:
                return False
            _note(db, audit)
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

    async def server_secret(self, fresh: bytes, *, renew: bool = False) -> bytes:
        """The secret of this file."""

        def work(db: sqlite3.Connection) -> bytes:
            if renew:
                db.execute("DELETE FROM server_secret")
            query = "INSERT INTO server_secret VALUES (1, ?) ON CONFLICT DO NOTHING"
            db.execute(query, (fresh,))
            return bytes(db.execute("SELECT secret FROM server_secret").fetchone()[0])

        return await self._writing(work)

    async def note(self, entries: Sequence[AuditEntry]) -> None:
        """Append to the audit log."""

        def work(db: sqlite3.Connection) -> None:
            for entry in entries:
                _note(db, entry)

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


def _note(db: sqlite3.Connection, entry: AuditEntry) -> None:
    values = (entry.at, entry.actor, entry.address, entry.tenant, entry.action)
    db.execute(_AUDIT, (*values, entry.subject, entry.detail))
