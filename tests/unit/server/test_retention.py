"""Old events go, those that a tenant keeps stay."""

import json

import anyio
import httpx
import pytest

from crdt_chat.config import Config, TenantSettings
from crdt_chat.server.app import build
from crdt_chat.server.clock import system_ids
from crdt_chat.server.rooms.services import Clock
from store.memory import MemoryStore
from store.records import EventEntry, LogEntry, PageCommit

pytestmark = pytest.mark.anyio
DAY = 24 * 3600 * 1000


async def events_of(store: MemoryStore) -> list[str]:
    return [row.entity for row in await store.events("open", "p", 0, 100)]


async def test_events_older_than_the_tenant_keeps_are_removed() -> None:
    store = MemoryStore()
    now = 1_000 * DAY
    for at, name in ((now - 31 * DAY, "old"), (now - DAY, "new")):
        body = json.dumps({"type": "new-text-chat", "chat": {"_id": name, "urlId": "p"}})
        entry = EventEntry("new-text-chat", name, "ada", name, body)
        heads = await store.heads([("open", "p")])
        head = heads.get(("open", "p"), 0)
        origin = name.encode().ljust(16, b"-")

        log = LogEntry(origin, "ada", "1", at, b"\x00\x00")
        await store.commit([PageCommit("open", "p", head, entries=[log], events=[entry])])
    assert await events_of(store) == ["old", "new"]
    clock = Clock(now=lambda: now, monotonic=anyio.current_time)
    config = Config(open_tenants=("open",))
    async with (
        build(config, store, clock=clock, ids=system_ids(clock)) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat") as http,
    ):
        with anyio.fail_after(60):
            while await events_of(store) != ["new"]:  # noqa: ASYNC110 - a store has no event
                await anyio.sleep(0.001)
        for start, gone in ((now - 40 * DAY, True), (now - 20 * DAY, False)):
            asked = {"urlId": "p", "userIdWS": "anon", "startTime": str(start)}
            told = (await http.get("/event-log/open", params=asked)).json()
            assert told.get("resync", False) is gone
            assert len(told["events"]) == 1


async def test_history_older_than_the_tenant_keeps_is_removed_but_never_what_a_page_needs() -> None:
    store, now = MemoryStore(), 1_000 * DAY
    for number, at in enumerate((now - 3 * DAY, now - 3 * DAY, now - DAY, now - 3 * DAY)):
        log = LogEntry(bytes([number]) * 16, "ada", "1", at, b"\x00\x00")
        await store.commit([PageCommit("open", "p", number, entries=[log])])
    await store.snapshot("open", "p", 3, b"\x00\x00")
    settings = TenantSettings("open", open=True, history_retention_days=2)
    clock = Clock(now=lambda: now, monotonic=anyio.current_time)
    async with build(Config(tenants=(settings,)), store, clock=clock, ids=system_ids(clock)):
        with anyio.fail_after(60):
            while len(await store.read("open", "p", 0)) > 2:  # noqa: ASYNC110 - a store has no event
                await anyio.sleep(0.001)
    assert [row.seq for row in await store.read("open", "p", 0)] == [3, 4]
