"""One WebSocket under uvicorn: frames in and out, ASGI upwards, and what a CRDT server needs of a socket.

How much is read, and how fast, is reading.py's. Too large a message closes with 4413: clients retry
1009 for ever. A ping that is not answered cuts the socket at once and says so, even with unsent bytes in its
buffer; a socket that we ourselves read slowly is not taken for dead; and the app may cut a connection
(ASGI extension `crdt_chat.transport`).

An idle socket costs little: the head of its request is forgotten with the answer to it, queues and events
are there while something is in them, and pings are sent by one sweep for all (pulse.py).
"""

import asyncio
import http
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from crdt_chat.errors import BadText, RemoteFault
from crdt_chat.protocol import frames
from crdt_chat.server.sockets.channel import Event
from crdt_chat.server.sockets.handshake import Handshake
from crdt_chat.server.sockets.pulse import NEVER, Shared
from crdt_chat.server.sockets.reading import Reading

log = logging.getLogger(__name__)

LOST, NEVER_OPEN, RESTARTING = 1005, 1006, 1012
"""What the app is told of a socket that is gone, of one that never was, and at the end of the server."""

SILENT = 1011
"""What the app is told of a socket whose ping was not answered."""

PING: Final = frames.encode(frames.PING, b"")

CLOSE_S = 10.0
"""Seconds for the other side to take what is queued before our close frame, and again to answer it."""


class Gone(ConnectionResetError):
    """The socket takes nothing more: what the app sends goes nowhere."""


