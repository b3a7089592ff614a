"""The store's verbs in memory, for tests and throw-away servers: nothing outlives the object."""

import json
import os
from collections.abc import Iterable, Sequence

from store import readmodel
from store.beside import in_memory
from store.errors import Closed, StoreError
from store.faults import UNREADABLE
from store.integrity import differences
from store.memory_page import (
    MemoryPage,
    checked,
    forget_events,
    forget_rows,
    history,
    people,
    said,
    shows,
)
from store.moderation import ModerationTables
from store.protocol import Project
from store.records import (
    Appended,
    CommitResult,
    Conflict,
    EventRow,
    Failed,
    Hit,
    ListedPage,
    LogRow,
    PageCommit,
    Problem,
    Projected,
    Pruned,
    Report,
    Rewrite,
    Rewritten,
    StoredPage,
    UsageRow,
)
from store.trust import TenantTables

_DAY_MS = 86_400_000
Name = tuple[str, str]


class MemoryStore:
    """Implements `store.protocol.Store`, which says what each verb does."""

    def __init__(self) -> None:
        self._pages: dict[Name, MemoryPage] = {}
        self._clock = 0
        self._usage: dict[tuple[str, int, str, str], int] = {}
        self._closed = False
        run = in_memory(TenantTables, ModerationTables)
        self.trust, self.moderation = TenantTables(run, run), ModerationTables(run, run)

    def _open(self) -> None:
        if self._closed:
            raise Closed("the store is closed")

    def _page(self, tenant: str, page: str) -> MemoryPage:
        self._open()
        return self._pages.get((tenant, page)) or MemoryPage()

    async def commit(self, commits: Sequence[PageCommit]) -> list[CommitResult]:
        """Append what these pages say."""
        self._open()
        return [await self._commit(commit) for commit in commits]

    async def _commit(self, commit: PageCommit) -> CommitResult:
        page = self._pages.get((commit.tenant, commit.page)) or MemoryPage()
        fresh = {e.origin: e for e in commit.entries if e.origin not in page.origins}
        if commit.entries and not fresh:
            return Appended(page.seq)
        if page.seq != commit.expected_seq:
            return Conflict(tuple(r for r in page.rows if r.seq > commit.expected_seq))
        try:
            checked(commit)
            await self._note(commit)
        except UNREADABLE as error:
            return Failed(error)
        for entry in fresh.values():
            page.append(entry)
        page.gate(commit)
        page.project(commit.projected)
        stamps = page.stamp(commit.events, commit.entries[-1].at if commit.entries else 0)
        for metric, amount in commit.usage:
            key = (commit.tenant, page.updated // _DAY_MS, commit.page, metric)
            self._usage[key] = self._usage.get(key, 0) + amount
        self._pages[commit.tenant, commit.page] = page
        return Appended(page.seq, stamps)

    async def _note(self, commit: PageCommit) -> None:
        for ruling in commit.moderated:
            await self.moderation.note(ruling)
        await self.trust.note(commit.audit)

    async def load(self, tenant: str, page: str) -> StoredPage | None:
        """Everything of a page; None if it was never written."""
        if (tenant, page) not in self._pages:
            self._open()
            return None
        return self._page(tenant, page).stored()

    async def read(self, tenant: str, page: str, after: int, limit: int = -1) -> list[LogRow]:
        """Log rows with seq > `after`."""
        rows = [row for row in self._page(tenant, page).rows if row.seq > after]
        return rows if limit < 0 else rows[:limit]

    async def events(self, tenant: str, page: str, after: int, limit: int = -1) -> list[EventRow]:
        """Events with timestamp > `after` (ms)."""
        rows = [row for row in self._page(tenant, page).events if row.timestamp > after]
        return rows if limit < 0 else rows[:limit]

    async def event_floor(self, tenant: str, page: str) -> int:
        """The newest timestamp (ms) that retention has removed, 0 for none."""
        return self._page(tenant, page).event_floor

    async def names(self) -> list[Name]:
        """All pages of all tenants."""
        self._open()
        return sorted(self._pages)

    async def heads(self, names: Iterable[Name]) -> dict[Name, int]:
        """The head seq of each of these (tenant, page) that exists."""
        self._open()
        return {name: self._pages[name].seq for name in names if name in self._pages}

    async def pages(self, tenant: str, after: str = "", limit: int = 1_000) -> list[ListedPage]:
        """The tenant's pages by name."""
        self._open()
        names = sorted(n for t, n in self._pages if t == tenant and n > after)
        return [self._listed(tenant, name) for name in names[:limit]]

    def _listed(self, tenant: str, name: str) -> ListedPage:
        page = self._pages[tenant, name]
        title = json.loads(page.keys.get(("page", "title"), "null"))
        roots = [root for root, _ in page.keys]
        return ListedPage(
            name,
            title if isinstance(title, str) else None,
            page.updated,
            page.seq,
            page.epoch,
            roots.count("annotations"),
            roots.count("comments"),
        )

    async def pages_with(self, tenant: str, root: str, name: str) -> list[str]:
        """The tenant's pages on which this key is there now."""
        self._open()
        if root not in readmodel.TABLES:
            raise KeyError(root)
        pages = [(n, page) for (owner, n), page in self._pages.items() if owner == tenant]
        return sorted(n for n, page in pages if (root, name) in page.keys)

    async def pages_naming(
        self, tenant: str, user: str, texts: Sequence[str], ending: str
    ) -> list[str]:
        """The tenant's pages on which a user appears."""
        self._open()
        pages = [(name, page) for (owner, name), page in self._pages.items() if owner == tenant]
        return sorted(name for name, page in pages if shows(page, user, texts, ending))

    async def users(self, tenant: str) -> list[str]:
        """Everybody who appears on the tenant's pages."""
        self._open()
        pages = [page for (owner, _), page in self._pages.items() if owner == tenant]
        return sorted({user for page in pages for user in people(page)} - {""})

    async def search(
        self, tenant: str, text: str, *, page: str | None = None, limit: int = 50
    ) -> list[Hit]:
        """Where all words of `text` stand."""
        self._open()
        words = text.lower().split()
        found = [
            hit
            for (owner, name), kept in self._pages.items()
            if owner == tenant and page in (None, name)
            for hit in said(name, kept)
            if words and all(word in hit.text.lower() for word in words)
        ]
        return found[: max(limit, 0)]

    async def usage(self, tenant: str, first_day: int, last_day: int) -> list[UsageRow]:
        """The tenant's counters of these days."""
        self._open()
        rows = [
            UsageRow(day, page, metric, amount)
            for (owner, day, page, metric), amount in self._usage.items()
            if owner == tenant and first_day <= day <= last_day
        ]
        return sorted(rows, key=lambda row: (row.day, row.page, row.metric))

    async def snapshot(
        self, tenant: str, page: str, upto_seq: int, data: bytes, *, keep: int | None = None
    ) -> bool:
        """Let `data` stand for all rows up to `upto_seq`."""
        kept = self._page(tenant, page)
        if not kept.snapshot_seq < upto_seq <= kept.seq:
            return False
        kept.snapshot, kept.snapshot_seq = bytes(data), upto_seq
        if keep is not None:
            kept.rows = [row for row in kept.rows if row.seq > upto_seq - keep]
        return True

    async def rewrite(
        self, tenant: str, page: str, expected_seq: int | None, rewrite: Rewrite
    ) -> Rewritten | Conflict:
        """Replace the page under a new epoch."""
        checked(rewrite)
        old = self._page(tenant, page)
        if expected_seq not in (None, old.seq):
            return Conflict(tuple(r for r in old.rows if r.seq > (expected_seq or 0)))
        epoch = max(old.epoch + 1, rewrite.epoch)
        new = MemoryPage(old.seq, epoch, old.updated, last_event=old.last_event)
        new.erased = old.erased | {*rewrite.erased}
        new.rows = history(old.rows, rewrite)
        new.append(rewrite.entry)
        new.snapshot, new.snapshot_seq = bytes(rewrite.entry.update), new.seq
        new.gate(rewrite)
        retired = {*old.owners, *rewrite.retire} - {*new.owners}
        new.retired = old.retired | dict.fromkeys(retired, old.epoch)
        new.project(rewrite.projected)
        new.events = list(old.events) if rewrite.keep_events else []
        new.event_floor = old.event_floor if rewrite.keep_events else old.last_event
        stamps = new.stamp(rewrite.events, rewrite.entry.at)
        self._pages[tenant, page] = new
        return Rewritten(new.epoch, new.seq, stamps)

    async def wipe(self) -> None:
        """Nothing is left in memory as it is."""
        self._open()

    async def reproject(self, tenant: str, page: str, projected: Sequence[Projected]) -> bool:
        """Replace the page's read model."""
        kept = self._page(tenant, page)
        for key in projected:
            readmodel.check(key)
        kept.keys.clear()
        kept.project(projected)
        return (tenant, page) in self._pages

    async def prune(
        self, now: int, *, events_ms: int | None, history_ms: int | None, tenant: str | None = None
    ) -> Pruned:
        """Remove old events and history."""
        self._open()
        removed = [0, 0]
        for (owner, _), page in self._pages.items():
            if tenant in (None, owner):
                removed[0] += 0 if events_ms is None else forget_events(page, now - events_ms)
                removed[1] += 0 if history_ms is None else forget_rows(page, now - history_ms)
        return Pruned(*removed)

    async def integrity(self, project: Project | None = None) -> Report:
        """Count, and with `project` compare; memory itself is believed."""
        self._open()
        report = Report(len(self._pages))
        for name, page in self._pages.items():
            if project is not None:
                found = differences(dict(page.keys), page.stored(), project)
                report.problems += [Problem(*name, what) for what in found]
            report.rows += len(page.rows)
            report.events += len(page.events)
            report.keys += len(page.keys)
        return report

    async def reserve_clock(self, until: int) -> int:
        """Remember the latest awareness clock that may be used."""
        before, self._clock = self._clock, max(self._clock, until)
        return before

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Nothing to copy: raises StoreError."""
        raise StoreError(f"a store in memory has no file to copy to {os.fspath(target)}")

    async def close(self) -> None:
        """Refuse every later verb."""
        self._closed = True
