"""One connection as a sans-IO state machine: frames in, signals out, frames to send in `outgoing`.

Order (design 5): our awareness first, since it names our Yjs client id; then step 1; a step 2 for
every step 1 of the server. No increment is sent before the server's first step 1: the step 2 that
answers it carries everything, so that this peer never makes a gap.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from crdt_chat.client.mirror import is_number
from crdt_chat.client.model import User
from crdt_chat.client.replica import Replica
from crdt_chat.client.unsaved import Key, Unsaved
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Change, Refusal
from crdt_chat.protocol import wire


@dataclass(frozen=True, slots=True)
class Hello:
    """The server knows our control frames, and says who we are to it."""

    epoch: int
    user: str
    role: str
    limits: PageLimits


@dataclass(frozen=True, slots=True)
class Promoted:
    """Another role counts from now on: a fresh token's, or one that was given by hand."""

    role: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The document has changed by others' hands."""

    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Synced:
    """The first step 2 of this connection is in: the document holds all that the server has."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """These writes were not allowed; `reset`: and the document must be dropped."""

    reset: bool
    refusals: Sequence[Refusal]


@dataclass(frozen=True, slots=True)
class Present:
    """Who is here, the list being None where the server sends the count only."""

    count: int
    users: Sequence[User] | None


@dataclass(frozen=True, slots=True)
class Watched:
    """What moderators are told (docs/protocol.md), and how many flags wait.

    None: this person is no moderator, or none any more.
    """

    told: Mapping[str, Any] | None
    flags: int = 0


UNLIMITED = PageLimits(
    body=MAX_INTEGER,
    quote=MAX_INTEGER,
    context=MAX_INTEGER,
    title=MAX_INTEGER,
    broadcast_id=MAX_INTEGER,
    source=MAX_INTEGER,
    url_id_with_range=MAX_INTEGER,
    selectors=MAX_INTEGER,
)
"""What holds until the server has said how long texts may be: it has settings of its own."""

MODERATED = ("counts", "flags", "hidden", "closed", "rulings")
"""What of a frame for moderators is for the person."""

FRAME_LIMIT = 1024 * 1024
"""Bytes of an increment that any server takes (design 15), unless it states another limit."""

Signal = Hello | Promoted | Changed | Synced | Refusals | Present | Watched


class Session:
    """What one connection knows. `outgoing` holds the frames that the socket has not taken yet."""

    def __init__(self, replica: Replica, unsaved: Unsaved, user: User) -> None:
        self.replica = replica
        self.outgoing: deque[bytes] = deque()
        self.greeted = False
        self.synced = False
        self.asked = 0
        self.answered = 0
        self._unsaved = unsaved
        self._user = user
        self._frames = 0
        self._clock = 0
        self._reports = False
        self._counted = False
        self._listed = True
        self.frame_limit = FRAME_LIMIT
        self._early: list[bytes] = []
        self._asked_at: deque[int] = deque()
        self._others: dict[int, tuple[int, User]] = {}
        self.renew()
        self.ask()

    @property
    def ready(self) -> bool:
        """Whether the page's content is here, and who is here, if this server says it."""
        return self.synced and ((self._counted and self._listed) or not self._reports)

    def ask(self) -> int:
        """Send a step 1. Returns the number that `answered` has once all before it is known."""
        self._asked_at.append(self._frames)
        self.outgoing.append(wire.step1(self.replica.state_vector()))
        self.asked += 1
        return self.asked

    def renew(self) -> None:
        """Say that we are still here: stock servers and peers forget us after 30 s without it."""
        self._clock += 1
        state = json.dumps({"user": {"id": self._user.id, "name": self._user.name}})
        entry = wire.AwarenessEntry(self.replica.client, self._clock, state)
        self.outgoing.append(wire.awareness_of([wire.encode_entry(entry)]))

    def carry(self, update: bytes, keys: Iterable[Key]) -> None:
        """Send a local write, unless the step 2 that is still to come will carry it."""
        if self.greeted:
            self._unsaved.sent(self._count(wire.update(update)), keys)

    def receive(self, frame: bytes) -> list[Signal]:
        """Take one frame. Raises Malformed or ReplicaBroken: then the connection is of no use."""
        message = wire.decode(frame)
        if isinstance(message, wire.SyncStep1):
            self.greeted = True
            self._unsaved.sent(self._count(wire.step2(self.replica.diff(message.state_vector))))
        elif isinstance(message, wire.SyncStep2):
            return self._take_state(message.update)
        elif isinstance(message, wire.Update):
            return self._take_increment(message.update)
        elif isinstance(message, wire.Awareness):
            return self._meet(message.entries)
        elif isinstance(message, wire.QueryAwareness):
            self.renew()
        elif isinstance(message, wire.Control):
            return self._heed(message.body)
        return []

    def authenticate(self, token: str) -> None:
        """Bring a fresh token, for the same person."""
        self.outgoing.append(wire.control({"type": "token", "token": token}))

    def ask_people(self) -> None:
        """Ask for the list of people, if the last one is out of date."""
        if not self._listed:
            self.outgoing.append(wire.control({"type": "presence"}))

    def _count_people(self, count: int, users: tuple[User, ...] | None) -> Present:
        first = not self._counted
        self._counted = True
        # "Above 50 users, clients with caps get counts and fetch the list on request."
        self._listed = users is not None
        if first:
            self.ask_people()
        return Present(count, users)

    def _count(self, frame: bytes) -> int:
        self.outgoing.append(frame)
        self._frames += 1
        return self._frames

    def _take_state(self, update: bytes) -> list[Signal]:
        signals: list[Signal] = [Changed(self.replica.apply(update))]
        # A later part before the state would leave a gap in the document.
        signals += [Changed(self.replica.apply(early)) for early in self._early]
        self._early.clear()
        self.answered += 1
        frames = self._asked_at.popleft() if self._asked_at else 0
        if not self._reports:
            # A server without our control frames: what it got before the question, it has now.
            self._unsaved.saved(frames)
        if not self.synced:
            self.synced = True
            signals.append(Synced())
        return signals

    def _take_increment(self, update: bytes) -> list[Signal]:
        if not self.synced:
            self._early.append(update)
            return []
        return [Changed(self.replica.apply(update))]

    def _meet(self, entries: Iterable[wire.AwarenessEntry]) -> list[Signal]:
        for entry in entries:
            user = _user_of(entry.state)
            if user is None:
                self._others.pop(entry.client, None)
            elif entry.client != self.replica.client:
                self._others[entry.client] = (entry.clock, user)
        if self._reports:
            return []
        here = {self._user.id: self._user} | {user.id: user for _, user in self._others.values()}
        return [Present(len(here), tuple(here.values()))]

    def _heed(self, body: Mapping[str, Any]) -> list[Signal]:
        kind = body["type"]
        if kind == "hello":
            self._reports = True
            limits = body.get("limits")
            stated = limits if isinstance(limits, dict) else {}
            self.frame_limit = _whole(stated.get("frame")) or FRAME_LIMIT
            return [
                Hello(
                    epoch=_whole(body.get("epoch")),
                    user=str(body.get("user", self._user.id)),
                    role=str(body.get("role")),
                    limits=_limits(stated),
                )
            ]
        if kind == "saved":
            self._unsaved.saved(_whole(body.get("frames")))
        elif kind == "refused":
            return [Refusals(body.get("reset") is True, _refusals(body.get("operations")))]
        elif kind == "role":
            return [Promoted(str(body.get("role")))]
        elif kind == "moderation":
            return [_watched(body)]
        elif kind == "presence":
            return [self._count_people(_whole(body.get("count")), _users(body.get("users")))]
        return []


