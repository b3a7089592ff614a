"""`crdt-chat restore`: a backup in the place of the database, every page under a new epoch.

A backup is older than the replicas out there. Under a new epoch nobody's clocks are used twice: whoever
comes with a newer copy drops it and writes again what is hers and missing. What was erased since the
backup was made is erased again, by the log that lies beside the database.
"""

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from crdt_chat.config import Config
from crdt_chat.page.limits import PageLimits
from crdt_chat.server.access.auth import OPERATORS
from crdt_chat.server.app import build
from crdt_chat.server.privacy.erasure import Erasure
from crdt_chat.server.privacy.erasure_log import NAMES, Erased, ErasureLog, path_of
from crdt_chat.server.privacy.rewriting import kept_in, replacement
from crdt_chat.server.rooms.services import Services
from store import open_reader, open_store
from store.backup import bring_up, carry_over, check_copy, noted
from store.errors import StoreError
from store.lock import FileLock
from store.protocol import Reader
from store.records import StoredPage
from store.tenants import AuditEntry, AuditWanted, Trust

log = logging.getLogger(__name__)

LEAP = 1_000
"""How far an epoch leaps where the replaced database can't tell how far it had come."""

ACTOR = "restore"
ERASE = "erase."
"""How the action of an erasure begins in the audit log, where its detail tells its id."""
FROM = "command line"
"""Where a restore is asked for, as the audit log says it: nothing is served meanwhile."""

SIDES = ("-wal", "-shm")

Key = tuple[str, str]


@dataclass(slots=True)
class Known:
    """What the replaced database knew of a page that its successor must know, too."""

    epoch: int = 0
    clients: set[int] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. erasures is how many were done again; replaced is where the old file is."""

    pages: int
    erasures: int
    replaced: Path | None


def restore(config: Config, backup: Path) -> Restored:
    """Put `backup` in the place of the database, which nobody may be serving.

    Blocks. The database stays as it is until its successor is complete. Raises StoreError (Locked, Damaged,
    ...), OSError.
    """
    target = Path(os.path.realpath(config.db))
    lock = FileLock(target)
    try:
        check_copy(backup)
        known = anyio.run(_known, target) if target.exists() else {}
        erased = list(ErasureLog(path_of(target)))
        for entry in erased:
            if entry.kind == NAMES and entry.page is not None:
                names = known.setdefault((entry.tenant, entry.page), Known()).erased
                names.update(entry.names)
        part = target.with_name(target.name + ".restoring")
        _remove(part)
        shutil.copyfile(backup, part)
        part.chmod(0o600)
        # Before anything is taken over: that may need tables which the backup does not have yet.
        bring_up(part)
        # Before the audit log of the replaced database is added, which knows of later ones.
        done = _ids(noted(part, ERASE))
        again = [entry for entry in erased if entry.kind != NAMES and entry.id not in done]
        if target.exists():
            _carry_over(target, part)
        successor = replace(config, db=part)
        source = str(backup.absolute())
        pages, count = anyio.run(_renew, successor, known, again, path_of(target), source)
        return Restored(pages, count, _swap(part, target))
    finally:
        lock.release()


def _ids(details: Iterable[str]) -> set[str]:
    """The erasures that a copy had seen the end of when it was made, by their ids in the log.

    They must not be done again: what was written afterwards, on an erased page or by a person of an erased
    one's name, is in the copy by right.
    """
    return {json.loads(detail).get("id", "") for detail in details}


async def _known(target: Path) -> dict[Key, Known]:
    """What the database that is replaced knows. What can't be read of it is not known."""
    found: dict[Key, Known] = {}
    try:
        reader = open_reader(target)
    except StoreError:
        log.exception("the database that is replaced can't be read")
        return found
    try:
        for key in await reader.names():
            found[key] = await _of_page(reader, key)
    except StoreError:
        log.exception("the database that is replaced can't be read to its end")
    finally:
        await reader.close()
    return found


def _carry_over(old: Path, new: Path) -> None:
    try:
        carry_over(old, new)
    except sqlite3.Error:
        log.exception("audit log and revocations of the replaced database can't be taken over")


async def _of_page(reader: Reader, key: Key) -> Known:
    try:
        stored = await reader.load(*key)
    except StoreError:
        log.exception("a page of the replaced database can't be read")
        return Known()
    if stored is None:
        return Known()
    clients = {client for client, _ in stored.owners}
    return Known(stored.epoch, {*clients, *stored.retired}, set(stored.erased))


async def _renew(
    config: Config, known: Mapping[Key, Known], erased: Sequence[Erased], place: Path, source: str
) -> tuple[int, int]:
    """Every page of the restored file under a new epoch; then what was erased, once more."""
    store = open_store(config.db)
    try:
        names = sorted({*await store.names(), *known})
        async with build(config, store) as app:
            for tenant, page in names:
                await _renew_page(app.services, (tenant, page), known.get((tenant, page)))
            erasure = Erasure(app.rooms, ErasureLog(place))
            again = await erasure.again(erased)
            detail = json.dumps({"pages": len(names), "erasures": again})
            now = app.services.clock.now()
            done = AuditEntry(now, "operator", FROM, OPERATORS, ACTOR, source, detail)
            await _note_again(store.trust, erased, now)
            await store.trust.note([done])
    finally:
        await store.close()
    return len(names), again


async def _note_again(trust: Trust, erased: Sequence[Erased], now: int) -> None:
    """So that a copy of the restored file knows them as done, also where their own entries are lost."""
    known = _ids(
        row.detail for row in await trust.audit(None, AuditWanted(limit=2**62, action=ERASE))
    )
    await trust.note(
        [
            AuditEntry(
                now, "operator", FROM, entry.tenant, f"{ERASE}{entry.kind}", entry.digest,
                json.dumps({"id": entry.id, "page": entry.page}),
            )
            for entry in erased
            if entry.id not in known
        ]
    )  # fmt: skip


async def _renew_page(services: Services, key: Key, known: Known | None) -> None:
    stored = await services.store.load(*key) or StoredPage(0, 0, None, 0)
    limits = PageLimits()
    page, kept = kept_in(stored, limits)
    rewrite = replacement(services, stored, page, kept, ACTOR)
    epoch = stored.epoch + LEAP if known is None or not known.epoch else known.epoch + 1
    rewrite = replace(
        rewrite,
        retire=sorted({*rewrite.retire, *(known.clients if known else ())}),
        erased=sorted(known.erased) if known else (),
        epoch=max(epoch, stored.epoch + 1),
        history="keep",
        keep_events=True,
    )
    await services.store.rewrite(*key, None, rewrite)


def _swap(part: Path, target: Path) -> Path | None:
    """Let the finished file take the place; the old one is kept as FILE.replaced."""
    old = None
    if target.exists():
        old = target.with_name(target.name + ".replaced")
        _remove(old)
        for side in ("", *SIDES):
            path = target.with_name(target.name + side)
            if path.exists():
                path.rename(old.with_name(old.name + side))
    part.rename(target)
    part.with_name(part.name + ".lock").unlink(missing_ok=True)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return old


def _remove(path: Path) -> None:
    for side in ("", *SIDES):
        path.with_name(path.name + side).unlink(missing_ok=True)
