"""What becomes of a page that nobody writes to: folded, then at rest, and whole again for who writes."""

from collections.abc import AsyncIterator

import pytest

from crdt_chat.config import Config
from crdt_chat.identity import PageKey
from crdt_chat.page.content import Content
from crdt_chat.server.app import build
from crdt_chat.server.rest import FOLD_S
from crdt_chat.server.room import Room
from store.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with (
        build(Config(open_tenants=("open",)), MemoryStore()) as app,
        app.rooms.open(PageKey("open", "p")) as opened,
    ):
        yield opened


def is_folded(room: Room) -> bool:
    being = room.page._being
    return isinstance(being, Content) and being.document.folded


async def test_a_quiet_page_is_folded_and_then_put_to_rest(room: Room) -> None:
    now = room.services.clock.monotonic()
    room.rest(now)
    room.rest(now + FOLD_S - 0.1)
    assert not is_folded(room)
    room.rest(now + FOLD_S)
    assert is_folded(room)
    list(room.page.items("annotations"))
    assert not is_folded(room), "whoever needs it whole has it whole"
    room.rest(now + FOLD_S + 1)
    assert is_folded(room)
    room.rest(now + room.services.limits.page_rest_s)
    assert room.page.rests
