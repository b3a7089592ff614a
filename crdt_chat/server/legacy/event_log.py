"""GET /event-log/{tenant}: what a subscriber has missed, at least once (legacy-protocol 5)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.errors import TryLater
from crdt_chat.identity import PageKey
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import text_chat
from crdt_chat.protocol.url_ids import page_of
from crdt_chat.server.access.auth import Authority, covered, page_key
from crdt_chat.server.legacy.answers import answer
from crdt_chat.server.legacy.content import durable
from crdt_chat.server.legacy.visitors import visitor
from crdt_chat.server.rooms.rooms import Rooms
from store.protocol import Store
from store.records import EventRow

MOST_EVENTS = 2_000
"""Events in one answer. Of more than that, each annotation's last one: events are upserts."""

ROWS_AT_ONCE = 1_000
"""Rows read from the store in one go."""

Current = Callable[[str], Mapping[str, Json] | None]


@dataclass(frozen=True, slots=True)
class EventLog:
    """The catch-up endpoint."""

    rooms: Rooms
    store: Store
    authority: Authority

    async def handle(self, request: Request) -> Response:
        """The events after `startTime` (ms), and a little before it; `endTime` is only advice.

        Clients take their own clock for both. They give up for good on any error, so nothing but a
        wrong tenant or urlId is one.
        """
        tenant, query = request.path_params["tenant"], request.query_params
        who = visitor(request, tenant, self.authority, self.rooms.services.ids.text)
        is_tenant = self._is_tenant
        page = page_of(query.get("urlId", ""), tenant, is_tenant)
        key = covered(who.grant, page_key(tenant, page))
        after = self._start(query.get("startTime", ""))
        rows = await self._rows(key, after)
        told: dict[str, Json] = {
            "status": "success",
            "events": await self._told(key, rows) if rows else [],
        }
        if after < await self.store.event_floor(tenant, key.page):
            # Retention has removed what this cursor asks for. Old clients skip what they do not know.
            told["resync"] = True
        return answer(told)

    def _is_tenant(self, name: str) -> bool:
        return self.authority.config.tenant(name) is not None

    def _start(self, text: str) -> int:
        """The time (ms) after which events are told; the slack covers a socket dead unseen."""
        services = self.rooms.services
        slack = int((services.limits.ping_s + services.limits.pong_s) * 1000)
        asked = int(text) if text.isdecimal() and len(text) <= 16 else 0
        return max(0, min(asked, services.clock.now()) - slack)

    async def _rows(self, key: PageKey, after: int) -> list[EventRow]:
        """The events after this timestamp, ascending; thinned out where there are too many."""
        found: list[EventRow] = []
        while True:
            rows = await self.store.events(key.tenant, key.page, after, ROWS_AT_ONCE)
            found = newest([*found, *rows], MOST_EVENTS)
            if len(rows) < ROWS_AT_ONCE:
                return found
            after = rows[-1].timestamp

    async def _told(self, key: PageKey, rows: Sequence[EventRow]) -> list[dict[str, Json]]:
        """The entries of the answer, each chat as it is now: nothing comes back out of the log."""
        try:
            async with self.rooms.open(key) as room:
                return await durable(room, lambda content: _entries(key, rows, content.chat))
        except TryLater:
            # The page cannot be read just now: the events are told without their content.
            return list(_entries(key, rows, lambda _: None))


def _entries(key: PageKey, rows: Sequence[EventRow], current: Current) -> Iterator[dict[str, Json]]:
    for row in rows:
        body = text_chat.refreshed(row.body, current)
        yield text_chat.log_entry(key.tenant, key.page, row.timestamp, row.broadcast_id, body)


def newest(rows: list[EventRow], most: int) -> list[EventRow]:
    """`rows`, or the last one of each entity where there are more than `most`; still ascending."""
    if len(rows) <= most:
        return rows
    last = {row.entity: row for row in rows}
    return sorted(last.values(), key=lambda row: row.timestamp)
