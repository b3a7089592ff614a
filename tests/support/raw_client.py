"""A client without a CRDT library's provider: sync frames by hand, our control frames on request."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from pycrdt import Doc, Map
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from crdt_chat.protocol import wire


class RawClient:
    """One socket and one pycrdt Doc; nothing is sent or read but by the methods.

    saved: how many of its sync frames the server has called durable; controls: all control frames.
    """

    def __init__(self, socket: ClientConnection, user: str = "") -> None:
        self.socket = socket
        self.user = user
        self.doc: Doc[Map[Any]] = Doc()
        self.controls: list[dict[str, Any]] = []
        self.saved = 0
        self.sent = 0

    def send(self, frame: bytes) -> None:
        """One frame as it is."""
        if frame[:2] in (b"\x00\x01", b"\x00\x02"):
            self.sent += 1
        self.socket.send(frame)

    def handshake(self) -> None:
        """Step 1, announcement, and whatever it takes until the server's step 2 is applied."""
        self.send(wire.step1(self.doc.get_state()))
        entry = wire.AwarenessEntry(self.doc.client_id, 1, "{}")
        self.send(wire.awareness_of([wire.encode_entry(entry)]))
        while not isinstance(self.read(), wire.SyncStep2):
            pass

    def read(self, seconds: float = PATIENCE_S) -> wire.Message:
        """Handle the next frame as an honest client does, and return it."""
        raw = self.socket.recv(timeout=seconds)
        assert isinstance(raw, bytes)
        message = wire.decode(raw)
        match message:
            case wire.SyncStep1(state_vector):
                self.send(wire.step2(self.doc.get_update(state_vector)))
            case wire.SyncStep2(update) | wire.Update(update):
                self.doc.apply_update(update)
            case wire.Control(body):
                self.controls.append(dict(body))
                if body["type"] == "saved":
                    self.saved = body["frames"]
            case _:
                pass
        return message

    def write(self, *entries: tuple[str, str, Any]) -> None:
        """Set these entries in one transaction and send the update."""
        before = self.doc.get_state()
        with self.doc.transaction():
            for root, name, value in entries:
                self.doc.get(root, type=Map)[name] = value
        self.send(wire.update(self.doc.get_update(before)))

    def set_quietly(self, root: str, name: str, value: Any) -> None:
        """Set an entry that the server will hear of when it asks."""
        self.doc.get(root, type=Map)[name] = value

    def flush(self) -> None:
        """Read until all that was sent is called durable."""
        while self.saved < self.sent:
            self.read()

    def names(self, root: str) -> set[str]:
        """The names of a root's live entries."""
        return set(self.doc.get(root, type=Map).keys())

    def drain(self) -> None:
        """Read what still comes until the connection has ended, as it may."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.read()

    def closed(self) -> int:
        """Read until the server has closed; its code."""
        self.drain()
        assert self.socket.close_code is not None
        return self.socket.close_code


@contextlib.contextmanager
def raw_client(url: str, page: str, user: str, *, control: bool = True) -> Iterator[RawClient]:
    """A connected client that has not said anything yet; `url` is RealServer.ws()."""
    query = {"user": user, "name": user.title()}
    if control:
        query["caps"] = "crdt-chat.1"
    address = f"{url}/{page}?{urlencode(query)}"
    with connect(address, compression=None, max_size=2**26, max_queue=None) as socket:
        yield RawClient(socket, user)