def _user_of(state: str) -> User | None:
    """The person in an awareness state, None where it is a farewell or says nothing of a person."""
    try:
        value = json.loads(state)
    except (ValueError, RecursionError):
        return None
    person = value.get("user") if isinstance(value, dict) else None
    return _person(person)


def _person(value: Any) -> User | None:
    if not isinstance(value, dict):
        return None
    name = value.get("name")
    identity = value.get("id", name)
    if not isinstance(identity, str):
        return None
    return User(identity, name if isinstance(name, str) else identity)


def _users(value: Any) -> tuple[User, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(user for user in map(_person, value) if user is not None)


def _limits(stated: Mapping[str, Any]) -> PageLimits:
    """The limits of the page as far as the server states them."""
    known = asdict(UNLIMITED)
    return replace(
        UNLIMITED,
        **{
            name: value
            for name, value in stated.items()
            if name in known and type(value) is type(known[name])
        },
    )


def _watched(body: Mapping[str, Any]) -> Watched:
    if body.get("moderates") is not True:
        return Watched(None)
    told = {name: body[name] for name in MODERATED if name in body}
    counts = told.get("counts")
    return Watched(told, _whole(counts.get("flags")) if isinstance(counts, dict) else 0)


def _whole(value: Any) -> int:
    return int(value) if is_number(value) else 0


def _refusals(value: Any) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(str(item.get("key")), str(item.get("rule")), str(item.get("reason")))
        for item in (value if isinstance(value, list) else ())
        if isinstance(item, dict)
    )
