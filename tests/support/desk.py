"""A peer at a desk: a test plays its server, frame by frame."""

from itertools import count
from typing import Any

from crdt_chat.client.author import Author
from crdt_chat.client.gestures import Passage
from crdt_chat.client.model import Event, User
from crdt_chat.client.peer import Peer
from crdt_chat.client.replica import Operation, Replica
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import wire

ADA = User("ada", "Ada")


class Desk:
    """A peer, its author and the server's end of its connection, which tests play by hand."""

    def __init__(self, replica: Replica | None = None) -> None:
        times, ids = count(1), count(1)
        self.peer = Peer(ADA, lambda: None)
        self.author = Author(self.peer, lambda: next(times), lambda: f"id{next(ids)}")
        self.server = replica or Replica()
        self.told: list[Event] = []
        self.peer.listen(self.told.append)
        self.sent: list[wire.Message] = []

    def connect(self, *, hello: bool = True, epoch: int = 7, sync: bool = True) -> None:
        """Open a connection and shake hands."""
        self.peer.connected()
        if hello:
            self.control({"type": "hello", "epoch": epoch, "user": "ada", "role": "editor"})
        if sync:
            self.say(wire.step1(self.server.state_vector()))
            self.say(wire.step2(self.server.diff(self.peer.session.replica.state_vector())))
        self.read()

    def say(self, frame: bytes) -> bool:
        """The server says something. False where the peer ends the connection."""
        return self.peer.receive(frame)

    def control(self, body: dict[str, Any]) -> bool:
        """The server sends a control frame."""
        return self.say(wire.control(body))

    def read(self) -> list[wire.Message]:
        """What the peer has sent since the last time; updates are applied at the server."""
        assert self.peer.session is not None
        messages = [wire.decode(frame) for frame in self.peer.session.outgoing]
        self.peer.session.outgoing.clear()
        for message in messages:
            if isinstance(message, wire.SyncStep2 | wire.Update):
                self.server.apply(message.update)
        self.sent += messages
        return messages

    def others_write(self, *operations: Operation) -> None:
        """Somebody else changes the page."""
        self.say(wire.update(self.server.write(operations)[0]))

    def annotate(self, text: str) -> str:
        """A new annotation of ours; its id."""
        return self.author.annotate(Passage(text), text).id

    def refuse(self, key: str, *, reset: bool = False, rule: str = "size") -> bool:
        """The server refuses one key."""
        operation = {"key": key, "rule": rule, "reason": "It is too long."}
        return self.control({"type": "refused", "reset": reset, "operations": [operation]})


def entity(creator: str = "bob", **more: Json) -> dict[str, Json]:
    return {"creator": creator, "created": 1, "target": {}, **more}
