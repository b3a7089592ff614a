"""WS /sub: what happens on a page, one JSON object per text frame, to clients that never answer."""

import logging
from collections.abc import Callable
from contextlib import suppress

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from crdt_chat.errors import RemoteFault, TryLater
from crdt_chat.identity import Grant, PageKey
from crdt_chat.protocol.url_ids import USER_FEED, page_of
from crdt_chat.server.access.auth import Authority, covered, page_key
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.legacy.feeds import CATCH_UP_ROWS, Feed, Listener, Subscriber
from crdt_chat.server.legacy.visitors import visitor
from crdt_chat.server.rooms.room import Room
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.sockets.channel import LOST_CODES, transport_of
from crdt_chat.server.sockets.rate import Bucket
from store.errors import StoreError

log = logging.getLogger(__name__)

CLOSE_S = 5.0
"""Seconds for a close frame to leave before the connection is cut."""

HEARD_PER_S, HEARD_BURST = 1.0, 60.0
"""Frames that a client may send us: all are ignored, more are read more slowly."""


class Subscriptions:
    """The endpoint of `/sub`."""

    def __init__(self, rooms: Rooms, authority: Authority, guard: Guard) -> None:
        self._rooms = rooms
        self._authority = authority
        self._guard = guard
        self._services = rooms.services
        self._feeds: dict[Room, Feed] = {}

    async def handle(self, socket: WebSocket) -> None:
        """Accept, find out who listens to which page, tell it everything until it leaves.

        Refusals are close codes after accept: legacy clients see an HTTP refusal as a lost network.
        """
        await socket.accept()
        metrics = self._services.metrics
        metrics.connected("legacy")
        code: int | None = None
        try:
            with self._services.addresses.counted(socket.scope):
                self._services.addresses.check(socket.scope)
                await self._serve(socket)
        except RemoteFault as fault:
            code = fault.close_code
            await _close(socket, fault)
        except StoreError:
            log.exception("a legacy subscriber could not be served")
            code = TryLater.close_code
            await _close(socket, TryLater("the page cannot be read at the moment"))
        finally:
            metrics.disconnected("legacy", code)

    async def _serve(self, socket: WebSocket) -> None:
        query = socket.query_params
        tenant = query.get("tenantIdWS", "")
        if tenant == USER_FEED:
            # Notifications are not ours to send: the SDKs' feed is accepted and stays silent.
            await _listen(socket)
            return
        try:
            grant = visitor(socket, tenant, self._authority, self._services.ids.text).grant
            page = page_of(query.get("urlId", ""), tenant, self._is_tenant)
            key = covered(grant, page_key(tenant, page))
        except RemoteFault as fault:
            address = "" if socket.client is None else socket.client.host
            self._authority.denied(tenant, address, fault)
            raise
        await self._subscribe(socket, key, grant)

    def _is_tenant(self, name: str) -> bool:
        return self._authority.config.tenant(name) is not None

    async def _subscribe(self, socket: WebSocket, key: PageKey, grant: Grant) -> None:
        async with self._rooms.open(key) as room:
            self._check(room, key, grant)
            # Not before: nobody would take it away again, and it keeps the page in memory.
            feed = self._feeds.setdefault(room, Feed(room, self._services))
            subscriber = Subscriber(self._services.limits.outbox_bytes)
            number = self._services.ids.number()
            room.people.arrive(number, grant)
            feed.join(subscriber)
            lost = True
            try:
                with self._guard.watch(Listener(grant, subscriber), key, _cut(socket)):
                    lost = await self._tell(socket, subscriber, feed, key)
            finally:
                feed.leave(subscriber)
                room.people.depart(number, lost=lost and subscriber.closing is None)
                if not feed.subscribers:
                    self._feeds.pop(room, None)
        if subscriber.closing is not None:
            raise subscriber.closing

    def _check(self, room: Room, key: PageKey, grant: Grant) -> None:
        """Raises TryLater where this is one too many."""
        limits, feed = self._services.limits, self._feeds.get(room)
        if feed is not None and len(feed.subscribers) >= limits.connections_per_page:
            raise TryLater("too many people are on this page")
        if self._guard.sessions(key.tenant, grant.user) >= limits.connections_per_user:
            raise TryLater("you are connected too many times")

    async def _tell(
        self, socket: WebSocket, subscriber: Subscriber, feed: Feed, key: PageKey
    ) -> bool:
        """Send and listen until either side ends it. Returns whether the socket was lost."""
        lost = True
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                with suppress(WebSocketDisconnect):
                    await self._write(socket, subscriber, feed, key)
                tasks.cancel_scope.cancel()

            tasks.start_soon(write)
            lost = await _listen(socket)
            tasks.cancel_scope.cancel()
        return lost

    async def _write(
        self, socket: WebSocket, subscriber: Subscriber, feed: Feed, key: PageKey
    ) -> None:
        """Send what is queued, one frame at a time, until the subscriber is given up."""
        traffic, limits = self._services.metrics.traffic, self._services.limits
        while subscriber.closing is None:
            if subscriber.frames:
                frame, size = subscriber.frames.popleft()
                subscriber.size -= size
                with anyio.move_on_after(limits.outbox_patience_s) as patience:
                    await socket.send_text(frame)
                if patience.cancelled_caught:
                    subscriber.closing = TryLater("too slow: reconnect and catch up")
                    return
                traffic.sent(size)
            elif subscriber.stale:
                feed.refresh(subscriber)
            elif not subscriber.lagging:
                subscriber.work = anyio.Event()
                await subscriber.work.wait()
            elif not await self._catch_up(subscriber, key):
                return

    async def _catch_up(self, subscriber: Subscriber, key: PageKey) -> bool:
        """Queue the next part of what a drained subscriber was not told. False: it is given up."""
        subscriber.missed = False
        store = self._services.store
        try:
            rows = await store.events(key.tenant, key.page, subscriber.cursor, CATCH_UP_ROWS)
        except StoreError:
            log.exception("a legacy subscriber could not catch up")
            subscriber.closing = TryLater("the event log cannot be read at the moment")
            return False
        subscriber.caught_up(rows)
        return True


def _cut(socket: WebSocket) -> Callable[[], None] | None:
    """What cuts the connection at once, where the server offers it (server/sockets/websocket.py)."""
    under = transport_of(socket.scope)
    return None if under is None else under.abort


async def _listen(socket: WebSocket) -> bool:
    """Ignore all that is said (one SDK sends "ping" and must not be answered), until it ends.

    Returns whether the socket ended without a close frame.
    """
    pace = Bucket(HEARD_PER_S, HEARD_BURST)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return message.get("code", 1006) in LOST_CODES and "reason" not in message
        await anyio.sleep(pace.take(1, anyio.current_time()))


async def _close(socket: WebSocket, fault: RemoteFault) -> None:
    """Close with the fault's code; cut the connection where that cannot be sent in time."""
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    reason = str(fault).encode()[:120].decode(errors="ignore")
    with anyio.move_on_after(CLOSE_S) as patience, suppress(WebSocketDisconnect):
        await socket.close(fault.close_code, reason)
    if patience.cancelled_caught:
        cut = _cut(socket)
        if cut is not None:
            cut()
