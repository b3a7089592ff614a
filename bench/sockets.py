"""The generator's side: bare asyncio sockets that speak y-protocols, count frames and keep what came."""

import asyncio
import base64
import os
import re
import time
from collections.abc import Callable

from servers import HOST, Kind

MARK = re.compile(rb"b(\d{3})-(\d{6});")
"""The broadcastId of the operation mix: writer and number."""

EMPTY_STEP2 = b"\x00\x01\x02\x00\x00"


def varuint(value: int) -> bytes:
    """A lib0 varuint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(payload: bytes) -> bytes:
    """A lib0 byte array."""
    return varuint(len(payload)) + payload


def frame(payload: bytes) -> bytes:
    """A masked binary WebSocket frame; the mask is zero, so the bytes stay as they are."""
    size = len(payload)
    if size < 126:
        head = bytes((0x82, 0x80 | size))
    elif size < 1 << 16:
        head = b"\x82\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x82\xff" + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def update_of(message: bytes) -> bytes:
    """The Yjs update in a sync message (two bytes of types, then a byte array)."""
    at = 2
    while message[at] > 127:
        at += 1
    return message[at + 1 :]


class Crowd:
    """All sockets of one scenario: when the last update came, and each distinct frame once."""

    def __init__(self, kind: Kind, port: int) -> None:
        self.kind = kind
        self.port = port
        self.last = 0.0
        self.frames: dict[bytes, bytes] = {}
        self.sockets: list[Socket] = []
        self.lost = 0

    async def join(self, page: str, user: str, client: int = 0, **options: object) -> "Socket":
        """A connected socket; `client` is announced in an awareness frame unless it is 0."""
        loop = asyncio.get_running_loop()
        socket = Socket(self, page, client, **options)  # type: ignore[arg-type]
        await loop.create_connection(lambda: socket, HOST, self.port)
        self.sockets.append(socket)
        socket.ask(self.kind.path(page, user))
        await asyncio.wait_for(socket.open, 60)
        return socket

    async def synced(self) -> None:
        """Every socket has had its step 2 (a relay never sends one)."""
        if self.kind.answers:
            await asyncio.wait_for(asyncio.gather(*(each.synced for each in self.sockets)), 120)

    async def quiet(self, seconds: float = 0.3, at_most: float = 60.0) -> float:
        """Wait until no update has come for so long; when the last one came."""
        began = time.perf_counter()
        self.last = max(self.last, began)
        end = began + at_most
        while time.perf_counter() - self.last < seconds and time.perf_counter() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return self.last

    def close(self) -> None:
        """Cut all of them."""
        for socket in self.sockets:
            socket.hang_up()


class Socket(asyncio.Protocol):
    """One client. `told` are the sync messages with updates it got, `frames` all that it got."""

    def __init__(
        self,
        crowd: Crowd,
        page: str,
        client: int = 0,
        *,
        keep: bool = True,
        offline: bytes | None = None,
        on_update: Callable[["Socket", bytes], None] | None = None,
        vector: bytes = b"\x00",
    ) -> None:
        self.crowd = crowd
        self.page = page
        self.client = client
        self.keep = keep
        self.offline = offline
        self.on_update = on_update
        self.vector = vector
        self.prefix = sized(page.encode()) if crowd.kind.addressed else b""
        self.told: list[bytes] = []
        self.said: list[bytes] = []
        self.frames = self.updates = self.bytes = self.presence = 0
        loop = asyncio.get_running_loop()
        self.open: asyncio.Future[None] = loop.create_future()
        self.synced: asyncio.Future[None] = loop.create_future()
        self.leaving = False
        self._upgraded = False
        self._rest = b""
        self._parts: list[bytes] = []
        self._missing = 0

    # Out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def send(self, message: bytes) -> None:
        self.transport.write(frame(self.prefix + message))

    def write(self, update: bytes) -> None:
        """Send an update as an increment."""
        self.said.append(update)
        self.send(b"\x00\x02" + sized(update))

    def announce(self, clock: int = 1, state: bytes = b"{}") -> None:
        """Send this client's awareness state."""
        entry = b"\x01" + varuint(self.client) + varuint(clock) + sized(state)
        self.send(b"\x01" + sized(entry))

    def _greet(self) -> None:
        if self.crowd.kind.addressed:
            self.send(b"\x02\x00" + sized(b"token"))
        self.send(b"\x00\x00" + sized(self.vector))
        if self.client:
            self.announce()

    def hang_up(self) -> None:
        self.leaving = True
        self.transport.abort()

    def leave(self) -> None:
        """Close with a close frame."""
        self.leaving = True
        self.transport.write(b"\x88\x82\0\0\0\0\x03\xe8")

    # In

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.leaving:
            self.crowd.lost += 1
        for future in (self.open, self.synced):
            if not future.done():
                future.set_exception(ConnectionError("the server has hung up"))
                future.exception()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts, self._missing = [], 0
        elif self._rest:
            data = self._rest + data
        self._rest = b""
        at = 0
        if not self._upgraded:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._rest = data
                return
            self._upgraded = True
            if not data.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(data[:80].decode(errors="replace")))
                return
            if not self.open.done():
                self.open.set_result(None)
            self._greet()
        size = len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length > 125:
                width = 2 if length == 126 else 8
                if size - start < width:
                    break
                length = int.from_bytes(data[start : start + width], "big")
                start += width
            end = start + length
            if end > size:
                self._parts, self._missing = [data[at:]], end - size
                return
            self._take(data[at] & 15, data[start:end])
            at = end
        self._rest = data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 2:
            self.frames += 1
            self.bytes += len(payload)
            self._hear(payload[len(self.prefix) :] if self.prefix else payload)
        elif opcode == 9:
            self.transport.write(bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
        elif opcode == 8 and not self.leaving:
            code = int.from_bytes(payload[:2], "big")
            raise ConnectionError(f"closed with {code}: {payload[2:].decode(errors='replace')}")

    def _hear(self, message: bytes) -> None:
        kind, step = message[0], message[1]
        if kind == 1:
            self.presence += 1
        if kind not in (0, 4):
            return
        if step == 0:
            self._answer()
            return
        self.crowd.last = time.perf_counter()
        if self.keep:
            self.told.append(self.crowd.frames.setdefault(message, message))
        if step == 1:
            if not self.synced.done():
                self.synced.set_result(None)
            return
        self.updates += 1
        if self.on_update is not None:
            self.on_update(self, message)

    def _answer(self) -> None:
        if self.offline is None:
            self.send(EMPTY_STEP2)
        else:
            self.said.append(self.offline)
            self.send(b"\x00\x01" + sized(self.offline))
            self.offline = None

    def knows(self) -> tuple[bytes, ...]:
        """The updates that it has: its own and those it was told."""
        return (*self.said, *(update_of(message) for message in self.told))
