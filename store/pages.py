"""The page rows: head, chain and sums of each page, and the directory that knows all pages."""

import sqlite3
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from store.checksums import fields_crc
from store.errors import Quarantined

_COLUMNS = (
    "id, tenant, name, epoch, seq, chain, snapshot_seq, updated, last_event, event_floor, "
    "event_number, events_gone, log_gone, gate_sum, crc"
)
_SELECT = f"SELECT {_COLUMNS} FROM page WHERE tenant = ? AND name = ?"  # noqa: S608
_UPDATE = (
    "UPDATE page SET epoch = ?, seq = ?, chain = ?, snapshot_seq = ?, updated = ?, last_event = ?, "
    "event_floor = ?, event_number = ?, events_gone = ?, log_gone = ?, gate_sum = ?, crc = ? "
    "WHERE id = ?"
)
_INSERT = f"INSERT INTO page ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
LOST = "the directory of pages is damaged, so it may be one that cannot be found"
_NUMBERS = struct.Struct(">11q")
EVENT_STEP = 2
"""Event timestamps of a page rise by at least this many ms (design 7)."""

REMEMBERED_ORIGINS = 512
"""How many of a page's newest log rows are checked for a repeated origin."""

ORIGIN_BYTES = 16
"""How many bytes the origin of a log row has."""


class Origins:
    """The idempotency keys of a page's newest rows, oldest forgotten first.

    They lie one after the other in one buffer: a set of them takes five times as much for every page.
    """

    __slots__ = ("_known",)

    def __init__(self, newest_last: Iterable[bytes]) -> None:
        self._known = bytearray().join(newest_last)

    def __contains__(self, origin: bytes) -> bool:
        at = self._known.find(origin)
        while at > 0 and at % ORIGIN_BYTES:
            at = self._known.find(origin, at + 1)  # the end of one and the beginning of the next
        return at >= 0

    def add(self, origin: bytes) -> None:
        """Remember one more."""
        self._known += origin
        if len(self._known) > REMEMBERED_ORIGINS * ORIGIN_BYTES:
            del self._known[:ORIGIN_BYTES]


@dataclass(slots=True)
class PageRow:
    """A page's own row. `updated`, `last_event` and `event_floor` are in ms.

    seq and chain are the head of the log, log_gone the newest row that retention has removed.
    event_number counts the events there ever were, events_gone those that retention has removed,
    event_floor is the newest timestamp among these. gate_sum is the sum of the gate's row CRCs.
    Not stored: entry is what the page adds to the directory's sum, origins the idempotency keys
    that the writer remembers.
    """

    id: int
    tenant: str
    name: str
    epoch: int = 1
    seq: int = 0
    chain: int = 0
    snapshot_seq: int = 0
    updated: int = 0
    last_event: int = 0
    event_floor: int = 0
    event_number: int = 0
    events_gone: int = 0
    log_gone: int = 0
    gate_sum: int = 0
    entry: int = 0
    origins: "Origins | None" = None

    def __post_init__(self) -> None:
        self.entry = fields_crc(self.id, self.tenant, self.name)

    def _numbers(self) -> tuple[int, ...]:
        return (
            self.epoch,
            self.seq,
            self.chain,
            self.snapshot_seq,
            self.updated,
            self.last_event,
            self.event_floor,
            self.event_number,
            self.events_gone,
            self.log_gone,
            self.gate_sum,
        )

    def crc(self) -> int:
        """The checksum that stands beside the row. Raises struct.error beyond 64 bits."""
        return zlib.crc32(_NUMBERS.pack(*self._numbers()), self.entry)

    def next_timestamp(self, now: int) -> int:
        """The timestamp (ms) of the next event: rises whatever the clock `now` (ms) does."""
        self.last_event = max(now, self.last_event + EVENT_STEP)
        return self.last_event

    def changed(self) -> tuple[int, ...]:
        """The parameters of `save`."""
        return (*self._numbers(), self.crc(), self.id)


def find(db: sqlite3.Connection, tenant: str, name: str) -> PageRow | None:
    """The page's row, None if there is no such page. Raises Quarantined if it does not verify."""
    found = db.execute(_SELECT, (tenant, name)).fetchone()
    if found is None:
        return None
    row = PageRow(*found[:-1])
    if row.crc() != found[-1] or row.tenant != tenant or row.name != name:
        raise Quarantined(tenant, name, "the page's own row does not verify")
    return row


def create(db: sqlite3.Connection, tenant: str, name: str) -> PageRow:
    """Insert an empty page and enter it in the directory."""
    (newest,) = db.execute("SELECT max(id) FROM page").fetchone()
    row = PageRow((newest or 0) + 1, tenant, name)
    row.origins = Origins(())
    *values, _ = row.changed()
    db.execute(_INSERT, (row.id, tenant, name, *values))
    db.execute("UPDATE directory SET pages = pages + 1, sum = sum + ?", (row.entry,))
    return row


def save(db: sqlite3.Connection, rows: list[PageRow]) -> None:
    """Write these rows back."""
    db.executemany(_UPDATE, [row.changed() for row in rows])


def directory_holds(db: sqlite3.Connection) -> bool:
    """Whether every page that was ever created can still be found, by table and by name.

    Without this a flipped bit in a name would make its page "not found", and it would start empty.
    """
    known = db.execute("SELECT pages, sum FROM directory WHERE id = 1").fetchone()
    for source in ("page NOT INDEXED", "page INDEXED BY sqlite_autoindex_page_1"):
        query = f"SELECT id, tenant, name FROM {source} WHERE tenant >= ''"  # noqa: S608
        crcs = [fields_crc(*row) for row in db.execute(query)]
        if known != (len(crcs), sum(crcs)):
            return False
    return True
