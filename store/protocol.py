"""The verbs of a store: what the server needs, whatever keeps it (memory, SQLite, a cluster)."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from store.moderation import Moderated
from store.records import (
    CommitResult,
    Conflict,
    EventRow,
    Hit,
    ListedPage,
    LogRow,
    PageCommit,
    Projected,
    Pruned,
    Report,
    Rewrite,
    Rewritten,
    StoredPage,
    UsageRow,
)
from store.tenants import Trust

Project = Callable[[StoredPage], Iterable[Projected]]
"""Works out a page's whole read model from its log; the store itself cannot read updates.

Raises Quarantined for a log that verifies and yet cannot be applied."""


@runtime_checkable
class Reader(Protocol):
    """The verbs that change nothing. Each may raise Closed or Unavailable.

    A page that does not verify raises Quarantined; it never looks empty.
    """

    async def load(self, tenant: str, page: str) -> StoredPage | None:
        """Everything of a page; None if it was never written."""
        ...

    async def read(self, tenant: str, page: str, after: int, limit: int = -1) -> list[LogRow]:
        """Log rows with seq > `after`, ascending, at most `limit` (negative: all).

        Rows that retention has removed are not there: the first may be later than after + 1.
        """
        ...

    async def events(self, tenant: str, page: str, after: int, limit: int = -1) -> list[EventRow]:
        """Events with timestamp > `after` (ms), ascending, at most `limit` (negative: all)."""
        ...

    async def event_floor(self, tenant: str, page: str) -> int:
        """The newest timestamp (ms) that retention has removed, 0 for none.

        A reader whose cursor is older has missed events and must resync.
        """
        ...

    async def names(self) -> list[tuple[str, str]]:
        """(tenant, page) of all pages there are, in order."""
        ...

    async def heads(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The head seq of each of these (tenant, page) that exists."""
        ...

    async def pages(self, tenant: str, after: str = "", limit: int = 1_000) -> list[ListedPage]:
        """The tenant's pages by name, those after `after`, at most `limit`."""
        ...

    async def pages_with(self, tenant: str, root: str, name: str) -> list[str]:
        """The tenant's pages, by name, on which this key is there now.

        root is one that has a table of its own: `annotations`, `comments`, `reactions`, `resolved`
        or `deleted`. Raises KeyError for another.
        """
        ...

    async def pages_naming(
        self, tenant: str, user: str, texts: Sequence[str], ending: str
    ) -> list[str]:
        """The tenant's pages, by name, on which `user` may appear: in a column for user ids, by one
        of `texts` in any content, history included, or by a key's `ending`. Looks through everything.
        """
        ...

    async def users(self, tenant: str) -> list[str]:
        """Everybody who appears on the tenant's pages, in columns for user ids."""
        ...

    async def search(
        self, tenant: str, text: str, *, page: str | None = None, limit: int = 50
    ) -> list[Hit]:
        """Where all words of `text` (each may be the beginning of one) stand, best first.

        Comments of deleted threads are not searched.
        """
        ...

    async def usage(self, tenant: str, first_day: int, last_day: int) -> list[UsageRow]:
        """The tenant's counters of these days (since 1970-01-01, inclusive), in order."""
        ...

    async def integrity(self, project: Project | None = None) -> Report:
        """Verify everything; with `project` also compare the read model with the log."""
        ...

    async def close(self) -> None:
        """Finish what is queued and let go."""
        ...


@runtime_checkable
class Store(Reader, Protocol):
    """All verbs. What a verb has answered is durable."""

    @property
    def trust(self) -> Trust:
        """The tenants, what was revoked, and the audit log."""
        ...

    @property
    def moderation(self) -> Moderated:
        """What was flagged and moderated, with reasons."""
        ...

    async def commit(self, commits: Sequence[PageCommit]) -> list[CommitResult]:
        """Append what these pages say, each page's part whole or not at all.

        Appended; Conflict with the rows after expected_seq if the head is another; Failed. An entry
        whose origin the page's newest 512 rows hold is not appended again, and if that goes for
        all of them it is Appended with the head as it is, whatever was expected.
        """
        ...

    async def snapshot(
        self, tenant: str, page: str, upto_seq: int, data: bytes, *, keep: int | None = None
    ) -> bool:
        """Let `data` stand for all rows up to `upto_seq`; the caller has verified it by reloading.

        keep is how many of the rows it replaces stay as history (None: all of them). False if
        there is no such page or that is no progress.
        """
        ...

    async def rewrite(
        self, tenant: str, page: str, expected_seq: int | None, rewrite: Rewrite
    ) -> Rewritten | Conflict:
        """Replace the page under a new epoch, in one transaction (design 7, Epochs).

        Conflict if the head is not `expected_seq` (None: whatever it is). A page whose log,
        snapshot or tables are damaged is whole again afterwards.
        """
        ...

    async def wipe(self) -> None:
        """Leave no byte on the disk of what was removed: free pages and log are emptied."""
        ...

    async def reproject(self, tenant: str, page: str, projected: Sequence[Projected]) -> bool:
        """Replace the page's read model; False if there is no such page."""
        ...

    async def prune(
        self, now: int, *, events_ms: int | None, history_ms: int | None, tenant: str | None = None
    ) -> Pruned:
        """Remove events and history (rows below a snapshot) older than this at `now` (all ms).

        None keeps all of that kind; `tenant` limits it to one. A page's newest rows, which it is
        loaded from, always stay.
        """
        ...

    async def reserve_clock(self, until: int) -> int:
        """Remember that awareness clocks (ms) up to `until` may be used, unless more is remembered.

        Returns what was remembered before, 0 for nothing: no process of this file has used more.
        """
        ...

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a consistent, verified copy while serving. Raises FileExistsError."""
        ...
