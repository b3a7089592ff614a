"""The audit log knows who was refused, where, how often and why; never what."""

import json

import anyio
import pytest
from routes import served

from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.audit.refusals import MOST, Refusals
from store.errors import Unavailable
from store.memory import MemoryStore
from store.tenants import AuditWanted

pytestmark = pytest.mark.anyio
PAGE = PageKey("acme", "p")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_refusals_of_one_person_are_one_entry_without_their_words():
    store, refusals = MemoryStore(), Refusals()
    for rules in (["owner"], ["owner", "size"]):
        refusals.note(PAGE, "eve", "203.0.113.9", rules)
    refusals.note(PAGE, "bob", "", ["closed"])
    await refusals.flush(store.trust, 7)
    found = await store.trust.audit("acme")
    assert [(e.at, e.actor, e.address, e.action, e.subject) for e in found] == [
        (7, "eve", "203.0.113.9", "refused", "p"),
        (7, "bob", "", "refused", "p"),
    ]
    assert json.loads(found[0].detail) == {"rules": {"owner": 2, "size": 1}}
    await refusals.flush(store.trust, 8)
    assert len(await store.trust.audit("acme")) == 2


async def test_a_flood_of_people_is_counted_and_not_listed():
    store, refusals = MemoryStore(), Refusals()
    for number in range(MOST + 50):
        refusals.note(PAGE, f"eve{number}", "", ["owner"])
    await refusals.flush(store.trust, 7)
    found = await store.trust.audit("acme", AuditWanted(limit=10_000))
    assert len(found) == MOST + 1
    assert json.loads(found[-1].detail) == {"rules": {"owner": 50}}


async def test_what_can_not_be_written_is_counted_still():
    store, refusals = MemoryStore(), Refusals()

    class Full:
        async def note(self, _entries):
            raise Unavailable("the disk is full")

    refusals.note(PAGE, "eve", "", ["owner"])
    with pytest.raises(Unavailable):
        await refusals.flush(Full(), 7)
    await refusals.flush(store.trust, 8)
    assert [entry.at for entry in await store.trust.audit("acme")] == [8]


async def test_a_server_that_stops_writes_what_it_has():
    with anyio.fail_after(60):
        async with served() as app:
            trust = app.services.store.trust
            async with app.rooms.open(PAGE) as room:
                forged = {"creator": "ada", "created": 1, "body": "not mine"}
                grant = Grant("acme", "eve", "Eve", Role.EDITOR)
                verdict = await room.write([("comments", "a/c", forged)], grant)
                assert verdict.refusals
            app.services.tasks.cancel_scope.cancel()
        found = await trust.audit("acme")
    assert [(entry.actor, entry.action) for entry in found] == [("eve", "refused")]
    assert "not mine" not in str(found)
