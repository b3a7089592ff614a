"""uvicorn's HTTP protocol with deadlines for what a client has to send.

uvicorn waits for the rest of a head, or of a body, for as long as the client likes: a few thousand
half requests would hold all the sockets that a process may open.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

FROM_CLIENT = (h11.IDLE, h11.SEND_BODY)
"""States in which the next move is the client's."""


class Http(H11Protocol):
    """One HTTP connection; cut where a head, or its body, takes longer than `request_s`."""

    def __init__(self, *args: Any, request_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request_s = request_s
        self._deadline: asyncio.TimerHandle | None = None
        self._awaited: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As uvicorn does, and give the head its time."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """As uvicorn does; bytes do not prolong the time that their head or body has."""
        super().data_received(data)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn does."""
        self._forget_deadline()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """As uvicorn does: from here on the socket has rules of its own."""
        self._request_s = 0.0
        super().handle_websocket_upgrade(event)

    def _set_deadline(self) -> None:
        state = self.conn.their_state
        if state is self._awaited:
            return
        self._forget_deadline()
        if state in FROM_CLIENT and self._request_s and not self.transport.is_closing():
            self._awaited = state
            self._deadline = self.loop.call_later(self._request_s, self.transport.abort)

    def _forget_deadline(self) -> None:
        self._awaited = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
