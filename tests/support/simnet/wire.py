"""A Link down to the bytes: the server's end is its own protocol classes on a simulated transport.

From the first byte on what serves it is production code: Front, Handshake, Socket with its frames, reading,
intake and pings, CrdtSocket with authority and guard. Bytes come in pieces and messages in parts; a
peer that falls silent is found by the server's own pings.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from crdt_chat.config import Limits
from crdt_chat.protocol import frames
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.access.tenants import Tenants
from crdt_chat.server.access.tickets import Tickets
from crdt_chat.server.audit.denials import Denials
from crdt_chat.server.connections.connection import Visit
from crdt_chat.server.connections.crdt_socket import CAPABILITY, CrdtSocket
from crdt_chat.server.moderation import moderators
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.sockets.http import Front
from crdt_chat.server.sockets.intake import Intake
from crdt_chat.server.sockets.pulse import Shared
from crdt_chat.server.sockets.websocket import sockets_of

from .link import LOST, Link

OPEN, END, PING = "open", "end", "ping"
"""What passes beside frames: the answer to the handshake, the end of the stream, a ping."""

MOST_PIECES = 3


def head_of(visit: Visit) -> bytes:
    """The request of a client that comes for this visit."""
    caps = [CAPABILITY] * visit.speaks_control + [moderators.CAPABILITY] * visit.watches
    said = urlencode({"user": visit.grant.user, "name": visit.grant.name, "caps": ",".join(caps)})
    path = f"/ws/{quote(visit.key.tenant, safe='')}/{quote(visit.key.page, safe='')}?{said}"
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: sim",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True, slots=True)
class Wires:
    """What a server is set up with. roles: who is what; ordinary: bytes of a message that needs no place
    in the intake; places: how many there are.
    """

    roles: Revocations
    ordinary: int
    places: int


class InOrder(dict[Any, None]):
    """A set that remembers who came first."""

    def add(self, one: Any) -> None:
        self[one] = None

    def discard(self, one: Any) -> None:
        self.pop(one, None)


class Entrance:
    """Where connections come in, in one life of the server, as server/run.py and app.py put it together."""

    def __init__(self, rooms: Rooms, wires: Wires) -> None:
        services = rooms.services
        limits, clock, ids = services.limits, services.clock, services.ids
        tickets = Tickets(clock.monotonic, ids.origin)
        secret = ids.origin() + ids.origin()
        tenants = Tenants(services.config)
        denials = Denials(limits.denied_named)
        authority = Authority(tenants, wires.roles, tickets, secret, clock.now, ids.text, denials)
        self.guard = Guard(authority, clock.monotonic)
        self.state = ServerState()
        self.intake = Intake(wires.places, 1, patience_s=limits.large_frame_s)
        self._request_s = limits.request_s
        app = CrdtSocket(rooms, authority, self.guard)
        self._socket: Callable[[], Any] = partial(
            sockets_of(_shared(app, limits, self.intake, wires.ordinary)), server_state=self.state
        )

    def protocol(self) -> Front:
        """A new connection's."""
        return Front(self.state.connections, _no_http, self._socket, self._request_s)

    def kill(self) -> list[asyncio.Task[None]]:
        """The process is gone, and all that it did. Returns the tasks that are ending."""
        tasks = sorted(self.state.tasks, key=lambda task: int(task.get_name().rpartition("-")[2]))
        for task in tasks:
            task.cancel()
        return tasks


def _shared(app: CrdtSocket, limits: Limits, intake: Intake, ordinary: int) -> Shared:
    ping_s, pong_s = limits.ping_s, limits.pong_s
    shared = Shared(app, intake, ordinary=ordinary, ping_s=ping_s, pong_s=pong_s)
    # A set would be swept in the order of addresses in memory: another one each time.
    shared._sockets = InOrder()  # type: ignore[assignment]  # what of a set it uses
    return shared


def _no_http(_deadline: object) -> asyncio.Protocol:
    raise AssertionError("a plain upgrade is taken for something else")


