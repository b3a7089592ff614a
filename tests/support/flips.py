"""One flipped bit in the file of a filled server: who notices, and is everything else served as it was?"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal

import anyio
from entries import NOW, annotation, comment

from crdt_chat.config import Config
from crdt_chat.errors import CrdtChatError
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.layout import ROOTS
from crdt_chat.server.app import App, build
from crdt_chat.server.rooms.projection import projected
from crdt_chat.server.rooms.services import Clock, Ids
from store import open_store
from store.errors import StoreError
from store.moderation import ModerationEntry
from store.records import PageCommit
from store.sqlite_store import SqliteStore
from store.tenants import AuditEntry, RevocationRow

PAGES = [PageKey("acme", f"page-{number}") for number in range(6)]
AUDIT = AuditEntry(NOW, "grace", "::1", "acme", "user.revoke", "eve")
FAULTS = (StoreError, CrdtChatError)
EMPTY = Config(open_tenants=("acme",))

Outcome = Literal[
    "start refused", "a page is not served", "a question is refused", "integrity tells", "harmless"
]
Answers = dict[tuple[str, ...], Any]


def world(seed: int) -> tuple[Clock, Ids, Random]:
    """A clock and ids by this seed."""
    chance = Random(seed)
    moments, numbers = iter(range(NOW, NOW + 10**9, 7)), iter(range(1, 10**6))
    clock = Clock(lambda: next(moments), lambda: next(moments) / 1000)
    ids = Ids(
        origin=lambda: chance.randbytes(16),
        number=lambda: next(numbers),
        client=lambda: chance.randrange(1, 2**16),
        text=lambda: f"id-{next(numbers)}",
    )
    return clock, ids, chance


async def fill(path: Path, seed: int) -> None:
    """A file as a server leaves it: pages with and without snapshots, tenants, notes, counters."""
    clock, ids, chance = world(seed)
    store = open_store(path)
    async with build(EMPTY, store, clock=clock, ids=ids) as app:
        for number, key in enumerate(PAGES):
            await _fill_page(app, key, chance, range(10 + 8 * number))
        for key in PAGES[::2]:
            async with app.rooms.open(key) as room:
                await store.snapshot(
                    key.tenant, key.page, room.committed, room.page.state(), keep=5
                )
            # A snapshot is of the very row it names; these rows come after it.
            await _fill_page(app, key, chance, range(100, 102))
        await _fill_beside(store, chance)
    await store.close()


async def _fill_page(app: App, key: PageKey, chance: Random, threads: range) -> None:
    users = ("ada", "bob", "zoë")
    async with app.rooms.open(key) as room:
        for number in threads:
            user = chance.choice(users)
            grant = Grant("acme", user, user.title(), Role.EDITOR)
            name, body = f"a{number}", "words " * chance.randrange(1, 120)
            await room.write(
                [
                    ("annotations", name, annotation(user, f"quote {number}")),
                    ("comments", f"{name}/c1", comment(user, body)),
                    ("comments", f"{name}/c2", comment(user, f"{user} says {number}")),
                ],
                grant,
            )
            if number % 3 == 0:
                entry = {"by": user, "at": NOW, "resolved": True}
                await room.write([("resolved", name, entry)], grant)
            if number % 4 == 0:
                deletion = ("deleted", f"{name}/c2/{user}", {"by": user, "at": NOW})
                await room.write([deletion, ("comments", f"{name}/c2", None)], grant)


async def _fill_beside(store: SqliteStore, chance: Random) -> None:
    for number in range(8):
        user = f"user-{number}"
        row = RevocationRow("acme", "user", user, NOW + number, None, "left the company")
        await store.trust.revoke(row, AUDIT)
        await store.trust.put_role("acme", user, "viewer", AUDIT)
        await store.trust.put_tenant(f"tenant-{number}", '{"title":"x"}', AUDIT, new=True)
        entry = ModerationEntry("acme", "page-1", NOW, user, "flag", f"a{number}", "spam")
        await store.moderation.note(entry)
    for key in PAGES:
        stored = await store.load(key.tenant, key.page)
        assert stored is not None
        await store.commit(
            [PageCommit(key.tenant, key.page, stored.seq, usage=[("views", chance.randrange(99))])]
        )


async def answers(store: SqliteStore, app: App) -> Answers:
    """What a server says of everything, faults included."""
    said: Answers = {}
    for key in PAGES:
        where = (key.tenant, key.page)
        said["page", key.page] = await _or_fault(_content(app, key))
        said["events", key.page] = await _or_fault(store.events(*where, 0))
        said["history", key.page] = await _or_fault(store.read(*where, 0))
    said["question", "pages"] = await _or_fault(store.pages("acme"))
    for word in ("quote", "says", "words"):
        said["question", word] = await _or_fault(store.search("acme", word, limit=10_000))
    said["question", "usage"] = await _or_fault(store.usage("acme", 0, 10**6))
    said["question", "audit"] = await _or_fault(store.trust.audit())
    said["question", "moderation"] = await _or_fault(store.moderation.of("acme", "page-1"))
    said["access", "revocations"] = sorted(map(str, app.administration.authority.revocations.rows))
    said["access", "rows"] = await _or_fault(store.trust.revocations(0))
    said["access", "roles"] = await _or_fault(store.trust.roles())
    return said


async def _or_fault(question: Any) -> Any:
    try:
        return await question
    except FAULTS as fault:
        return fault


async def _content(app: App, key: PageKey) -> dict[str, dict[str, Any]]:
    async with app.rooms.open(key) as room:
        return {root: dict(room.page.items(root)) for root in ROOTS}


async def examine(path: Path) -> tuple[Answers | None, list[str]]:
    """Start a server on the file and ask it everything. None: the start was refused.

    Also what `integrity` says. A fault that is none of ours is raised.
    """
    try:
        store = open_store(path)
    except StoreError as fault:
        return None, [str(fault)]
    try:
        clock, ids, _ = world(0)
        try:
            async with build(EMPTY, store, clock=clock, ids=ids) as app:
                said = await answers(store, app)
        except (StoreError, CrdtChatError) as fault:
            return None, [str(fault)]
        try:
            problems = [problem.what for problem in (await store.integrity(projected)).problems]
        except StoreError as fault:
            problems = [str(fault)]
    finally:
        await store.close()
    return said, problems


def rows_of(path: Path) -> dict[str, Any]:
    """Every row of every table that means anything, read without our code."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    db.text_factory = bytes
    with contextlib.closing(db):
        return {name: _rows(db, name) for name in _tables(db)}


