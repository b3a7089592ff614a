"""A room as designs 4 and 5 describe it, over the production Page: judge, commit, release.

Its store is three Python variables. Nothing it derives from memory leaves before `commit`; a failed
commit forgets everything since the last one, as the production room does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.merge import merge
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import GateRows, Json, Sync, Verdict

from .archive import Archive
from .network import Connection, Message
from .replicas import ROOTS

PATIENCE_MS = 60_000
SERVER_CLIENT = 9


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict on its way to the disk: whose it was (None: the server's own) and on what bytes."""

    author: Connection | None
    verdict: Verdict


@dataclass(slots=True)
class Durable:
    """What survives: a snapshot, the updates after it, the gate's rows, what deletions took away."""

    snapshot: bytes | None = None
    journal: list[bytes] = field(default_factory=list)
    rows: GateRows = field(default_factory=GateRows)
    archive: Archive = field(default_factory=Archive)
    held: dict[str, Json] = field(default_factory=dict)


Inspect = Callable[[Connection | None, Grant, bytes, Verdict], None]
"""Called with every verdict, before it is committed."""


class SimRoom:
    """One page with its connections. `inspect` sees every verdict and may raise AssertionError."""

    def __init__(self, limits: PageLimits, inspect: Inspect) -> None:
        self.limits = limits
        self.now = 1_763_000_000_000
        self.inspect = inspect
        self.durable = Durable()
        self.archive = Archive()
        self.held: dict[str, Json] = {}
        self.connections: list[Connection] = []
        self.frames: list[bytes] = []
        self._judged: list[Judged] = []
        self._replies: list[tuple[Connection, Message]] = []
        self.page = Page(limits, SERVER_CLIENT)

    # -- connections ---------------------------------------------------------------------------

    def accept(self, connection: Connection) -> None:
        """A connection opens: the server asks what it has."""
        self.connections.append(connection)
        self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        self._replies.append((connection, Message("step1", self.page.state_vector())))

    def lose(self, connection: Connection) -> None:
        """A connection is gone."""
        connection.cut()
        self.connections.remove(connection)

    def take(self, connection: Connection) -> None:
        """Handle the next message of this connection."""
        message = connection.to_server.popleft()
        if message.kind == "announce":
            if connection.announced is None:
                connection.announced = message.client
                self.page.announce(message.client, connection.grant.user)
                if self._spoiled(message.client):
                    self._replies.append((connection, Message("reset")))
        elif message.kind == "step1":
            connection.asked = message.body
            self._answer(connection)
        elif message.kind == "step2":
            patient = connection.gap_since is None or self.now - connection.gap_since < PATIENCE_MS
            self._judge(connection, message.body, "step2" if patient else "last")
        else:
            self._judge(connection, message.body, "update")

    def _spoiled(self, client: int) -> bool:
        """Whether this replica was told to reset, never heard it and has come back."""
        kept = self.durable.rows.refused + [
            row for one in self._judged for row in one.verdict.rows.refused
        ]
        return any(row[0] == client and row[3] == "reset" for row in kept)

    def _answer(self, connection: Connection) -> None:
        assert connection.asked is not None
        self._replies.append((connection, Message("step2", self.page.diff(connection.asked))))
        connection.joined = True

    def _judge(self, connection: Connection, update: bytes, sync: Sync) -> None:
        try:
            verdict = self.page.receive(update, sync, connection.grant, self.now)
        except Malformed:
            self._replies.append((connection, Message("close")))
            return
        self.inspect(connection, connection.grant, update, verdict)
        if verdict.kind == "gap":
            if connection.gap_since is None:
                connection.gap_since = self.now
            self._ask(connection)
            return
        if sync != "update":
            connection.gap_since = None
        self._hold(connection, verdict)
        if verdict.repair == "reset":
            self._replies.append((connection, Message("reset")))
        self._write_back(verdict)

    # -- the server's own writes -----------------------------------------------------------------

    def write(
        self, operations: Sequence[tuple[str, str, Json]], grant: Grant, *, keep_past: bool = False
    ) -> Verdict:
        """A write made by the server in `grant`'s name."""
        verdict = self.page.write(operations, grant, self.now, keep_past=keep_past)
        self.inspect(None, grant, b"", verdict)
        self._hold(None, verdict)
        if not keep_past:
            self._write_back(verdict)
        return verdict

    def hide(self, name: str, grant: Grant) -> Verdict:
        """A moderator hides a live comment: its content moves out of the document."""
        self.held[name] = self.page.value("comments", name)
        return self._flag([("comments", name, None)], grant, hides=[name])

    def show(self, name: str, grant: Grant) -> Verdict:
        """A moderator shows a hidden comment again: with its first creator and time."""
        back = [("comments", name, self.held[name])]
        verdict = self._flag(back, grant, shows=[name])
        if not verdict.refusals:
            del self.held[name]
        return verdict

    def _flag(
        self,
        operations: Sequence[tuple[str, str, Json]],
        grant: Grant,
        *,
        hides: Sequence[str] = (),
        shows: Sequence[str] = (),
    ) -> Verdict:
        verdict = self.page.write(
            operations, grant, self.now, keep_past=True, hides=hides, shows=shows
        )
        self._hold(None, verdict)
        return verdict

    def _write_back(self, verdict: Verdict) -> None:
        """With the last entry lifted the server writes back what that deletion removed (design 3)."""
        lost = self.archive.returned(verdict.changes, self.entries())
        if lost:
            by = Grant(tenant="t", user="server", name="Server", role=Role.ADMIN)
            self.write(lost, by, keep_past=True)

    def entries(self) -> set[str]:
        """The names of all standing `deleted` entries."""
        return {name for name, _ in self.page.items("deleted")}

    # -- the commit ------------------------------------------------------------------------------

    def _hold(self, author: Connection | None, verdict: Verdict) -> None:
        self.archive.note(verdict.changes, self.entries())
        self._judged.append(Judged(author, verdict))

    def commit(self) -> None:
        """All that was judged becomes durable, then everything held back goes out."""
        durable = self.durable
        judged, self._judged = self._judged, []
        replies, self._replies = self._replies, []
        for one in judged:
            if one.verdict.update:
                durable.journal.append(one.verdict.update)
            extend(durable.rows, one.verdict.rows)
        durable.rows.owners.extend(self.page.announced)
        self.page.announced.clear()
        durable.archive = self.archive.copy()
        durable.held = dict(self.held)
        for connection, message in replies:
            self._send(connection, message)
        self._fan_out([one for one in judged if one.verdict.update])

    def _fan_out(self, judged: Sequence[Judged]) -> None:
        if not judged:
            return
        frame = Message("update", merge([one.verdict.update for one in judged]))
        self.frames.append(frame.body)
        for connection in self.connections:
            mine = all(one.author is connection and not one.verdict.echo for one in judged)
            if connection.joined and not mine:
                self._send(connection, frame)

    def _send(self, connection: Connection, message: Message) -> None:
        if message.kind == "step2":
            connection.asked = None
        self.frames.append(message.body)
        if connection.open:
            connection.to_tab.append(message)

    def fail(self) -> None:
        """The commit fails: the page is rebuilt, the frames are discarded, everybody is asked."""
        unanswered = [one for one, message in self._replies if message.kind == "step2"]
        closing = [(one, message) for one, message in self._replies if message.kind == "close"]
        self._judged.clear()
        self._replies.clear()
        self.rebuild()
        for connection in self.connections:
            if connection in unanswered and connection.open and connection.asked is not None:
                self._answer(connection)
            self._ask(connection)
        self._replies.extend(closing)

    def rebuild(self, *, squash: bool = False) -> None:
        """Load the page from what is durable; squash replaces the journal by a snapshot first."""
        durable = self.durable
        if squash:
            durable.snapshot, durable.journal = self.reloaded().state(), []
        self.page = self.reloaded()
        self.archive = durable.archive.copy()
        self.held = dict(durable.held)
        for connection in self.connections:
            if connection.announced is not None:
                self.page.announce(connection.announced, connection.grant.user)

    def reloaded(self) -> Page:
        """The page as a new process would load it."""
        durable = self.durable
        rows = replace(durable.rows)
        return Page.load(durable.snapshot, durable.journal, rows, self.limits, SERVER_CLIENT)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a commit."""
        return not self._judged and not self._replies

    def content(self) -> dict[str, dict[str, Json]]:
        """All live entries by root."""
        return content_of(self.page)


def content_of(page: Page) -> dict[str, dict[str, Json]]:
    """All live entries of a page by root."""
    found = {root: dict(page.items(root)) for root in ROOTS}
    return {root: entries for root, entries in found.items() if entries}


def extend(rows: GateRows, more: GateRows) -> None:
    """Add the rows of one verdict."""
    rows.owners.extend(more.owners)
    rows.entities.extend(more.entities)
    rows.refused.extend(more.refused)
    released = set(more.released)
    rows.held = [name for name in rows.held if name not in released] + list(more.held)


def texts_of(rows: GateRows) -> Iterable[str]:
    """Everything in the rows that could hold somebody's words."""
    yield from (user for _, user in rows.owners)
    yield from (f"{name} {creator}" for name, creator, _ in rows.entities)
    yield from rows.held
