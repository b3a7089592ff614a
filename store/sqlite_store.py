"""The store on one SQLite file: the writing verbs, each in the writer thread and its transaction."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from store import backup, epochs, integrity, journal, pages, readmodel, retention, schema, seals
from store.batch import Heads
from store.beside import Work
from store.faults import of_file
from store.lock import FileLock
from store.moderation import ModerationTables
from store.protocol import Project
from store.records import (
    CommitResult,
    Conflict,
    Hit,
    PageCommit,
    Projected,
    Pruned,
    Report,
    Rewrite,
    Rewritten,
)
from store.sqlite_reader import SqliteReader, directory_holds
from store.trust import TenantTables
from store.writer import Writer

_Forget = Callable[[sqlite3.Connection, Heads, tuple[str, str], int], int]
_Old = Callable[[sqlite3.Connection, str | None, int], list[tuple[str, str]]]


class SqliteStore(SqliteReader):
    """One file, one writer thread, a few readers. Made by `store.open_store`; close it after use.

    It implements `store.protocol.Store`, which says what each verb does.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises Locked, NotAStore, SchemaMismatch, Damaged."""
        self.path = Path(os.path.realpath(path))
        self._lock = FileLock(self.path)
        try:
            with of_file(self.path):
                db = self._open()
        except BaseException:
            self._lock.release()
            raise
        self._begin(complete=directory_holds(db))
        reopen = partial(schema.connect, self.path)
        self._writer = Writer(db, Heads(complete=self._complete), reopen)
        self.trust = TenantTables(self._readers.read, self._write)
        self.moderation = ModerationTables(self._readers.read, self._write)

    async def _write(self, work: Work[object]) -> object:
        return await self._writer.call(lambda db, _: work(db))

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            # It holds secrets and what people wrote: nobody else's business (the WAL inherits it).
            schema.create_private(self.path)
        db = schema.connect(self.path)
        try:
            schema.prepare(db, self.path)
            seals.require(db, self.path)
        except BaseException:
            db.close()
            raise
        return db

    async def commit(self, commits: Sequence[PageCommit]) -> list[CommitResult]:
        """Append what these pages say; durable when it returns."""
        return await self._writer.commit(commits)

    async def snapshot(
        self, tenant: str, page: str, upto_seq: int, data: bytes, *, keep: int | None = None
    ) -> bool:
        """Let `data` stand for all rows up to `upto_seq`."""

        def work(db: sqlite3.Connection, heads: Heads) -> bool:
            row = heads.get(db, tenant, page)
            if row is None:
                return False
            db.execute("BEGIN IMMEDIATE")
            done = journal.put_snapshot(db, row, upto_seq, data)
            if done and keep is not None:
                journal.forget(db, row, upto_seq - keep)
            pages.save(db, [row])
            db.execute("COMMIT")
            return done

        return await self._writer.call(work)

    async def rewrite(
        self, tenant: str, page: str, expected_seq: int | None, rewrite: Rewrite
    ) -> Rewritten | Conflict:
        """Replace the page under a new epoch."""
        name = (tenant, page)
        return await self._writer.call(
            lambda db, heads: epochs.rewrite(db, heads, name, expected_seq, rewrite)
        )

    async def wipe(self) -> None:
        """Rewrite the file, so that nothing of what was removed is left in it or its log."""
        await self._writer.call(lambda db, _: epochs.wipe(db))

    async def reproject(self, tenant: str, page: str, projected: Sequence[Projected]) -> bool:
        """Replace the page's read model."""

        def work(db: sqlite3.Connection, heads: Heads) -> bool:
            row = heads.get(db, tenant, page)
            if row is None:
                return False
            db.execute("BEGIN IMMEDIATE")
            readmodel.clear(db, row.id)
            readmodel.apply(db, [(row.id, projected)])
            db.execute("COMMIT")
            return True

        return await self._writer.call(work)

    async def prune(
        self, now: int, *, events_ms: int | None, history_ms: int | None, tenant: str | None = None
    ) -> Pruned:
        """Remove old events and history, a chunk per transaction so that commits get between."""
        removed = [0, 0]
        kinds: list[tuple[int | None, _Old, _Forget]] = [
            (events_ms, retention.old_events, retention.forget_events),
            (history_ms, retention.old_rows, retention.forget_rows),
        ]
        for position, (age, old, forget) in enumerate(kinds):
            if age is not None:
                removed[position] = await self._forget(tenant, now - age, old, forget)
        return Pruned(*removed)

    async def _forget(self, tenant: str | None, before: int, old: _Old, forget: _Forget) -> int:
        removed = 0
        for name in await self._readers.read(lambda db: old(db, tenant, before)):
            work = partial(_forget_some, forget, name, before)
            while count := await self._writer.call(work):
                removed += count
        return removed

    async def search(
        self, tenant: str, text: str, *, page: str | None = None, limit: int = 50
    ) -> list[Hit]:
        """Where all words of `text` stand, best first, in all that is committed."""
        await self._writer.catch_up()
        return await super().search(tenant, text, page=page, limit=limit)

    async def reserve_clock(self, until: int) -> int:
        """Remember the latest awareness clock that may be used."""

        def work(db: sqlite3.Connection, _: Heads) -> int:
            found = db.execute("SELECT reserved FROM clock").fetchone()
            before = 0 if found is None else int(found[0])
            if until > before:
                db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (until,))
            return before

        return await self._writer.call(work)

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a consistent, verified copy while serving."""
        await anyio.to_thread.run_sync(backup.backup, self.path, Path(target))

    async def integrity(self, project: Project | None = None) -> Report:
        """Verify everything, the full text index, too."""
        report = await super().integrity(project)
        await self._writer.call(lambda db, _: integrity.check_index(db, report))
        return report

    def _close(self) -> None:
        super()._close()
        self._writer.close()
        self._lock.release()


def _forget_some(
    forget: _Forget, name: tuple[str, str], before: int, db: sqlite3.Connection, heads: Heads
) -> int:
    return forget(db, heads, name, before)
