"""One page of the store in memory: its log, events, gate rows and read model as plain collections."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field

from store import readmodel
from store.checksums import fields_crc, row_digest
from store.pages import EVENT_STEP
from store.records import (
    EventEntry,
    EventRow,
    Hit,
    LogEntry,
    LogRow,
    PageCommit,
    Projected,
    Rewrite,
    StoredPage,
)


@dataclass(slots=True)
class MemoryPage:
    """One page; `checked` comes before anything is changed, so that a part is whole or not at all."""

    seq: int = 0
    epoch: int = 1
    updated: int = 0
    snapshot: bytes | None = None
    snapshot_seq: int = 0
    last_event: int = 0
    event_floor: int = 0
    rows: list[LogRow] = field(default_factory=list)
    origins: set[bytes] = field(default_factory=set)
    events: list[EventRow] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)
    entities: dict[str, tuple[str, int]] = field(default_factory=dict)
    refused: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    archived: dict[tuple[str, str], str] = field(default_factory=dict)
    retired: dict[int, int] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)

    def append(self, entry: LogEntry) -> None:
        """Journal one update."""
        self.seq += 1
        self.updated = max(self.updated, entry.at)
        self.origins.add(entry.origin)
        self.rows.append(
            LogRow(self.seq, entry.at, entry.actor, entry.connection, bytes(entry.update))
        )

    def stamp(self, entries: Sequence[EventEntry], now: int) -> tuple[int, ...]:
        """Append events; their timestamps (ms), `now` or later."""
        stamps = []
        for event in entries:
            self.last_event = max(now, self.last_event + EVENT_STEP)
            stamps.append(self.last_event)
            row = (event.type, event.broadcast_id, event.user, event.entity, event.body)
            self.events.append(EventRow(self.last_event, *row))
        return tuple(stamps)

    def gate(self, part: PageCommit | Rewrite) -> None:
        """Keep the gate's rows of this part."""
        self.owners.update(part.owners)
        self.entities.update({name: (creator, at) for name, creator, at in part.entities})
        for client, clock, length, repair in part.refused:
            self.refused[client, clock] = (length, repair)
        if isinstance(part, PageCommit):
            for name in part.released:
                self.held.pop(name, None)
            for key in part.unarchived:
                self.archived.pop(key, None)
        self.held.update(part.held)
        self.archived.update({(root, name): content for root, name, content in part.archived})

    def project(self, projected: Iterable[Projected]) -> None:
        """Bring these keys of the read model up to date."""
        for key in projected:
            if key.value is None:
                self.keys.pop((key.root, key.name), None)
            else:
                self.keys[key.root, key.name] = key.value

    def stored(self) -> StoredPage:
        """What `load` gives."""
        return StoredPage(
            self.seq,
            self.epoch,
            self.snapshot,
            self.snapshot_seq,
            [row for row in self.rows if row.seq > self.snapshot_seq],
            list(self.owners.items()),
            [(name, *rest) for name, rest in self.entities.items()],
            [(*key, *rest) for key, rest in self.refused.items()],
            list(self.held.items()),
            [(*key, content) for key, content in self.archived.items()],
            sorted(self.retired),
            sorted(self.erased),
            self.last_event,
        )


def checked(part: PageCommit | Rewrite) -> None:
    """Raise for what SQLite could not keep, either: ValueError, TypeError, struct.error."""
    for entry in part.entries if isinstance(part, PageCommit) else (part.entry,):
        row_digest(0, entry.at, 0, entry.actor, entry.connection, entry.origin, entry.update)
    for event in part.events:
        fields_crc(event.type, event.broadcast_id, event.user, event.entity, event.body)
    for rows in (part.owners, part.entities, part.refused, part.held, part.archived):
        for row in rows:
            fields_crc(*row)
    for key in part.projected:
        readmodel.check(key)
    if isinstance(part, PageCommit):
        for values in (*map(astuple, part.moderated), *map(astuple, part.audit)):
            fields_crc(*values)


def said(name: str, page: MemoryPage) -> Iterable[Hit]:
    """Every text of the page that can be searched; not what belongs to deleted threads."""
    gone = {
        key.partition("/")[0]
        for root, key in page.keys
        if root == "deleted" and key.count("/") == 1
    }
    for (root, key), value in page.keys.items():
        annotation, _, comment = key.partition("/")
        if root not in ("comments", "annotations") or annotation in gone:
            continue
        who = json.loads(value)
        creator, created = who.get("creator", ""), who.get("created", 0)
        text = readmodel.text(root, value)
        yield Hit(name, annotation, comment or None, creator, created, text)


def history(rows: list[LogRow], rewrite: Rewrite) -> list[LogRow]:
    """What a rewrite leaves of the older rows."""
    if rewrite.history == "delete":
        return []
    if rewrite.history == "keep":
        return list(rows)
    return [
        LogRow(row.seq, row.at, "", "", b"")
        if rewrite.actors is None or row.actor in rewrite.actors
        else row
        for row in rows
    ]


def forget_events(page: MemoryPage, before: int) -> int:
    """Remove events older than `before` (ms); returns how many."""
    old = [row for row in page.events if row.timestamp < before]
    if old:
        page.event_floor = old[-1].timestamp
        page.events = page.events[len(old) :]
    return len(old)


def forget_rows(page: MemoryPage, before: int) -> int:
    """Remove the oldest rows below the snapshot that are older than `before` (ms)."""
    count = 0
    for row in page.rows:
        if row.seq > page.snapshot_seq or row.at >= before:
            break
        count += 1
    page.rows = page.rows[count:]
    return count


def people(page: MemoryPage) -> set[str]:
    """Everybody who appears where user ids are kept."""
    creators = {creator for creator, _ in page.entities.values()}
    for (root, _), value in page.keys.items():
        if root in ("annotations", "comments"):
            creators.add(json.loads(value).get("creator", ""))
    actors = {row.actor for row in page.rows} | {row.user for row in page.events}
    return {*page.owners.values()} | creators | actors


def shows(page: MemoryPage, user: str, texts: Sequence[str], ending: str) -> bool:
    """Whether a user appears on the page: among its people, in a text, at the end of a name."""
    said = [*page.keys.values(), *page.held.values(), *page.archived.values()]
    said += [row.body for row in page.events]
    names = [name for _, name in (*page.keys, *page.archived)]
    written = [row.update for row in page.rows] + [page.snapshot or b""]
    return (
        user in people(page)
        or any(text in each for text in texts for each in said)
        or any(name.endswith(ending) for name in names)
        or any(text.encode() in each for text in (*texts, ending) for each in written)
    )