class Socket(Reading):
    """One WebSocket of the server. due: when the sweep has to look at it again (loop's seconds)."""

    __slots__ = (
        "_drained",
        "_greeted",
        "_handshake",
        "_inbox",
        "_lost",
        "_parting",
        "_pinged",
        "_pong",
        "_waiter",
        "due",
    )

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._handshake: Handshake | None = None
        self._inbox: deque[bytes | str | Event] | None = None
        self._waiter: asyncio.Future[Event] | None = None
        self._drained: asyncio.Event | None = None
        # Parting: the app closes, or has closed, and the other side's answer is awaited.
        # Lost: the connection has ended.
        self._greeted = self._parting = self._lost = self._pinged = False
        self._pong: bytes | None = None
        self.due = NEVER

    # Beginning and end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn's HTTP protocol hands over the connection; the head of the request comes next."""
        self._transport = transport  # type: ignore[assignment]  # TCP: it reads and writes
        self._shared.come(self)

    def _open(self, head: bytes) -> None:
        handshake = Handshake(head, self._transport)
        if handshake.scope is None:
            self.closed = True
            self._transport.write(handshake.refusal)
            self._transport.close()
            return
        self._handshake = handshake
        handshake.scope["extensions"]["crdt_chat.transport"] = self
        self._tell({"type": "websocket.connect"})
        # The app is called here, not in the task: only what it keeps of the scope is kept.
        self._shared.start(self._shared.app(handshake.scope, self.receive, self.send), self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        """The app has done with it, or has failed."""
        self._shared.over(task)
        fault = None if task.cancelled() else task.exception()
        if isinstance(fault, Gone):
            log.debug("a socket was gone before it was told")
        elif fault is not None:
            # The last one who can say so: nobody awaits this task.
            log.error("a socket ended by our own fault", exc_info=fault)
        if self._handshake is not None:
            self._refuse(http.HTTPStatus.INTERNAL_SERVER_ERROR)
        if not self._parting:
            self._transport.close()
        # Nobody is told anything any more: what comes after this is not kept.
        self.closed = True
        self._inbox = None
        self.handled()

    def _refuse(self, status: http.HTTPStatus) -> None:
        handshake, self._handshake = self._handshake, None
        self.closed = True
        if handshake is not None and not self._transport.is_closing():
            self._transport.write(handshake.rejected(status))
        self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is gone: whoever waits for it is told."""
        if self._handshake is not None:
            self._unread = None
        self._finish_reading()
        self._tell(
            {"type": "websocket.disconnect", "code": NEVER_OPEN if self._handshake else LOST}
        )
        self._lost = self.closed = True
        self._handshake = None
        self.resume_writing()
        self._shared.go(self)

    def shutdown(self) -> None:
        """uvicorn ends: say so and close."""
        if self._handshake is not None:
            self._refuse(http.HTTPStatus.INTERNAL_SERVER_ERROR)
        elif not self.closed:
            self._tell({"type": "websocket.disconnect", "code": RESTARTING})
            self.closed = True
            self._transport.write(frames.encode_close(RESTARTING))
        self._transport.close()

    # What is going out

    def pause_writing(self) -> None:
        """The transport has more than it likes."""
        self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        """The transport takes more."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set()

    async def drained(self) -> None:
        """Return once most of what was sent has left our memory."""
        while self._drained is not None:
            await self._drained.wait()

    def backlog(self) -> int:
        """Bytes that were sent and are still in our memory."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Cut the connection without waiting for what is still unsent."""
        self._transport.abort()

    def write(self, encoded: bytes) -> bool:
        """Send one whole, already encoded WebSocket frame now. False: the socket is not free.

        The same bytes serve every reader of a page: no task, no encoding per delivery.
        """
        if self.closed or self._drained is not None or self._transport.is_closing():
            return False
        self._transport.write(encoded)
        return True

    async def send(self, message: Event) -> None:
        """ASGI's send. Raises Gone where the connection has ended, or was closed already."""
        kind = message["type"]
        if kind == "websocket.close" and self._handshake is None and not self.closed:
            # Nobody reads it any more, so that no ping would tell of one that takes nothing.
            self._parting = True
            self.due = self._shared.loop.time() + CLOSE_S
        if not (kind == "websocket.close" and self._large):
            # Who keeps a place in the intake goes at once; CLOSE_S is for what it has not taken, too.
            await self.drained()
        if self._lost or self.closed:
            raise Gone("the socket is closed")
        if self._handshake is not None:
            self._answer(self._handshake, message)
        elif kind == "websocket.send":
            data = message.get("bytes")
            if data is None:
                self._transport.write(frames.encode(frames.TEXT, message["text"].encode()))
            else:
                self._transport.write(frames.encode(frames.BINARY, data))
        elif kind == "websocket.close":
            self._close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(f"an open WebSocket takes no {kind!r}")

    def _answer(self, handshake: Handshake, message: Event) -> None:
        if message["type"] == "websocket.close":
            self._tell({"type": "websocket.disconnect", "code": NEVER_OPEN})
            self._refuse(http.HTTPStatus.FORBIDDEN)
        elif message["type"] == "websocket.accept":
            self._handshake = None
            if not self._transport.is_closing():
                more = message.get("headers", ())
                self._transport.write(handshake.accepted(message.get("subprotocol"), more))
                self.due = self._shared.next_ping(self._shared.loop.time())
                if self._unread:
                    self._read_on()
        else:
            raise RuntimeError(f"no answer to a handshake: {message['type']!r}")

    def _close(self, code: int, reason: str) -> None:
        """Say goodbye, and read on until the other side has said so, too."""
        if self._transport.is_closing():
            return
        self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._transport.write(frames.encode_close(code, reason))
        self.closed = self._parting = True
        self.due = self._shared.loop.time() + CLOSE_S
        self._paused = False
        self._read_on()

    # What is coming in

    def data_received(self, data: bytes) -> None:
        """The head of the request first, frames after it."""
        if not self._greeted:
            self._greeted = True
            self._open(data)
        elif self._handshake is not None:
            # Nothing may be answered ahead of the handshake: what this one read has brought waits for it.
            self._unread = self._unread or bytearray()
            self._unread += data
            self._transport.pause_reading()
        else:
            self._read(data)

    def _take_messages(self) -> None:
        super()._take_messages()
        pong, self._pong = self._pong, None
        if pong is not None:
            # One for all pings that came together, as RFC 6455 (5.5.3) allows, none if it reads nothing.
            self.write(pong)

    def _take(self, opcode: int, payload: bytes) -> None:
        """One message or control frame; of a pong, that something was heard is all that counts."""
        if opcode == frames.CLOSE:
            self._part(payload)
        elif opcode == frames.PING:
            self._pong = frames.encode(frames.PONG, payload)
        elif opcode != frames.PONG and not self.closed:
            idle = self._waiter is not None and not self._waiter.done()
            self._tell(payload if opcode == frames.BINARY else _text(payload))
            if len(payload) > self._shared.ordinary:
                self._large, idle = True, False
            if not (idle or self._paused or self._transport.is_closing()):
                self._paused = True
                self._transport.pause_reading()

    def _part(self, payload: bytes) -> None:
        """The other side says goodbye, or answers ours."""
        code, reason = frames.closing(payload)
        self._over = True
        if not self.closed:
            self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._end_with(frames.encode(frames.CLOSE, payload))
        self._transport.close()

    def _fail(self, fault: RemoteFault) -> None:
        if not self.closed:
            code, reason = fault.close_code, str(fault)
            self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._end_with(frames.encode_close(code, reason))
            self._parting = True
        self._ignore()

    def _end_with(self, encoded: bytes) -> None:
        self.closed = True
        self.due = self._shared.loop.time() + CLOSE_S
        if not self._transport.is_closing():
            self._transport.write(encoded)

    # What the app is told

    def _tell(self, said: bytes | str | Event) -> None:
        """Give the app a message or an event, in order."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(_event(said))
            return
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(said)

    def receive(self) -> "asyncio.Future[Event]":
        """ASGI's receive; who asks for the next message has handled those before it.

        No coroutine, which would take more than the rest of who waits.
        """
        self.handled()
        waiter: asyncio.Future[Event] = self._shared.loop.create_future()
        if not self._inbox:
            self._waiter = waiter
            return waiter
        said = self._inbox.popleft()
        waiter.set_result(_event(said))
        if not self._inbox:
            self._inbox = None
            if self._paused and not self._large:
                self._paused = False
                self._read_on()
        return waiter

    def handled(self) -> None:
        """The app has let go of what it was given: once it has all, a large message's place is free."""
        if self._large and not self._inbox:
            self._give_place_back()

    # Signs of life

    def look(self, now: float) -> None:
        """What was due is due: ping it, or see whether it has answered, or whether it has gone."""
        shared = self._shared
        if self.closed or self._parting:
            # It has had its time, also one that does not take what is still in our memory.
            self._transport.abort()
        elif not self._pinged:
            self._pinged, self._heard = True, False
            self.due = shared.answered_by(now)
            if not self._transport.is_closing():
                self._transport.write(PING)
        elif self._heard or self.held_back:
            self._pinged = False
            self.due = shared.next_ping(now)
        else:
            reason = "no answer to a ping"
            self._tell({"type": "websocket.disconnect", "code": SILENT, "reason": reason})
            self._transport.abort()


def _event(said: bytes | str | Event) -> Event:
    if isinstance(said, bytes):
        return {"type": "websocket.receive", "bytes": said}
    return {"type": "websocket.receive", "text": said} if isinstance(said, str) else said


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise BadText("a text frame that is not UTF-8") from None


def sockets_of(shared: Shared) -> Callable[..., Socket]:
    """What uvicorn calls (`ws=`) for each connection that asks to be upgraded."""

    def upgrade(*, server_state: Any, **_settings: Any) -> Socket:
        shared.state = server_state
        return Socket(shared)

    return upgrade
