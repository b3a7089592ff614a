"""Who is here: the server owns presence; awareness is only what clients say about themselves.

A connection is present from accept to close (design 6). Awareness states are taken only for the one
Yjs client id bound to the connection, stamped with the server's own rising clock, and forwarded
only when they changed. Sans-IO: connections are opaque ids, the clock comes in as milliseconds.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant
from crdt_chat.page.lib0 import MAX_DEPTH
from crdt_chat.protocol.wire import AwarenessEntry, awareness_of, encode_entry

KEPT_USER_FIELDS = ("color", "colorLight")
"""What a client may say about its own looks inside `user`; all else there is the grant's."""

COLOR = re.compile(
    r"#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20}"
    r"|(?:rgb|hsl)a?\([0-9a-z .,%/+-]*\)|(?:hwb|lab|lch|oklab|oklch)\([0-9a-z .,%/+-]*\)"
)
"""A colour as CSS writes it, and nothing else of CSS: editors put it into their readers' styles as it is."""


@dataclass(slots=True)
class Attendance:
    """One connection that is here."""

    grant: Grant
    client: int | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class PresentUser:
    """A person who is here, in however many tabs."""

    id: str
    name: str
    tabs: int
    avatar: str | None = None


@dataclass(slots=True)
class Presence:
    """The people and awareness states of one page.

    state_limit: bytes of one awareness state; a larger one is dropped, the last good one stands.
    entries: the live states by their connections, encoded; most who are here may have none.
    """

    state_limit: int = 4 * 1024
    attendances: dict[int, Attendance] = field(default_factory=dict)
    tabs: dict[str, int] = field(default_factory=dict)
    entries: dict[int, bytes] = field(default_factory=dict)
    _owner: dict[int, int] = field(default_factory=dict)
    _last_clock: int = 0

    def join(self, connection: int, grant: Grant) -> bool:
        """Count this connection in. Returns whether its user was not here before."""
        self.attendances[connection] = Attendance(grant)
        before = self.tabs.get(grant.user, 0)
        self.tabs[grant.user] = before + 1
        return before == 0

    def leave(self, connection: int, now: int) -> tuple[bool, bytes | None]:
        """Count it out. Returns whether its user has left, and the entry that tells the others."""
        gone = self.attendances.pop(connection)
        left = self.tabs[gone.grant.user] - 1
        if left:
            self.tabs[gone.grant.user] = left
        else:
            del self.tabs[gone.grant.user]
        entry, live = None, self.entries.pop(connection, None)
        if gone.client is not None and self._owner.get(gone.client) == connection:
            del self._owner[gone.client]
            if live is not None:
                entry = self._stamp(gone.client, "null", now)
        return left == 0, entry

    def bind(self, connection: int, client: int) -> None:
        """Bind a Yjs client id to a connection: the newest connection of its owner has it."""
        attendance = self.attendances[connection]
        attendance.client = client
        previous = self._owner.get(client)
        if previous is not None and previous != connection:
            former = self.attendances[previous]
            former.client = former.state = None
            self.entries.pop(previous, None)
        self._owner[client] = connection

    def accept(self, connection: int, entries: Iterable[AwarenessEntry], now: int) -> bytes | None:
        """Take what a connection says about itself. Returns the entry for the others, if changed.

        Entries of foreign client ids are dropped silently: stock clients echo what they hear.
        Raises Malformed where a state is not JSON.
        """
        attendance = self.attendances[connection]
        mine = [entry for entry in entries if entry.client == attendance.client]
        if not mine:
            return None
        entry = mine[-1]
        state = _with_user(entry.state, attendance.grant, self.state_limit)
        if state is None or state == attendance.state:
            return None
        attendance.state = state
        encoded = self._stamp(entry.client, state, now)
        if state == "null":
            self.entries.pop(connection, None)
        else:
            self.entries[connection] = encoded
        return encoded

    def states(self, reader: int) -> bytes | None:
        """The frame of all live states but the reader's own, None where there is none."""
        parts = [entry for connection, entry in self.entries.items() if connection != reader]
        return awareness_of(parts) if parts else None

    def renew(self, now: int) -> None:
        """Stamp every live state anew, so that a renewal counts at stock clients (30 s timeout)."""
        for connection in self.entries:
            attendance = self.attendances[connection]
            client, state = attendance.client, attendance.state
            if client is not None and state is not None:
                self.entries[connection] = self._stamp(client, state, now)

    def users(self) -> list[PresentUser]:
        """Everybody who is here, one entry per user, in the order in which they came."""
        found: dict[str, PresentUser] = {}
        for attendance in self.attendances.values():
            grant = attendance.grant
            found.setdefault(
                grant.user,
                PresentUser(grant.user, grant.name, self.tabs[grant.user], grant.avatar),
            )
        return list(found.values())

    @property
    def count(self) -> int:
        """Distinct users who are here."""
        return len(self.tabs)

    def _stamp(self, client: int, state: str, now: int) -> bytes:
        # Receivers ignore a clock that is not above the last one they saw for this id, also from
        # before a restart of the server; milliseconds rise across restarts. The peer's own clock
        # counts for nothing: a huge one would pin a ghost for ever.
        self._last_clock = max(self._last_clock + 1, now)
        return encode_entry(AwarenessEntry(client, self._last_clock, state))


def _with_user(text: str, grant: Grant, limit: int) -> str | None:
    """The state with `user` overwritten from the grant; None where it is over `limit` bytes."""
    if len(text.encode()) > limit:
        return None
    state = _parsed(text)
    if state is None:
        return "null"
    said = state.get("user")
    user: dict[str, Any] = {"id": grant.user, "name": grant.name}
    if grant.avatar:
        user["avatar"] = grant.avatar
    if isinstance(said, dict):
        for name in KEPT_USER_FIELDS:
            shown = said.get(name)
            if isinstance(shown, str) and len(shown) <= 32 and COLOR.fullmatch(shown):
                user[name] = shown
    state["user"] = user
    try:
        kept = json.dumps(state, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        kept.encode()
    except (ValueError, RecursionError):
        # Half of a surrogate pair, 1e999: every reader's parser would break on it.
        raise Malformed("an awareness state that others cannot read") from None
    return kept


def _parsed(text: str) -> dict[str, Any] | None:
    """The state, None for a farewell. Raises Malformed for anything but an object."""
    try:
        state = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Malformed("an awareness state that is not JSON") from None
    if state is not None and not isinstance(state, dict):
        raise Malformed("an awareness state that is not an object")
    if _is_deeper(state, MAX_DEPTH):
        raise Malformed("an awareness state that is nested too deeply")
    return state


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects lie inside one another for more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inside)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is Python's JSON, nobody else's")
