"""The plain rows that go in and out of the store: keys, bytes and text, no types of the chat."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from store.moderation import ModerationEntry
from store.tenants import AuditEntry


class LogEntry(NamedTuple):
    """One admitted update to append. `origin` (16 bytes) is its idempotency key on this page."""

    origin: bytes
    actor: str
    connection: str
    at: int
    update: bytes


class EventEntry(NamedTuple):
    """One event to append: `body` is the JSON object without `timestamp`: the store assigns it."""

    type: str
    broadcast_id: str
    user: str
    entity: str
    body: str


class Projected(NamedTuple):
    """One key of the read model: `value` is its JSON text, None where the key is gone.

    root and name are opaque here but for `annotations`, `comments`, `resolved`, `reactions`,
    `deleted`, which fill the tables and the full text index of the read model.
    """

    root: str
    name: str
    value: str | None


@dataclass(slots=True)
class PageCommit:
    """All that one page commits at once: atomic, in one savepoint of the shared transaction.

    expected_seq is the head this was judged on: another writer's rows make it a Conflict.
    archived: root, name and content of what a deletion took away, which lifting it brings back;
    unarchived: root and name of what is no longer kept so. moderated and audit: what the entries are
    of moderation, noted beside the page and in the audit log.
    """

    tenant: str
    page: str
    expected_seq: int
    entries: Sequence[LogEntry] = ()
    events: Sequence[EventEntry] = ()
    projected: Sequence[Projected] = ()
    owners: Sequence[tuple[int, str]] = ()
    entities: Sequence[tuple[str, str, int]] = ()
    refused: Sequence[tuple[int, int, int, str]] = ()
    held: Sequence[tuple[str, str]] = ()
    released: Sequence[str] = ()
    archived: Sequence[tuple[str, str, str]] = ()
    unarchived: Sequence[tuple[str, str]] = ()
    usage: Sequence[tuple[str, int]] = ()
    moderated: Sequence[ModerationEntry] = ()
    audit: Sequence[AuditEntry] = ()


class LogRow(NamedTuple):
    """One journaled update: dense per-page seq from 1, `at` in ms."""

    seq: int
    at: int
    actor: str
    connection: str
    update: bytes


class EventRow(NamedTuple):
    """One event of the log: `timestamp` (ms) strictly rises per page, by at least 2."""

    timestamp: int
    type: str
    broadcast_id: str
    user: str
    entity: str
    body: str


@dataclass(frozen=True, slots=True)
class Appended:
    """The commit is durable: the page's head is now `seq`; its events have these timestamps."""

    seq: int
    timestamps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else appended first: these are the rows after expected_seq; nothing was written."""

    rows: tuple[LogRow, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """This page's part was rolled back; other pages' parts stand."""

    error: Exception


CommitResult = Appended | Conflict | Failed


@dataclass(slots=True)
class StoredPage:
    """All that brings a page to life: snapshot, the rows after it and the gate's state."""

    seq: int
    epoch: int
    snapshot: bytes | None
    snapshot_seq: int
    rows: list[LogRow] = field(default_factory=list)
    owners: list[tuple[int, str]] = field(default_factory=list)
    entities: list[tuple[str, str, int]] = field(default_factory=list)
    refused: list[tuple[int, int, int, str]] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)
    archived: list[tuple[str, str, str]] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    last_event: int = 0


@dataclass(slots=True)
class Rewrite:
    """A page's content under a new epoch: it replaces all that the page was.

    entry is journaled as the first row of the new epoch: its update is the whole new state, which
    becomes the snapshot, too. Gate rows and projected are complete, not additions. retire names Yjs
    client ids of the old epoch; those that had an owner are retired anyway. erased are digests of names that
    nobody may write again; those of older epochs stay. The new epoch is at least `epoch`. history says what
    becomes of older rows of the log: kept, redacted (who and what emptied; only those by `actors`,
    where it is given) or deleted. Without keep_events the event log starts anew, too.
    """

    entry: LogEntry
    events: Sequence[EventEntry] = ()
    projected: Sequence[Projected] = ()
    owners: Sequence[tuple[int, str]] = ()
    entities: Sequence[tuple[str, str, int]] = ()
    refused: Sequence[tuple[int, int, int, str]] = ()
    held: Sequence[tuple[str, str]] = ()
    archived: Sequence[tuple[str, str, str]] = ()
    retire: Sequence[int] = ()
    erased: Sequence[str] = ()
    epoch: int = 0
    history: Literal["keep", "redact", "delete"] = "delete"
    actors: frozenset[str] | None = None
    keep_events: bool = False


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The rewrite is durable: the page's epoch, its head and its events' timestamps (ms)."""

    epoch: int
    seq: int
    timestamps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page in a list: `updated` is the time of its newest update in ms."""

    page: str
    title: str | None
    updated: int
    seq: int
    epoch: int
    annotations: int
    comments: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a searched text stands; comment is None where it is quote or title."""

    page: str
    annotation: str
    comment: str | None
    creator: str
    created: int
    text: str


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A counter: day is days since 1970-01-01 (UTC)."""

    day: int
    page: str
    metric: str
    amount: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many events and rows of history retention removed."""

    events: int
    rows: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not verify; tenant and page are None where it is the whole file."""

    tenant: str | None
    page: str | None
    what: str


@dataclass(slots=True)
class Report:
    """What `integrity` found: `problems` is empty when all is well."""

    pages: int = 0
    rows: int = 0
    events: int = 0
    keys: int = 0
    problems: list[Problem] = field(default_factory=list)
