"""Whose an annotation or comment is stays known after its deletion, over a restart, too."""

from collections.abc import Sequence

import pytest

from crdt_chat.config import Config
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.verdict import Json
from crdt_chat.server.app import build
from store.memory import MemoryStore

pytestmark = pytest.mark.anyio

PAGE = PageKey("open", "p")
NOTE = {"created": 1, "target": {"selector": [{"type": "TextQuoteSelector", "exact": "so"}]}}
WORD = {"created": 1, "body": "a word"}


class Server:
    """One that is started anew for everything that somebody does."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    async def does(self, user: str, *operations: tuple[str, str, Json]) -> Sequence[str]:
        """The rules that refused it."""
        grant = Grant("open", user, user, Role.EDITOR)
        async with (
            build(Config(open_tenants=("open",)), self.store) as app,
            app.rooms.open(PAGE) as room,
        ):
            verdict = await room.write(operations, grant)
            return [refusal.rule for refusal in verdict.refusals]

    async def makes(self, user: str) -> Sequence[str]:
        """Annotation `a` with comment `a/c`, by this user."""
        return await self.does(
            user,
            ("annotations", "a", {"creator": user, **NOTE}),
            ("comments", "a/c", {"creator": user, **WORD}),
        )

    async def rows(self) -> list[tuple[str, str, int]]:
        """The rows that say who made what."""
        stored = await self.store.load("open", "p")
        assert stored is not None
        return sorted(stored.entities)


@pytest.fixture
def server():
    # Its store outlives the servers: closing it is not what is tried here.
    made = Server()
    made.store.close = _stays
    return made


async def _stays() -> None:
    """Go on."""


async def test_of_what_is_there_the_page_tells_and_no_row_is_written(server):
    assert not await server.makes("ada")
    assert await server.rows() == []
    assert await server.does("eve", ("comments", "a/c", {"creator": "ada", **WORD, "body": "no"}))


async def test_a_name_stays_its_makers_after_a_deletion_and_a_restart(server):
    await server.makes("ada")
    shade = ("deleted", "a/ada", {"by": "ada", "at": 2})
    gone = [("annotations", "a", None), ("comments", "a/c", None)]
    assert not await server.does("ada", shade, *gone)
    assert [(name, who) for name, who, _ in await server.rows()] == [("a", "ada"), ("a/c", "ada")]
    assert await server.makes("eve")


async def test_a_comment_that_was_taken_back_leaves_its_row(server):
    await server.makes("ada")
    shade = ("deleted", "a/c/ada", {"by": "ada", "at": 2})
    assert not await server.does("ada", shade, ("comments", "a/c", None))
    assert [(name, who) for name, who, _ in await server.rows()] == [("a/c", "ada")]
    assert await server.does("eve", ("comments", "a/c", {"creator": "eve", **WORD}))
