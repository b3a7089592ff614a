"""The plain rows that go in and out of the store: keys, bytes and text, no types of the chat."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One admitted update to append. `origin` (16 bytes) is its idempotency key on this page."""

    origin: bytes
    actor: str
    connection: str
    at: int
    update: bytes


@dataclass(frozen=True, slots=True)
class EventEntry:
    """One event to append: `body` is the JSON object without `timestamp`: the store assigns it."""

    type: str
    broadcast_id: str
    user: str
    entity: str
    body: str


@dataclass(frozen=True, slots=True)
class Projected:
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
    usage: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class LogRow:
    """One journaled update: dense per-page seq from 1, `at` in ms."""

    seq: int
    at: int
    actor: str
    connection: str
    update: bytes


@dataclass(frozen=True, slots=True)
class EventRow:
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
    retired: list[int] = field(default_factory=list)
