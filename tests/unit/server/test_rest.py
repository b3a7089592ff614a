"""What becomes of a page that nobody writes to: at rest, and whole again for who writes."""

from collections.abc import AsyncIterator

import pytest

from crdt_chat.config import Config
from crdt_chat.identity import PageKey
from crdt_chat.server.app import build
from crdt_chat.server.rooms.room import Room
from store.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with (
        build(Config(open_tenants=("open",)), MemoryStore()) as app,
        app.rooms.open(PageKey("open", "p")) as opened,
    ):
        yield opened


async def test_a_quiet_page_is_put_to_rest(room: Room) -> None:
    now, rest_s = room.services.clock.monotonic(), room.services.limits.page_rest_s
    room.rest(now)
    room.rest(now + rest_s - 0.1)
    assert not room.page.rests
    room.rest(now + rest_s)
    assert room.page.rests
    list(room.page.items("annotations"))
    assert not room.page.rests, "whoever needs it whole has it whole"
    room.rest(now + rest_s + 1)
    assert not room.page.rests, "it has not been awake for long"
    room.rest(now + 2 * rest_s + 1)
    assert room.page.rests
