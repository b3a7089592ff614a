"""When a page that nobody writes to is put to rest: it costs a fraction then (page/resting.py)."""

from typing import TYPE_CHECKING

from crdt_chat.errors import PageBroken

if TYPE_CHECKING:
    from crdt_chat.server.rooms.room import Room

RESTING_ENTRIES = 2_000
"""Pages of more annotations and comments stay awake: to pack them would hold the loop."""


class Rest:
    """Watches one room."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._awake_since: float | None = None

    def look(self, now: float, committed: float) -> None:
        """Put a clean page to rest if it has been awake and quiet for long enough.

        now and committed, the time of the last commit: s, by the monotonic clock.
        """
        room, page = self._room, self._room.page
        if page.rests:
            self._awake_since = None
            return
        if self._awake_since is None:
            self._awake_since = now
        counts, services = page.counts(), room.services
        entries = counts.annotations + counts.comments
        quiet = now - max(self._awake_since, committed)
        few = entries <= RESTING_ENTRIES and page.size <= services.slices.encoded
        if few and quiet >= services.limits.page_rest_s:
            self._awake_since = None
            try:
                page.rest()
            except PageBroken as fault:
                room.break_down(fault)
            room.states.clear()