def _tables(db: sqlite3.Connection) -> Iterator[str]:
    for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"):
        if b"_fts" not in name and not name.startswith((b"sqlite_", b"_sqlite")) and sql:
            yield name.decode()


def _rows(db: sqlite3.Connection, table: str) -> Any:
    try:
        return sorted(map(repr, db.execute(f"SELECT * FROM {table}")))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return str(error)


def flip(content: bytes, chance: Random) -> tuple[bytes, int, int]:
    """The file with one other bit, and which: byte and bit."""
    at, bit = chance.randrange(len(content)), chance.randrange(8)
    flipped = bytearray(content)
    flipped[at] ^= 1 << bit
    return bytes(flipped), at, bit


def judged(truth: Answers, said: Answers | None, problems: list[str], *, same: bool) -> Outcome:
    """What came of the flip. same: every row of the file is what it was.

    Raises AssertionError where something wrong was said, or nobody noticed that a row has changed.
    """
    if said is None:
        return "start refused"
    faults = {place for place, answer in said.items() if isinstance(answer, FAULTS)}
    wrong = {place for place in truth if place not in faults and said[place] != truth[place]}
    silent = {place for place in wrong if place[0] != "question"}
    assert not silent, f"wrong and not noticed: {silent}"
    assert problems or not wrong, f"wrong, and integrity does not tell: {wrong}"
    assert problems or not faults, f"refused, and integrity does not tell: {faults}"
    pages = {place[1] for place in faults if place[0] != "question"}
    if len(pages) < len(PAGES) and pages:
        return "a page is not served"
    if faults:
        return "a question is refused"
    if problems:
        return "integrity tells"
    assert same, "rows have changed and nobody noticed"
    return "harmless"


def played(content: bytes, truth: Answers, rows: dict[str, Any], path: Path, seed: int) -> Outcome:
    """Flip one bit by this seed, start a server on it, and judge. Raises AssertionError."""
    flipped, at, bit = flip(content, Random(seed))
    for old in path.parent.glob(path.name + "*"):
        old.unlink()
    path.write_bytes(flipped)
    try:
        same = rows_of(path) == rows
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        # Its message may quote bytes that are no UTF-8 any more.
        same = False
    try:
        said, problems = anyio.run(examine, path)
        return judged(truth, said, problems, same=same)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, byte {at}, bit {bit}: {error}") from error
