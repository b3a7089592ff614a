"""The socket of a peer: connects, carries frames both ways, and comes back after every loss.

asyncio only, because the `websockets` client is; everything above it is anyio or plain.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import cast

import anyio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from crdt_chat.client.address import Address
from crdt_chat.client.credentials import Credentials
from crdt_chat.client.liveness import CountingConnection, watch
from crdt_chat.client.peer import Peer
from crdt_chat.client.replica import ReplicaBroken
from crdt_chat.client.session import Session
from crdt_chat.client.wake import Wake
from crdt_chat.errors import Malformed, RemoteFault

log = logging.getLogger(__name__)

MAX_FRAME = 64 * 1024 * 1024
"""Bytes of one frame: a page's state (16 MiB, design 15) comes in one step 2, and may grow."""

OPEN_S, CLOSE_S, RENEW_S = 10.0, 2.0, 15.0
"""Seconds to open a connection, to close it, and between signs of life for other clients."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""The pause between attempts doubles from first to longest, each shortened by up to half."""

SHORTEST_RENEWAL_S = 5.0
"""Seconds between two fresh tokens at least, also where they come with hardly any life."""

LOST = 1006
"""The close code of a connection that was never closed, or never open."""

_STATUS_FAULTS = {fault.status: fault.close_code for fault in RemoteFault.__subclasses__()}


class Link:
    """Keeps one peer connected while it is wanted. `jitter` gives numbers from 0 to 1."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        peer: Peer,
        wake: Wake,
        jitter: Callable[[], float],
    ) -> None:
        self.paused = False
        self.attempts = 0
        self._address = address
        self._credentials = credentials
        self._peer = peer
        self._wake = wake
        self._jitter = jitter
        self._stopped = False
        self._failures = 0

    def pause(self) -> None:
        """Close the connection, and make no other until `resume`."""
        self.paused = True
        self._wake()

    def stop(self) -> None:
        """Close the connection for good: `run` returns."""
        self.paused = self._stopped = True
        self._wake()

    def resume(self) -> None:
        """Connect again at once."""
        self.paused = False
        self._failures = 0
        self._wake()

    async def run(self) -> None:
        """Connect, and connect again, until `stop`, or until the server says never."""
        while not self._stopped:
            if self.paused:
                await self._wake.wait()
                continue
            code, reason = await self._attempt()
            self.attempts += 1
            then = self._peer.disconnected(code, reason)
            if then == "never":
                return
            if then == "later" and not self.paused:
                with anyio.move_on_after(self._pause()):
                    await self._wake.until(lambda: self.paused)

    def _pause(self) -> float:
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return longest * (1 - self._jitter() / 2)

    async def _attempt(self) -> tuple[int, str]:
        """One connection from open to close. Returns its close code and reason."""
        try:
            headers = await self._credentials.headers()
        except Exception:
            log.exception("there is no token to connect with")
            return LOST, "there is no token to connect with"
        try:
            async with connect(
                self._address.url(self._peer.epoch),
                max_size=MAX_FRAME,
                compression=None,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                ping_interval=None,
                proxy=None if self._address.loopback else True,
                create_connection=CountingConnection,
                additional_headers=headers,
            ) as socket:
                return await self._carry(cast(CountingConnection, socket))
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            return _STATUS_FAULTS.get(status, LOST), f"the server answered with {status}"
        except (OSError, TimeoutError, WebSocketException, EOFError) as error:
            return LOST, str(error)

    async def _carry(self, socket: CountingConnection) -> tuple[int, str]:
        session = self._peer.connected()
        ending = LOST, "paused"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send, socket, session)
            tasks.start_soon(self._stay, session)
            tasks.start_soon(self._watch, socket)
            tasks.start_soon(self._renew, session)
            tasks.start_soon(self._leave, tasks.cancel_scope)
            ending = await self._receive(socket)
            tasks.cancel_scope.cancel()
        if session.synced:
            self._failures = 0
        return ending

    async def _receive(self, socket: CountingConnection) -> tuple[int, str]:
        try:
            async for frame in socket:
                # A text frame is not for us: no server that speaks Yjs sends one.
                if isinstance(frame, bytes) and not self._peer.receive(frame):
                    return 1000, "the document is dropped"
        except ConnectionClosed:
            return socket.close_code or LOST, socket.close_reason or ""
        except Malformed as error:
            return LOST, f"the server sent what cannot be read: {error}"
        except ReplicaBroken as error:
            self._peer.broken()
            return LOST, str(error)
        return socket.close_code or LOST, socket.close_reason or ""

    async def _send(self, socket: CountingConnection, session: Session) -> None:
        # The receiver learns how a connection ended, and says so; here it is only the end.
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._wake.until(lambda: bool(session.outgoing))
                while session.outgoing:
                    await socket.send_frame(session.outgoing.popleft())

    async def _watch(self, socket: CountingConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await watch(socket)
            # Not closed: a dead peer would not answer that either.
            socket.transport.abort()

    async def _renew(self, session: Session) -> None:
        """Replace the token on the live connection before it ends."""
        while (pause := self._credentials.lasts()) is not None:
            await anyio.sleep(max(pause, SHORTEST_RENEWAL_S))
            try:
                token = await self._credentials.fresh()
            except Exception:
                # The connection ends with the old token, and the next one asks again.
                log.exception("there is no fresh token")
                return
            if token is not None:
                session.authenticate(token)
                self._wake()

    async def _leave(self, connection: anyio.CancelScope) -> None:
        await self._wake.until(lambda: self.paused)
        connection.cancel()

    async def _stay(self, session: Session) -> None:
        while True:
            await anyio.sleep(RENEW_S)
            session.renew()
            self._wake()
