"""A page's content as legacy answers show it: only what is durable, each chat whole."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from crdt_chat.errors import PageBroken, TryLater
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import text_chat
from crdt_chat.server.rooms.room import Room

T = TypeVar("T")


async def durable(room: Room, read: Callable[["Content"], Iterable[T]]) -> list[T]:
    """What `read` gives of a room's page, in the page's turn, returned once all of it is durable.

    Raises TryLater if that cannot be, or the page was rebuilt meanwhile: some of it never happened.
    """
    await room.turn.wait()
    page = room.page
    big = page.size > room.turn.slices.judged
    try:
        found = await room.turn.run(
            lambda: list(read(Content(room.key.page, page))), big=big, reads=page.size
        )
    except PageBroken as fault:
        raise TryLater("the page is being rebuilt") from fault
    await room.settled()
    if room.page is not page:
        raise TryLater("the page was rebuilt meanwhile")
    return found


class Content:
    """A page's chats. What was read once stays as it was read."""

    def __init__(self, name: str, page: Page) -> None:
        self._name = name
        self._page = page
        self._below: dict[str, dict[str, list[str]]] = {}
        self._chats: dict[str, dict[str, Json] | None] = {}

    def below(self, root: str, annotation: str) -> Iterable[str]:
        """The names in `root` that lie below an annotation; one pass serves all of them."""
        known = self._below.get(root)
        if known is None:
            known = self._below[root] = {}
            for name, _ in self._page.items(root):
                known.setdefault(name.split("/", 1)[0], []).append(name)
        return known.get(annotation, ())

    def chat(self, annotation: str) -> dict[str, Json] | None:
        """The chat of an annotation, None where it is not there."""
        if annotation not in self._chats:
            value = self._page.value("annotations", annotation)
            self._chats[annotation] = None if value is None else self._chat(annotation, value)
        return self._chats[annotation]

    def chats(self) -> Iterator[dict[str, Json]]:
        """Every chat of the page, oldest first."""
        found = sorted(self._page.items("annotations"), key=lambda one: (one[1]["created"], one[0]))
        for annotation, value in found:
            yield self._chat(annotation, value)

    def _chat(self, annotation: str, value: Mapping[str, Json]) -> dict[str, Json]:
        return text_chat.chat(self._name, annotation, value, self._page.value, self.below)