class Line(asyncio.Transport):
    """The server's end of the bytes."""

    def __init__(self, link: "WireLink", protocol: asyncio.Protocol, number: int) -> None:
        super().__init__(
            {"peername": ("192.0.2.1", number), "sockname": ("192.0.2.2", 80), "sslcontext": None}
        )
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._closing = self._lost = self._full = self._ended = False
        self._reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def came(self, data: bytes) -> None:
        """Bytes of the client."""
        if not self._closing:
            self._protocol.data_received(data)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._link.down.size

    def write(self, data: Any) -> None:
        if self._closing:
            return
        self._link.wrote(bytes(data))
        if not self._full and self._link.down.size > self._link.quality.buffer:
            self._full = True
            self._protocol.pause_writing()

    def drained(self) -> None:
        """Something has left."""
        if self._full and self._link.down.size <= self._link.quality.buffer // 4:
            self._full = False
            self._protocol.resume_writing()
        if self._closing and not self._link.down.size:
            self._lose()

    def pause_reading(self) -> None:
        self._reading = False
        self._link.up.paused = True

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._reading and not self._closing:
            self._link.up.resume()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended:
            self._ended = True
            self._link.down.put(LOST)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._link.up.cut()
            self.write_eof()
            self.drained()

    def abort(self) -> None:
        """At once; the client sees a reset."""
        if not self._lost:
            self.lose()
            self._link.hear_of_loss()

    def lose(self) -> None:
        """The network or the process has ended it."""
        self._closing = True
        self._link.up.cut()
        self._link.down.cut()
        self._lose()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._protocol.connection_lost, None)


class WireLink(Link):
    """A connection of bytes."""

    _line: Line

    def plug(self, entrance: Entrance, visit: Visit, number: int) -> None:
        """Reach a server."""
        protocol = entrance.protocol()
        self._opened = False
        self._open = False
        self._unsaid: list[bytes] = []
        self._line = Line(self, protocol, number)
        protocol.connection_made(self._line)
        self.up.put(head_of(visit))

    # The client's end

    def send(self, frame: bytes) -> None:
        if not self._open:
            self._unsaid.append(frame)
            return
        parts = self._pieces(frame)
        for number, part in enumerate(parts, 1):
            opcode = Opcode.BINARY if number == 1 else Opcode.CONT
            self._say(Frame(opcode, part, number == len(parts)))

    def _say(self, frame: Frame) -> None:
        for piece in self._pieces(frame.serialize(mask=True)):
            self.up.put(piece, len(piece))

    def _pieces(self, data: bytes) -> list[bytes]:
        cuts = sorted(
            self._rng.randrange(len(data) + 1) for _ in range(self._rng.randrange(MOST_PIECES))
        )
        edges = [0, *cuts, len(data)]
        return [data[a:b] for a, b in itertools.pairwise(edges)]

    def _hang_up(self) -> None:
        if self._open:
            self._say(Frame(Opcode.CLOSE, (1000).to_bytes(2, "big")))
        self.up.put(END)

    def close(self) -> None:
        if not self.over:
            self.over = True
            self._hang_up()
        self.down.cut()

    def reset(self) -> None:
        self._line.lose()
        self.hear_of_loss()

    def vanish(self, client_hears: float | None) -> None:
        self.up.cut()
        self.down.dead = True
        if client_hears is not None:
            self._loop.call_later(client_hears, self._tell_client, LOST)

    def hear_of_loss(self) -> None:
        """The client will see that it is over."""
        self._loop.call_later(self._latency(), self._tell_client, LOST)

    def _to_client(self, item: Any) -> None:
        if self.over:
            return
        if item == OPEN:
            self._open = True
            unsaid, self._unsaid = self._unsaid, []
            for frame in unsaid:
                self.send(frame)
        elif item == PING:
            self._say(Frame(Opcode.PONG, b""))
        else:
            if isinstance(item, int) and item != LOST:
                self._hang_up()
            super()._to_client(item)

    # The server's end

    def _to_server(self, item: Any) -> None:
        if item == END:
            self._line.close()
        else:
            self._line.came(item)

    def wrote(self, data: bytes) -> None:
        """The server writes: the answer to the handshake, then whole frames."""
        if not self._opened:
            assert data.startswith(b"HTTP/1.1 101 "), data
            self._opened = True
            self.down.put(OPEN)
            return
        opcode, said = data[0] & 0x0F, _payload(data)
        if opcode == frames.BINARY:
            self._put(said)
        elif opcode == frames.CLOSE:
            self.down.put(int.from_bytes(said[:2], "big"), len(data))
        else:
            assert opcode == frames.PING, f"a server says {opcode}"
            self.down.put(PING, len(data))

    def _drained(self) -> None:
        self._line.drained()

    def die(self) -> None:
        self._line.lose()
        self.hear_of_loss()


def _payload(encoded: bytes) -> bytes:
    size, at = encoded[1], 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(encoded[2:at], "big")
    assert len(encoded) == at + size, "a frame of another length than it says, or more than one"
    return encoded[at:]
