"""Connections of the simulated network: two ordered queues each, delivered when the history says so."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from crdt_chat.identity import Grant

MessageKind = Literal["step1", "step2", "update", "announce", "reset", "close"]


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: `body` is a state vector (step1) or an update; `client` is the announced id."""

    kind: MessageKind
    body: bytes = b""
    client: int = 0


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket between a tab and the room.

    joined: its step 2 has gone out, so increments follow. asked: the state vector of its newest step
    1 whose answer is not durable yet. announced: the client id of its first awareness frame.
    gap_since: when its first unanswered gap came, in ms.
    """

    name: str
    grant: Grant
    open: bool = True
    joined: bool = False
    asked: bytes | None = None
    announced: int | None = None
    gap_since: int | None = None
    to_server: deque[Message] = field(default_factory=deque)
    to_tab: deque[Message] = field(default_factory=deque)

    def cut(self) -> None:
        """The network is gone: what was under way either way is lost."""
        self.open = False
        self.to_server.clear()
        self.to_tab.clear()
