"""uvicorn's sans-IO WebSocket protocol with what a CRDT server needs of a socket.

Too large a frame closes with 4413 (clients retry 1009 for ever); a ping that is not answered cuts
the socket at once and says so, even with unsent bytes in its buffer; a socket that we ourselves
read slowly is not taken for dead; and the app may cut a connection (ASGI extension
`crdt_chat.transport`).
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from crdt_chat.errors import TooLarge

SILENT = 1011
"""What the app is told of a socket whose ping was not answered."""


class Socket(WebSocketsSansIOProtocol):
    """One WebSocket of the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard = False
        fail = self.conn.fail

        def fail_with_our_code(code: int, reason: str = "") -> None:
            if code == CloseCode.MESSAGE_TOO_BIG:
                code, reason = TooLarge.close_code, "a frame over the limit"
            fail(code, reason)

        self.conn.fail = fail_with_our_code  # type: ignore[method-assign]

    def handle_connect(self, event: Request) -> None:
        """As uvicorn does, and offer the app to cut the connection."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"]["crdt_chat.transport"] = {
                "abort": self.transport.abort,
                "write": self.write,
            }

    def write(self, encoded: bytes) -> bool:
        """Send one whole, already encoded WebSocket frame now. False: the socket is not free.

        The same bytes serve every reader of a page: no task, no encoding per delivery.
        """
        if self.close_sent or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(encoded)
        return True

    def data_received(self, data: bytes) -> None:
        """Any byte is a sign of life."""
        self.heard = True
        super().data_received(data)

    def send_keepalive_ping(self) -> None:
        """Ping, and count what is heard from here on."""
        self.heard = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """No pong: dead, unless it speaks or we are the ones who do not read."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.heard or self.read_paused:
            self.schedule_ping()
            return
        if not self.transport.is_closing():
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": SILENT, "reason": "no answer to a ping"}
            )
            self.transport.abort()

    def handle_pong(self, event: Frame) -> None:
        """A pong after its deadline was forgiven finds no ping in flight: nothing to do."""
        if self.pending_ping_payload is not None:
            super().handle_pong(event)
