"""What is not granted any more: single tokens, all of a user's so far, all of a tenant's so far.

Also the roles that somebody was given by hand: both overrule what a token says, at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from crdt_chat.errors import Unauthorized
from crdt_chat.identity import Grant, Role
from store.tenants import RevocationRow, RoleRow

Kind = Literal["token", "user", "tenant"]
KINDS: tuple[Kind, ...] = ("token", "user", "tenant")


@dataclass(slots=True)
class Revocations:
    """All that counts now, by tenant. Times are in seconds since the epoch."""

    rows: dict[int, RevocationRow] = field(default_factory=dict)
    roles: dict[tuple[str, str], Role] = field(default_factory=dict)
    _tokens: set[tuple[str, str]] = field(default_factory=set)
    _before: dict[tuple[str, str | None], float] = field(default_factory=dict)

    def adopt(self, rows: Iterable[RevocationRow], roles: Iterable[RoleRow]) -> None:
        """Take over what the database says."""
        self.rows = {row.id: row for row in rows}
        self.roles = {(row.tenant, row.user): Role.parse(row.role) for row in roles}
        self._index()

    def add(self, row: RevocationRow) -> None:
        """One more counts from now on."""
        self.rows[row.id] = row
        self._index()

    def drop(self, number: int) -> None:
        """One does not count any more."""
        self.rows.pop(number, None)
        self._index()

    def drop_tenant(self, tenant: str) -> None:
        """Nothing of a tenant counts any more."""
        self.rows = {number: row for number, row in self.rows.items() if row.tenant != tenant}
        self.roles = {key: role for key, role in self.roles.items() if key[0] != tenant}
        self._index()

    def _index(self) -> None:
        self._tokens, self._before = set(), {}
        for row in self.rows.values():
            if row.kind == "token":
                self._tokens.add((row.tenant, row.subject))
            else:
                key = (row.tenant, row.subject if row.kind == "user" else None)
                self._before[key] = max(self._before.get(key, 0.0), row.at / 1000)

    def of(self, tenant: str) -> list[RevocationRow]:
        """A tenant's, oldest first."""
        return [row for row in self.rows.values() if row.tenant == tenant]

    def apply(self, grant: Grant) -> Grant:
        """The grant with the role that counts now. Raises Unauthorized if it was revoked.

        A grant of unknown issue is taken to be older than any revocation.
        """
        if grant.token is not None and (grant.tenant, grant.token) in self._tokens:
            raise Unauthorized("the token was revoked")
        issued = grant.issued if grant.issued is not None else 0.0
        for whom in (grant.user, None):
            before = self._before.get((grant.tenant, whom))
            if before is not None and issued <= before:
                raise Unauthorized("all tokens of that time were revoked: get a fresh one")
        role = self.roles.get((grant.tenant, grant.user))
        return grant if role is None or role is grant.role else replace(grant, role=role)
