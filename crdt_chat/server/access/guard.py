"""Who is connected, and whether they still may: expiry, revocation, changed roles, fresh tokens.

Whatever changes what a tenant grants calls `review`, and its sessions are asked again at once. One
that may no longer be here is closed with 4401, and cut off if it does not take that in time.
"""

import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from crdt_chat.errors import Malformed, RemoteFault
from crdt_chat.identity import Grant, PageKey
from crdt_chat.server.access.auth import Authority, covered, forbidden

log = logging.getLogger(__name__)

TICK_S = 0.2
"""How often deadlines are looked at: 4401 within a second of expiry."""

CUT_OFF_S = 0.6
"""How long a session that must end may take for what is queued for it."""

SPARE = 1_000
"""Deadlines that may be kept of sessions that have left, or have brought a fresh token since."""


class Session(Protocol):
    """A connection as the guard sees it: whoever judges its operations reads `grant` each time."""

    grant: Grant

    def regrant(self, grant: Grant) -> None:
        """Another grant counts from now on."""
        ...

    def close(self, fault: RemoteFault) -> None:
        """End with this fault once what is queued has been sent."""
        ...


@dataclass(slots=True, eq=False)
class Watched:
    """A session that is here. base is its grant as its token says, before roles given by hand."""

    session: Session
    key: PageKey
    base: Grant
    abort: Callable[[], None] | None
    ended: float | None = None


class Watch:
    """A session that is watched for the length of a block, the whole life of its connection."""

    __slots__ = ("_guard", "_number", "_watched")

    def __init__(self, guard: "Guard", watched: Watched) -> None:
        self._guard = guard
        self._watched = watched

    def __enter__(self) -> None:
        self._number = self._guard.begin(self._watched)

    def __exit__(self, *_error: object) -> None:
        self._guard.end(self._number)


class Guard:
    """All sessions of this process. monotonic in seconds, the authority's clock in ms."""

    def __init__(self, authority: Authority, monotonic: Callable[[], float]) -> None:
        self._authority = authority
        self._monotonic = monotonic
        self._watched: dict[int, Watched] = {}
        self._numbers_of: dict[int, int] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._ending: dict[int, Watched] = {}
        self._people: Counter[tuple[str, str]] = Counter()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._watched)

    def watch(
        self, session: Session, key: PageKey, abort: Callable[[], None] | None = None
    ) -> "Watch":
        """Watch a session for the length of a block. abort cuts it off, whatever it is doing."""
        return Watch(self, Watched(session, key, session.grant, abort))

    def begin(self, watched: Watched) -> int:
        """It is here from now on. Returns its number."""
        number, session, key = next(self._numbers), watched.session, watched.key
        self._watched[number] = watched
        self._numbers_of[id(session)] = number
        self._set_deadline(number, watched)
        self._people[key.tenant, watched.base.user] += 1
        # Something may have been revoked between its grant and this moment.
        self._ask(number, watched)
        return number

    def end(self, number: int) -> None:
        """The session of this number has left."""
        watched = self._watched.pop(number)
        del self._numbers_of[id(watched.session)]
        self._ending.pop(number, None)
        person = watched.key.tenant, watched.base.user
        self._people[person] -= 1
        if not self._people[person]:
            del self._people[person]

    def sessions(self, tenant: str, user: str) -> int:
        """How many sessions of a user of this tenant are here, on whatever pages."""
        return self._people[tenant, user]

    def renew(self, session: Session, token: object, address: str = "") -> None:
        """A session brings a fresh token: from now on it counts, for the same person only.

        Raises Malformed, Unauthorized, Forbidden; the session has to end then. address: where it is.
        """
        number = self._numbers_of[id(session)]
        watched = self._watched[number]
        try:
            self._renew(watched, token)
        except RemoteFault as fault:
            self._authority.denied(watched.key.tenant, address, fault)
            raise
        self._set_deadline(number, watched)

    def _renew(self, watched: Watched, token: object) -> None:
        if not isinstance(token, str):
            raise Malformed("a token is text")
        tenant = self._authority.tenant(watched.key.tenant)
        grant = self._authority.read(token, tenant)
        if grant.user != watched.base.user:
            raise forbidden(grant, "the fresh token is somebody else's")
        covered(grant, watched.key)
        watched.session.grant = self._authority.reconsider(grant)
        watched.base = grant

    def review(self, tenant: str | None = None) -> None:
        """Something changed for a tenant (None: for all): ask for each session again."""
        for number, watched in list(self._watched.items()):
            if tenant in (None, watched.key.tenant):
                self._ask(number, watched)

    def _set_deadline(self, number: int, watched: Watched) -> None:
        if watched.base.expires is None:
            return
        heapq.heappush(self._deadlines, (watched.base.expires, number))
        if len(self._deadlines) > 2 * len(self._watched) + SPARE:
            # Tokens may be good for years: what nobody waits for any more must not stay as long.
            found = ((each.base.expires, number) for number, each in self._watched.items())
            self._deadlines = [(at, number) for at, number in found if at is not None]
            heapq.heapify(self._deadlines)

    def _ask(self, number: int, watched: Watched) -> None:
        if watched.ended is not None:
            return
        try:
            grant = self._authority.reconsider(watched.base)
        except RemoteFault as fault:
            log.info("a session ends", extra={"tenant": watched.key.tenant, "reason": str(fault)})
            self._end(number, watched, fault)
        else:
            watched.session.regrant(grant)

    def dismiss(self, fault: RemoteFault) -> None:
        """End all sessions: whoever may come back has to say again who she is."""
        for number, watched in list(self._watched.items()):
            if watched.ended is None:
                self._end(number, watched, fault)

    def _end(self, number: int, watched: Watched, fault: RemoteFault) -> None:
        watched.ended = self._monotonic()
        self._ending[number] = watched
        watched.session.close(fault)

    async def run(self) -> None:
        """Look after deadlines for as long as the server runs."""
        while True:
            await anyio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """End what has expired, cut off what does not end."""
        now = self._authority.now() / 1000
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number = heapq.heappop(self._deadlines)
            if number in self._watched:
                self._ask(number, self._watched[number])
        late = self._monotonic() - CUT_OFF_S
        for number, watched in list(self._ending.items()):
            if watched.ended is not None and watched.ended <= late:
                del self._ending[number]
                if watched.abort is not None:
                    watched.abort()
