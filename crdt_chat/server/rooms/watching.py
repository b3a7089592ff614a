"""Who follows pages for moderators, as a room sees it: server/moderation/moderators.py does it.

A room tells of each commit without knowing what moderation makes of it.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from crdt_chat.identity import PageKey
from crdt_chat.server.rooms.batch import Batch
from crdt_chat.server.rooms.peer import Peer

if TYPE_CHECKING:
    from crdt_chat.server.rooms.room import Room


class Watching(Protocol):
    """Whom a room tells that something is durable, and who tells moderators on its sockets."""

    def told(self, room: "Room", peer: Peer, *, asked: bool) -> AbstractContextManager[None]:
        """Tell this peer of a room for the length of a block, if it `asked` for it."""
        ...

    def settled(self, room: "Room", batch: Batch) -> None:
        """A commit of this page is durable."""
        ...

    def noted(self, key: PageKey) -> None:
        """Somebody flagged something on this page, or a moderator did something; it is durable."""
        ...

    def erased(self, tenant: str) -> None:
        """Something of this tenant was erased, perhaps of what moderators were told."""
        ...
