"""Pages opened from Python on the real server: to wait for them, look into them, force things into them."""

from server import RealServer

import crdt_chat
from crdt_chat.client.model import Annotation
from crdt_chat.client.page import Page
from crdt_chat.client.replica import Operation
from crdt_chat.page.verdict import Json

SECRET = "this must never be seen"


class Place:
    """A page of a running server, named by its address."""

    def __init__(self, server: RealServer, page: str) -> None:
        self.url = server.http.replace("http", "ws", 1)
        self.page = page

    def open(self, user: str, name: str | None = None) -> Page:
        """The page as this person opens it."""
        return crdt_chat.connect(self.url, self.page, user, name)

    def seen_by_a_late_joiner(self) -> list[Annotation]:
        """What is there for somebody who comes only now."""
        with self.open("eve") as page:
            return page.annotations


def sync(*pages: Page) -> None:
    """Everything that was written on these pages is on all of them."""
    for page in (*pages, *pages):
        page.flush()


def force(page: Page, *operations: Operation) -> None:
    """Write what the rules forbid, as a client with other ideas of them would."""
    host, peer = page._host, page._page._peer
    host.call(lambda: peer.write(operations))


def roots(page: Page) -> dict[str, dict[str, Json]]:
    """All that the page holds."""
    return page._host.call(lambda: {k: dict(v) for k, v in page._page._peer.mirror.roots.items()})


def client_id(page: Page) -> int:
    return page._host.call(lambda: page._page._peer.replica.client)
