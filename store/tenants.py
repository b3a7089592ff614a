"""Tenants, revocations, roles given by hand, the server's own secret and the audit log.

Few rows, read whole at start: what a row says beyond its keys is JSON that only the chat reads. One
implementation for both stores (trust.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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

    async def server_secret(self, fresh: bytes, *, renewal: AuditEntry | None = None) -> bytes:
        """The secret of this file; the first caller's `fresh` becomes it, or that of a `renewal`."""
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
