"""The composition root: from a Config and an open store to one ASGI app."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect

import store as kept
from crdt_chat import __version__
from crdt_chat.config import Config
from crdt_chat.errors import Restarting
from crdt_chat.identity import PageKey
from crdt_chat.server import api, legacy
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.access.proxies import Proxies
from crdt_chat.server.admin.administration import Administration, open_authority
from crdt_chat.server.api import is_operator
from crdt_chat.server.audit import refusals
from crdt_chat.server.clock import system_clock, system_ids
from crdt_chat.server.connections.crdt_socket import PREFIX, CrdtSocket
from crdt_chat.server.moderation.moderation import Moderation
from crdt_chat.server.moderation.moderators import Moderators
from crdt_chat.server.privacy.erasure import Erasure
from crdt_chat.server.privacy.erasure_log import ErasureLog
from crdt_chat.server.privacy.erasure_log import path_of as erasures_of
from crdt_chat.server.privacy.export import Export
from crdt_chat.server.privacy.retention import retain
from crdt_chat.server.process.metrics import Metrics
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.rooms.services import Clock, CommitQueue, Ids, Services
from crdt_chat.server.rooms.turn import thaw
from crdt_chat.server.sockets.channel import Event, Receive, Send
from crdt_chat.server.stamps import keep_reserved, stamps_above
from crdt_chat.server.web import ops, pages
from store.protocol import Store
from store.sqlite_store import SqliteStore

if getattr(kept, "DISTRIBUTION", None) != "crdt-chat":
    raise ImportError(f"another package named `store` shadows ours: {kept.__file__}")

COMMIT_S, DRAIN_S = 1.5, 2.0
"""Seconds for what was applied to be durable, then for connections to take what is queued for them.

With the second that uvicorn has, and half a one for the store, they are 5 s (`limits.stop_s`).
"""


@dataclass(slots=True)
class App:
    """The ASGI application; CRDT sockets are told apart by their raw path.

    local is what the local socket serves: the operator's verbs.
    """

    services: Services
    rooms: Rooms
    crdt: CrdtSocket
    http: Starlette
    proxies: Proxies
    administration: Administration
    local: Starlette
    erasure: Erasure
    stopping: bool = False

    def __call__(self, scope: Event, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """One HTTP request or WebSocket; no coroutine of its own, which would keep the scope."""
        scope = self.proxies.seen_through(scope)
        if scope["type"] == "websocket" and scope.get("raw_path", b"").startswith(PREFIX):
            return self.crdt(scope, receive, send)
        return self._answer(scope, receive, send)

    async def _answer(self, scope: Event, receive: Receive, send: Send) -> None:
        # Who leaves in the middle of a body is no fault of ours.
        with suppress(ClientDisconnect):
            await self.http(scope, receive, send)

    async def drain(self) -> None:
        """Commit all that was received, show it, then ask everybody to reconnect elsewhere.

        A big job does not keep the others from that: what is not durable was never acknowledged.
        """
        self.stopping = True
        with anyio.move_on_after(COMMIT_S):
            await self.rooms.close()
        with anyio.move_on_after(DRAIN_S):
            await self.rooms.dismiss(Restarting("the server is restarting"))

    def open_pages(self) -> list[PageKey]:
        """The pages of open tenants that people are on: what the front page may show."""
        return [room.key for room in self.rooms if _is_open(self.services.config, room.key)]

    def problems(self) -> list[str]:
        """Why this server should get no new visitors."""
        found = ["stopping"] if self.stopping else []
        if self.services.queue.full:
            found.append("the commit queue is full")
        if any(room.suspended for room in self.rooms):
            found.append("a page cannot be saved")
        return found


def _erasures(store: Store) -> Path | None:
    """Where the log of erasures is; a store in memory has none."""
    return erasures_of(store.path) if isinstance(store, SqliteStore) else None


def _is_open(config: Config, key: PageKey) -> bool:
    tenant = config.tenant(key.tenant)
    return tenant is not None and tenant.open


@asynccontextmanager
async def build(
    config: Config, store: Store, *, clock: Clock | None = None, ids: Ids | None = None
) -> AsyncIterator[App]:
    """The app, alive for the length of the block; its tasks end with it, committed work stays."""
    clock = clock or system_clock()
    ids = ids or system_ids(clock)
    limits = config.limits_in_force()
    metrics = Metrics(__version__)
    queue = CommitQueue(limits.commit_queue_updates, limits.commit_queue_bytes, metrics)
    authority = await open_authority(config, store, clock, ids)
    config = authority.config
    # Before the tasks: what is wrong with a setting would come out as a group of errors.
    proxies = Proxies(config.proxies)
    async with anyio.create_task_group() as tasks:
        guard = Guard(authority, clock.monotonic)
        administration = Administration(authority, guard, store.trust)
        services = Services(config, limits, clock, ids, store, metrics, queue, tasks)
        services.moderators = Moderators(services)
        counts = (services.refusals, authority.denials)
        services.stamps = stamps = await stamps_above(store, clock)
        rooms = Rooms(services)
        crdt = CrdtSocket(rooms, authority, guard)
        moderation = Moderation(rooms, store.moderation)
        export = Export(services)
        erasure = Erasure(rooms, ErasureLog(_erasures(store)), counts)
        local = Starlette(
            routes=[
                *api.local_routes(administration),
                *api.moderation.local_routes(moderation, authority),
                *api.erasure.local_routes(erasure, export, authority),
            ]
        )
        app = App(services, rooms, crdt, Starlette(), proxies, administration, local, erasure)
        app.http.router.routes.extend(
            [
                *ops.routes(
                    version={"version": __version__},
                    problems=app.problems,
                    render_metrics=metrics.render,
                    is_admin=lambda request: is_operator(authority, request),
                ),
                *legacy.routes(rooms, store, authority, guard, moderation),
                *api.routes(administration),
                *api.moderation.routes(moderation, authority),
                *api.erasure.routes(erasure, export, authority),
                *pages.routes(open_pages=app.open_pages, demo=_is_open(config, pages.DEMO)),
            ]
        )
        tasks.start_soon(rooms.housekeep)
        tasks.start_soon(retain, services)
        tasks.start_soon(keep_reserved, store, stamps)
        tasks.start_soon(refusals.keep, counts, store.trust, clock.now)
        tasks.start_soon(guard.run)
        tasks.start_soon(administration.follow_key_files)
        try:
            yield app
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(limits.stop_s):
                await rooms.close()
            tasks.cancel_scope.cancel()
            thaw()
