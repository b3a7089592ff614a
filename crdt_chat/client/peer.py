"""The peer without its socket: the document, what is unsaved, what was refused, and who is here.

A sans-IO object: `link.py` gives it connections and frames, `aio.py` the person's gestures. `wake`
is called after everything that somebody may be waiting for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from crdt_chat.client.errors import Refused, fault_of
from crdt_chat.client.mirror import Mirror
from crdt_chat.client.model import Event, Status, User
from crdt_chat.client.news import events_of
from crdt_chat.client.orphans import Orphans
from crdt_chat.client.replica import Operation, Replica, merged
from crdt_chat.client.session import (
    UNLIMITED,
    Changed,
    Hello,
    Present,
    Promoted,
    Refusals,
    Session,
    Signal,
    Synced,
    Watched,
)
from crdt_chat.client.unsaved import Key, Unsaved, own_keys
from crdt_chat.errors import Forbidden, RemoteFault, Unauthorized
from crdt_chat.page.layout import encode_user
from crdt_chat.page.verdict import Change, Json, Refusal

Next = Literal["at once", "later", "never"]
"""When to connect again."""

Held = tuple[bytes, tuple[Key, ...]]
"""An update that waits for the end of its batch, and the keys it writes."""

Listener = Callable[[Event], None]

MOST_RESETS = 3
"""Documents dropped in a row, with nothing written in between, before the peer gives up."""


class Peer:
    """One person on one page. Used from one thread only.

    renewable: a token that has ended is followed by another one at the next connection.
    """

    def __init__(self, user: User, wake: Callable[[], None], *, renewable: bool = False) -> None:
        self.user = user
        self.renewable = renewable
        self.replica = Replica()
        self.unsaved = Unsaved()
        self.session: Session | None = None
        self.users: tuple[User, ...] = ()
        self.count = 0
        self.watched: Mapping[str, Any] | None = None
        self.role = ""
        self.limits = UNLIMITED
        self.epoch: int | None = None
        self.fault: RemoteFault | None = None
        self.ended = False
        self._wake = wake
        self._listeners: list[Listener] = []
        self._refused: list[tuple[Refusal, Json]] = []
        self._held: list[Held] | None = None
        self._fresh = False
        self._rebased = False
        self._orphans = Orphans()
        self._resets = 0
        self._ever_synced = False
        self._told: Status = "offline"

    @property
    def mirror(self) -> Mirror:
        """The page as it is known here."""
        return self.replica.mirror

    @property
    def status(self) -> Status:
        """See model.Status."""
        if self.ended or self.fault is not None:
            return "closed"
        if self.session is None:
            return "offline"
        return "synced" if self.session.synced and not self.unsaved else "online"

    # What the person does

    def write(self, operations: Sequence[Operation]) -> None:
        """Make these operations here, at once, and see that they reach the server."""
        self._resets = 0
        self._write(operations)
        self._settle()

    def hold(self) -> None:
        """Begin a batch: local writes wait, to leave as one update."""
        self._held = []

    def release(self) -> None:
        """End the batch."""
        held, self._held = self._held or [], None
        limit = self.session.frame_limit if self.session is not None else 0
        for part in _parts(held, limit // 2):
            keys = dict.fromkeys(key for _, keys in part for key in keys)
            self._send(merged([update for update, _ in part]), tuple(keys))
        self._settle()

    @property
    def holding(self) -> bool:
        """Whether a batch is under way."""
        return self._held is not None

    def take_refusals(self) -> Refused | None:
        """The refusals nobody has been told of yet, as one error."""
        taken, self._refused = self._refused, []
        if not taken:
            return None
        first, value = taken[0]
        return Refused(
            first.key, first.rule, first.reason, value=value, refusals=[one for one, _ in taken]
        )

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event; the callable returned ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # What the network does

    def connected(self) -> Session:
        """A connection is open. After a reset it starts with an empty document."""
        replica = Replica() if self._fresh else self.replica
        self.session = Session(replica, self.unsaved, self.user)
        self._settle()
        return self.session

    def receive(self, frame: bytes) -> bool:
        """Take one frame. Returns False where this connection must end: its document is dropped."""
        session = self.session
        if session is None:
            return False
        goes_on = True
        for signal in session.receive(frame):
            goes_on = self._take(session, signal) and goes_on
        self._settle()
        return goes_on

    def broken(self) -> None:
        """The document of this connection could not take an update: a fresh one is needed."""
        self._fresh = True

    def disconnected(self, close_code: int, reason: str) -> Next:
        """The connection is gone, or never was. Says when to try the next one.

        `close_code` is the WebSocket's, 1006 where there was none.
        """
        session, self.session = self.session, None
        self.unsaved.disconnected()
        self._present((), 0)
        self._watch(Watched(None))
        then = self._after(close_code, reason, session)
        self._settle()
        return then

    def end(self) -> None:
        """Nobody wants this peer any more."""
        self.ended = True
        self._settle()

    # Inside

    def _write(self, operations: Sequence[Operation]) -> None:
        update, _ = self.replica.write(operations)
        if not update:
            return
        self.unsaved.add(operations)
        self._send(update, tuple((root, name) for root, name, _ in operations))

    def _send(self, update: bytes, keys: tuple[Key, ...]) -> None:
        if self._held is not None:
            self._held.append((update, keys))
        elif self.session is not None and self.session.replica is self.replica:
            self.session.carry(update, keys)

    def _take(self, session: Session, signal: Signal) -> bool:
        if isinstance(signal, Changed):
            if session.replica is self.replica:
                self._tell_changes(signal.changes)
                self._write(self._orphans.found(self.mirror))
        elif isinstance(signal, Synced):
            self._synced(session)
        elif isinstance(signal, Hello):
            return self._greet(signal)
        elif isinstance(signal, Promoted):
            self.role = signal.role
        elif isinstance(signal, Watched):
            self._watch(signal)
        elif isinstance(signal, Present):
            self._present(signal.users, signal.count)
        else:
            return self._take_refusals(signal)
        return True

    def _greet(self, hello: Hello) -> bool:
        self.epoch, self.role, self.limits = hello.epoch, hello.role, hello.limits
        if hello.user != self.user.id:
            # Whatever is written here would be refused, as written in somebody else's name.
            self.fault = Unauthorized(f"the server knows us as {hello.user}, not {self.user.id}")
        return self.fault is None

    def _synced(self, session: Session) -> None:
        if session.replica is not self.replica:
            self._swap(session.replica)
        self._ever_synced = True

    def _swap(self, fresh: Replica) -> None:
        """The fresh document holds the server's state: go on with it, and write ours again."""
        before = self.mirror
        changes = list(before.differences(fresh.mirror))
        self.replica, self._fresh = fresh, False
        if self._held is not None:
            # They are increments of the dropped document; their keys are among the unsaved.
            self._held = []
        operations, given_up = self.unsaved.again(self.mirror)
        if self._rebased:
            self._rebased = False
            given_up = self._orphans.adopt(given_up)
            known = {(root, name) for root, name, _ in operations}
            mine = own_keys(before, self.mirror, self.user.id, encode_user(self.user.id))
            mine = [one for one in mine if (one[0], one[1]) not in known]
            operations = self._orphans.sort_out([*operations, *mine], self.mirror)
        for refusal, value in given_up:
            self._refuse(refusal, value)
        if operations:
            self._write(operations)
            self.unsaved.mark_again(operations)
        self._tell_changes(changes)

    def _take_refusals(self, signal: Refusals) -> bool:
        for refusal in signal.refusals:
            self._refuse(refusal, self.unsaved.refuse(refusal.key))
        if signal.reset:
            self._fresh = True
        return not signal.reset

    def _refuse(self, refusal: Refusal, value: Json) -> None:
        self._refused.append((refusal, value))
        self._tell(Event("refused", detail=f"{refusal.key}: {refusal.reason}"))

    def _after(self, close_code: int, reason: str, session: Session | None) -> Next:
        if self.fault is not None:
            return "never"
        fault = fault_of(close_code, reason)
        if close_code == 4401 and self.renewable and session is not None and session.synced:
            return "at once"
        if close_code == 4409:
            self.epoch, self._fresh, self._rebased = None, True, True
        elif close_code == 4403 and session is not None and session.greeted:
            self._fresh = True
        elif fault is not None:
            self.fault = fault
            return "never"
        if not self._fresh:
            return "later"
        self._resets += 1
        if self._resets > MOST_RESETS:
            self.fault = fault or Forbidden("the server refuses this document again and again")
            return "never"
        return "at once" if close_code != 1006 else "later"

    def _present(self, users: Sequence[User] | None, count: int) -> None:
        if users is not None:
            self.users = tuple(users)
        if count != self.count:
            self.count = count
            self._tell(Event("presence", detail=str(count)))

    def _watch(self, watched: Watched) -> None:
        if watched.told != self.watched:
            self.watched = watched.told
            self._tell(Event("moderation", detail=str(watched.flags)))

    def _tell_changes(self, changes: Sequence[Change]) -> None:
        # What was there before we came is no news.
        if self._ever_synced:
            for event in events_of(changes, self.mirror):
                self._tell(event)

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    def _settle(self) -> None:
        if self.status != self._told:
            self._told = self.status
            self._tell(Event("status", detail=self.status))
        self._wake()


def _parts(held: list[Held], size: int) -> Iterator[list[Held]]:
    """The batch in parts of about `size` bytes, so that each fits into a frame: mostly in one."""
    part: list[Held] = []
    total = 0
    for one in held:
        if part and total + len(one[0]) > size:
            yield part
            part, total = [], 0
        part.append(one)
        total += len(one[0])
    if part:
        yield part
