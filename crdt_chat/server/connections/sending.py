"""The writing half of a CRDT connection: a task that sends what waits for the peer, while something does.

It sends one frame at a time, so a slow socket is noticed. Most readers need no task: what they are told goes
to their sockets at once (peer.py). So there is no group of tasks, which would cost each of them a kilobyte
for as long as it lasts: what runs beside the reader runs in the background, and ends with it.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from crdt_chat.errors import LocalFault, TryLater
from crdt_chat.server.process.scopes import Scope, scope
from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.sockets.channel import AsgiChannel, Channel

LAST_WORD_S = 1.0
"""Seconds that a channel which takes nothing more may take to say how it ended."""

GONE = (OSError, anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)
"""What the send of a channel raises when the peer is no longer there."""


class Sending:
    """Starts tasks beside the reader's, and ends hers. lost: the connection ended without a word."""

    __slots__ = (
        "_beside",
        "_channel",
        "_lost",
        "_over",
        "_reading",
        "_room",
        "_services",
        "_writing",
        "peer",
    )

    _room: Room

    def __init__(self, channel: Channel, peer: Peer, services: Services) -> None:
        self.peer = peer
        self._channel = channel
        self._services = services
        self._beside: set[anyio.CancelScope] | None = None
        self._reading: Scope = scope()
        self._lost = self._over = self._writing = False

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """Go on with `work` beside the reader, until she has left."""
        self._services.start(self._while_here, work, arguments, fail=self._fail)

    async def _while_here(
        self, work: Callable[..., Coroutine[Any, Any, None]], arguments: tuple[object, ...]
    ) -> None:
        if self._over:
            return
        with anyio.CancelScope() as mine:
            self._beside = self._beside or set()
            self._beside.add(mine)
            try:
                await work(*arguments)
            finally:
                self._beside.discard(mine)

    def _fail(self, _fault: LocalFault) -> None:
        """Something beside the reader has failed, and the log has it: without it there is no going on."""
        self.peer.close(TryLater("the server had a problem: try again"))
        self._reading.cancel()

    def _stop(self) -> None:
        """The reader has left: nothing goes on beside her."""
        self._over = True
        for each in tuple(self._beside or ()):
            each.cancel()

    def _wake(self) -> None:
        """Start the writer, which ends when there is nothing left to send: most readers need none."""
        if not self._writing:
            self._writing = True
            self._start(self._write)

    async def _write(self) -> None:
        peer, channel, clock = self.peer, self._channel, self._services.clock
        traffic = self._services.metrics.traffic
        while True:
            frame = peer.outbox.pop()
            if frame is not None or peer.large:
                peer.sending_since = clock.monotonic()
                try:
                    if frame is not None:
                        await channel.send(frame)
                        traffic.sent(len(frame))
                    await self._unload()
                except GONE:
                    # The reader is told how it ended, if the channel knows; if not, it was lost.
                    await anyio.sleep(LAST_WORD_S)
                    self._lost = True
                    self._reading.cancel()
                    return
                peer.sending_since = None
                peer.relieve()
            elif peer.closing is not None:
                self._reading.cancel()
                return
            elif peer.outbox.behind() and not (peer.owed or peer.catching_up):
                await self._services.states.wait(peer.whose)
                await self._room.catch_up(peer)
                # What its socket took at once counts until it has left our memory.
                if not (peer.outbox.frames or peer.large or peer.closing):
                    break
            else:
                break
        self._writing = False

    async def _unload(self) -> None:
        """A large state counts until its socket has got rid of it."""
        if self.peer.large and not self.peer.outbox.frames:
            if isinstance(self._channel, AsgiChannel):
                await self._channel.drained()
            self.peer.unload()
