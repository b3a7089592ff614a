"""The page rows: head, chain and sums of each page, and the directory that knows all pages."""

import sqlite3
from dataclasses import astuple, dataclass

from store.checksums import fields_crc
from store.errors import Quarantined

_COLUMNS = (
    "id, tenant, name, epoch, seq, chain, snapshot_seq, updated, last_event, event_floor, "
    "event_sum, gate_sum, crc"
)
_SELECT = f"SELECT {_COLUMNS} FROM page WHERE tenant = ? AND name = ?"  # noqa: S608
_UPDATE = (
    "UPDATE page SET epoch = ?, seq = ?, chain = ?, snapshot_seq = ?, updated = ?, last_event = ?, "
    "event_floor = ?, event_sum = ?, gate_sum = ?, crc = ? WHERE id = ?"
)
_INSERT = f"INSERT INTO page ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
LOST = "the directory of pages is damaged, so it may be one that cannot be found"
EVENT_STEP = 2
"""Event timestamps of a page rise by at least this many ms (design 7)."""


@dataclass(slots=True)
class PageRow:
    """A page's own row. `updated`, `last_event`, `event_floor` in ms; sums are sums of CRC-32s.

    seq and chain are the head of the log, event_floor the newest timestamp retention has removed.
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
    event_sum: int = 0
    gate_sum: int = 0

    def copy(self) -> "PageRow":
        """A copy to work on: the original stays right if the transaction fails."""
        return PageRow(
            self.id,
            self.tenant,
            self.name,
            self.epoch,
            self.seq,
            self.chain,
            self.snapshot_seq,
            self.updated,
            self.last_event,
            self.event_floor,
            self.event_sum,
            self.gate_sum,
        )

    def crc(self) -> int:
        """The checksum that stands beside the row."""
        return fields_crc(
            self.id,
            self.tenant,
            self.name,
            self.epoch,
            self.seq,
            self.chain,
            self.snapshot_seq,
            self.updated,
            self.last_event,
            self.event_floor,
            self.event_sum,
            self.gate_sum,
        )

    def next_timestamp(self, now: int) -> int:
        """The timestamp (ms) of the next event: rises whatever the clock `now` (ms) does."""
        self.last_event = max(now, self.last_event + EVENT_STEP)
        return self.last_event

    def changed(self) -> tuple[int, ...]:
        """The parameters of `save`."""
        return (
            self.epoch,
            self.seq,
            self.chain,
            self.snapshot_seq,
            self.updated,
            self.last_event,
            self.event_floor,
            self.event_sum,
            self.gate_sum,
            self.crc(),
            self.id,
        )


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
    db.execute(_INSERT, (*astuple(row), row.crc()))
    entry = fields_crc(row.id, tenant, name)
    db.execute("UPDATE directory SET pages = pages + 1, sum = sum + ?", (entry,))
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
