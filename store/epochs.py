"""Rewriting a page under a new epoch: erasure, restore of a backup, re-basing (design 7, Epochs)."""

import sqlite3

from store import events, gate, journal, pages, readmodel, words
from store.batch import Heads
from store.pages import PageRow
from store.records import Conflict, PageCommit, Rewrite, Rewritten

ATTEMPTS = 5
"""How often to try to empty the log; each waits for readers as long as the connection's timeout."""


def rewrite(
    db: sqlite3.Connection,
    heads: Heads,
    name: tuple[str, str],
    expected_seq: int | None,
    new: Rewrite,
) -> Rewritten | Conflict:
    """Replace the page (tenant, page) by `new` in one transaction, which this opens and ends."""
    db.execute("BEGIN IMMEDIATE")
    page = heads.get(db, *name)
    if page is None and expected_seq in (None, 0):
        page = heads.create(db, *name)
    if page is None or (expected_seq is not None and page.seq != expected_seq):
        rows = () if page is None else journal.rows_after(db, page, expected_seq or 0)
        db.execute("ROLLBACK")
        heads.forget(*name)  # a page created above is not there any more
        return Conflict(tuple(rows))
    timestamps = _replace(db, page, new)
    pages.save(db, [page])
    db.execute("COMMIT")
    return Rewritten(page.epoch, page.seq, timestamps)


def wipe(db: sqlite3.Connection) -> None:
    """Rewrite the full text index and the file, and empty its log: once for many rewritten pages.

    secure_delete leaves copies that moved within a page.

    Raises sqlite3.OperationalError if a reader holds on to the log for longer than the timeout.
    """
    words.optimize(db)
    db.execute("VACUUM")
    for _ in range(ATTEMPTS):
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
    raise sqlite3.OperationalError("readers kept the log from being emptied")


def _replace(db: sqlite3.Connection, page: PageRow, new: Rewrite) -> tuple[int, ...]:
    _retire(db, page, new)
    _history(db, page, new)
    page.epoch = max(page.epoch + 1, new.epoch)
    page.origins = None
    db.execute(journal.INSERT, journal.appended(page, new.entry))
    journal.put_snapshot(db, page, page.seq, new.entry.update)
    parts = PageCommit(
        page.tenant,
        page.name,
        page.seq,
        owners=new.owners,
        entities=new.entities,
        refused=new.refused,
        held=new.held,
        archived=new.archived,
    )
    gate.apply(db, page, parts)
    readmodel.clear(db, page.id)
    readmodel.apply(db, [(page.id, new.projected)])
    if not new.keep_events:
        events.forget_all(db, page)
    stamped = [events.appended(page, event, new.entry.at) for event in new.events]
    db.executemany(events.INSERT, stamped)
    return tuple(row[1] for row in stamped)


def _retire(db: sqlite3.Connection, page: PageRow, new: Rewrite) -> None:
    """Empty the gate's tables; the old epoch's client ids are refused from now on."""
    retired = db.execute(gate.RETIRED.select, (page.id,)).fetchall()
    erased = [digest for (digest,) in db.execute(gate.ERASED.select, (page.id,))]
    query = "SELECT client FROM client_owner WHERE page = ?"
    owned = [client for (client,) in db.execute(query, (page.id,))]
    for table in gate.TABLES:
        gate.clear(db, page, table)
    # Also what no row accounts for any more: the page may have been damaged.
    page.gate_sum = 0
    kept = {client for client, _ in new.owners}
    for client, epoch in retired:
        gate.put(db, page, gate.RETIRED, (client, epoch))
    for client in {*owned, *new.retire} - kept:
        gate.put(db, page, gate.RETIRED, (client, page.epoch))
    for digest in {*erased, *new.erased}:
        gate.put(db, page, gate.ERASED, (digest,))


def _history(db: sqlite3.Connection, page: PageRow, new: Rewrite) -> None:
    if new.history == "delete":
        db.execute("DELETE FROM log WHERE page = ?", (page.id,))
        page.log_gone = page.seq
    elif new.history == "redact":
        query = (
            "UPDATE log SET data = x'', actor = '', connection = '', redacted = 1 WHERE page = ?"
        )
        actors = [None] if new.actors is None else sorted(new.actors)
        for actor in actors:
            if actor is None:
                db.execute(query, (page.id,))
            else:
                db.execute(f"{query} AND actor = ?", (page.id, actor))
