"""The writing half of a CRDT connection: a task that sends what waits for the peer, while something does.

It sends one frame at a time, so a slow socket is noticed. Most readers need no task: what they are told goes
to their sockets at once (peer.py).
"""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from crdt_chat.server.rooms.peer import Peer
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.sockets.channel import AsgiChannel, Channel

LAST_WORD_S = 1.0
"""Seconds that a channel which takes nothing more may take to say how it ended."""

GONE = (OSError, anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)
"""What the send of a channel raises when the peer is no longer there."""


class Sending:
    """Starts its tasks in `_tasks`, which it cancels where the connection is over. lost: without a word."""

    __slots__ = (
        "_channel",
        "_lost",
        "_room",
        "_services",
        "_started",
        "_tasks",
        "_writing",
        "peer",
    )

    def __init__(self, channel: Channel, peer: Peer, room: Room, services: Services) -> None:
        self.peer = peer
        self._channel = channel
        self._room = room
        self._services = services
        self._tasks = anyio.create_task_group()
        self._lost = self._started = self._writing = False

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        self._started = True
        self._tasks.start_soon(work, *arguments)

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
                    self._tasks.cancel_scope.cancel()
                    return
                peer.sending_since = None
                peer.relieve()
            elif peer.closing is not None:
                self._tasks.cancel_scope.cancel()
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
