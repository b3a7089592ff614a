"""What readers flagged and moderators did, with reasons: rows beside the pages, erased with them."""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from store import trust
from store.beside import BesideTables
from store.tenants import AuditEntry

TABLES = (
    """
    CREATE TABLE moderation (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, page TEXT NOT NULL,
        at INTEGER NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL, entity TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX moderation_of_page ON moderation (tenant, page, id)",
)
"""The statements of the migration that makes the tables."""


@dataclass(frozen=True, slots=True)
class ModerationEntry:
    """Who did what to which annotation or comment (or `page`), when (ms), and why. id: the store's."""

    tenant: str
    page: str
    at: int
    user: str
    action: str
    entity: str
    reason: str
    id: int = 0


class Moderated(Protocol):
    """The verbs. What a changing verb has answered is durable."""

    async def note(self, entry: ModerationEntry, audit: AuditEntry | None = None) -> int:
        """Append an entry, and to the audit log what it may be there; returns its id."""
        ...

    async def of(self, tenant: str, page: str) -> list[ModerationEntry]:
        """The entries of a page, oldest first."""
        ...

    async def by(self, tenant: str, user: str) -> list[ModerationEntry]:
        """What one user flagged or did, on all pages of the tenant, oldest first."""
        ...

    async def naming(self, tenant: str, user: str) -> list[ModerationEntry]:
        """What on all pages of the tenant names a user, as a word, oldest first."""
        ...

    async def flagged(self, tenant: str, answers: Sequence[str]) -> list[ModerationEntry]:
        """The flags on all pages of the tenant that none of these actions has answered since."""
        ...

    async def erase(
        self,
        tenant: str,
        *,
        page: str | None = None,
        user: str | None = None,
        entities: Sequence[str] = (),
    ) -> None:
        """Remove entries: by `user` or naming her as a word, on `page` of `entities` (none: all)."""
        ...


_LETTER = r"[0-9A-Za-z_\u00c0-\u058f\u10a0-\u10ff\u1e00-\u1fff]"
"""What makes another word of an id that it touches: letters of scripts that put spaces between words, and
nothing on names. "ada의" and "用户ada的" name ada, "adam" does not; page/erasure.py has the same.
"""

_COLUMNS = "tenant, page, at, user, action, entity, reason"
_INSERT = f"INSERT INTO moderation ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608
_SELECT = f"SELECT {_COLUMNS}, id FROM moderation WHERE tenant = ?"  # noqa: S608


class ModerationTables(BesideTables):
    """Implements Moderated."""

    statements = TABLES

    async def note(self, entry: ModerationEntry, audit: AuditEntry | None = None) -> int:
        """Append an entry."""

        def work(db: sqlite3.Connection) -> int:
            number = append(db, entry)
            if audit is not None:
                trust.append(db, audit)
            return number

        return await self._writing(work)

    async def of(self, tenant: str, page: str) -> list[ModerationEntry]:
        """The entries of a page."""
        return await self._find(" AND page = ? ORDER BY id", (tenant, page))

    async def by(self, tenant: str, user: str) -> list[ModerationEntry]:
        """The entries of one user."""
        return await self._find(" AND user = ? ORDER BY id", (tenant, user))

    async def naming(self, tenant: str, user: str) -> list[ModerationEntry]:
        """The entries that name a user."""
        return await self._reading(lambda db: _naming(db, tenant, user))

    async def flagged(self, tenant: str, answers: Sequence[str]) -> list[ModerationEntry]:
        """The flags that wait."""
        later = (
            "SELECT 1 FROM moderation AS later WHERE later.tenant = moderation.tenant "  # noqa: S608
            "AND later.page = moderation.page AND later.entity = moderation.entity "
            f"AND later.id > moderation.id AND later.action IN ({','.join('?' * len(answers))})"
        )
        where = f" AND action = 'flag' AND NOT EXISTS ({later}) ORDER BY id"
        return await self._find(where, (tenant, *answers))

    async def _find(self, where: str, values: Sequence[str]) -> list[ModerationEntry]:
        def work(db: sqlite3.Connection) -> list[ModerationEntry]:
            return [ModerationEntry(*row) for row in db.execute(_SELECT + where, values)]

        return await self._reading(work)

    async def erase(
        self,
        tenant: str,
        *,
        page: str | None = None,
        user: str | None = None,
        entities: Sequence[str] = (),
    ) -> None:
        """Remove entries."""

        def work(db: sqlite3.Connection) -> None:
            gone = "DELETE FROM moderation WHERE tenant = ?"
            if user is not None:
                db.execute(gone + " AND user = ?", (tenant, user))
                named = [(entry.id,) for entry in _naming(db, tenant, user)]
                db.executemany("DELETE FROM moderation WHERE id = ?", named)
            if page is None:
                return
            if not entities:
                db.execute(gone + " AND page = ?", (tenant, page))
            for entity in entities:
                here = " AND page = ? AND (entity = ? OR substr(entity, 1, ?) = ?)"
                below = f"{entity}/"
                db.execute(gone + here, (tenant, page, entity, len(below), below))

        await self._writing(work)


def _naming(db: sqlite3.Connection, tenant: str, user: str) -> list[ModerationEntry]:
    """What names a user as a word of its own: somebody called `a` is not in every reason."""
    there = " AND (instr(entity, ?) OR instr(reason, ?)) ORDER BY id"
    rows = [ModerationEntry(*row) for row in db.execute(_SELECT + there, (tenant, user, user))]
    alone = re.compile(rf"(?<!{_LETTER}){re.escape(user)}(?!{_LETTER})")
    return [entry for entry in rows if alone.search(entry.entity) or alone.search(entry.reason)]


def append(db: sqlite3.Connection, entry: ModerationEntry) -> int:
    """Append an entry, in the transaction of what it tells of; returns its id."""
    values = (entry.tenant, entry.page, entry.at, entry.user, entry.action)
    return db.execute(_INSERT, (*values, entry.entity, entry.reason)).lastrowid or 0
