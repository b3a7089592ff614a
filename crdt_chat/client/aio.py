"""`aconnect`: a page for async programs. The sync `Page` (page.py) is the same from outside."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio

from crdt_chat.client import html
from crdt_chat.client.address import Address
from crdt_chat.client.author import Author
from crdt_chat.client.credentials import Credentials, owner
from crdt_chat.client.errors import Offline
from crdt_chat.client.feed import Events, Feed
from crdt_chat.client.gestures import Passage
from crdt_chat.client.ids import fresh_id, now_ms
from crdt_chat.client.link import CLOSE_S, Link
from crdt_chat.client.lookup import entity_named, find_annotation
from crdt_chat.client.model import User
from crdt_chat.client.moderation import Moderation
from crdt_chat.client.peer import Peer
from crdt_chat.client.tables import table
from crdt_chat.client.wake import Wake

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType

    import pandas
    from anyio.abc import TaskGroup

    from crdt_chat.client.credentials import Token
    from crdt_chat.client.ids import Clock, Ids
    from crdt_chat.client.model import Annotation, Comment, Event, EventType, Status
    from crdt_chat.client.moderation import Action
    from crdt_chat.client.session import Session
    from crdt_chat.client.tables import Table

log = logging.getLogger(__name__)

_CHANCE = secrets.SystemRandom()

FIRST_WAIT_S = 3.0
"""Seconds that opening a page waits for its content; an absent server is not waited for."""

FLUSH_S = 10.0
"""Seconds that a flush takes at most, unless told otherwise."""

LAST_WORDS_S = 2.0
"""Seconds given to unsaved writes when a program fails inside its `with`."""


def aconnect(
    url: str,
    page: str,
    user: str | None = None,
    name: str | None = None,
    *,
    token: Token | None = None,
) -> AsyncPage:
    """A page to be opened with `async with`, on asyncio; offline as long as the server is absent.

    The arguments are those of `connect` (page.py). Raises ValueError; opening it raises the RemoteFault of a
    server that refuses for good.
    """
    return AsyncPage(Address.parse(url, page, owner(user, token), name), Credentials(token))


class AsyncPage:
    """A live page. Every write is made here at once, and sent when there is a connection.

    `clock` gives ms since the Unix epoch, `ids` fresh ids, `jitter` numbers from 0 to 1.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials | None = None,
        *,
        clock: Clock = now_ms,
        ids: Ids = fresh_id,
        jitter: Callable[[], float] = _CHANCE.random,
    ) -> None:
        self.address = address
        self._wake = Wake()
        credentials = credentials or Credentials(None)
        user = User(address.user, address.name)
        self._peer = Peer(user, self._wake, renewable=credentials.renewable)
        self._link = Link(address, credentials, self._peer, self._wake, jitter)
        self._author = Author(self._peer, clock, ids)
        self._moderation = Moderation(address, credentials)
        self._tasks: TaskGroup | None = None
        self._network: anyio.CancelScope | None = None

    async def __aenter__(self) -> Self:
        _need_asyncio()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._stay_connected)
        with anyio.move_on_after(FIRST_WAIT_S):
            await self._wake.until(lambda: self._settled_since(0))
        if self._peer.fault is not None:
            await self._tasks.__aexit__(None, None, None)
            raise self._peer.fault
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._tasks is None:
            return None
        try:
            if error is None:
                await self.save()
            elif self.unsaved:
                with anyio.move_on_after(LAST_WORDS_S):
                    await self._saved(fresh=False)
        finally:
            await self.leave()
        return None

    async def leave(self) -> None:
        """End the connection without a flush. Leaving twice is nothing."""
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        self._peer.end()
        self._link.stop()
        with anyio.move_on_after(CLOSE_S, shield=True):
            await self._wake.until(lambda: self._peer.session is None)
        if self._network is not None:
            self._network.cancel()
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)

    # What is on the page

    @property
    def annotations(self) -> list[Annotation]:
        """All annotations with their threads, the oldest first."""
        return self._peer.mirror.annotations()

    def __getitem__(self, which: str) -> Annotation:
        """The annotation of this id, or whose id alone begins so. Raises NoSuchNote."""
        return find_annotation(self._peer.mirror, which)

    @property
    def users(self) -> tuple[User, ...]:
        """The people who have the page open, none while offline; of many (50) as of the last flush."""
        return self._peer.users

    @property
    def status(self) -> Status:
        """offline, online, synced or closed (model.Status)."""
        return self._peer.status

    @property
    def unsaved(self) -> int:
        """How many written keys the server has not yet reported as durable."""
        return len(self._peer.unsaved)

    def df(self, what: Table = "comments") -> pandas.DataFrame:
        """The page as a table: `comments`, `annotations` or `users` (tables.py)."""
        return table(what, self.annotations, self.users)

    # What a person does (author.py)

    async def annotate(
        self,
        exact: str,
        comment: str,
        prefix: str = "",
        suffix: str = "",
        start: int | None = None,
        end: int | None = None,
        *,
        title: str | None = None,
    ) -> Annotation:
        """Start a discussion on a quotation; context and position (code points) tell its place."""
        passage = Passage(exact, prefix, suffix, start, end)
        return self._author.annotate(passage, comment, title)

    async def reply(self, to: Annotation | Comment | str, body: str) -> Comment:
        """Add a comment to a thread; the answer to a comment names it as its parent."""
        return self._author.reply(to, body)

    async def edit(self, comment: Comment | str, body: str) -> Comment:
        """Write another text in place of one's own comment."""
        return self._author.edit(comment, body)

    async def react(self, comment: Comment | str, emoji: str, *, on: bool = True) -> Comment:
        """Set one's reaction of this emoji, or take it back."""
        return self._author.react(comment, emoji, on)

    async def resolve(self, annotation: Annotation | str, *, resolved: bool = True) -> Annotation:
        """Settle a discussion, or open it again."""
        return self._author.resolve(annotation, resolved)

    async def delete(self, which: Annotation | Comment | str) -> None:
        """Delete an annotation with its thread, or one comment."""
        self._author.delete(which)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """What is written inside leaves as one update with one broadcastId (Author.batch)."""
        with self._author.batch():
            yield

    # What readers tell moderators, and moderators do (moderation.py)

    @property
    def watched(self) -> Mapping[str, Any] | None:
        """What waits for moderators now, without asking: `counts`, `flags`, `hidden`, `closed`.

        And `rulings`, what was decided last, newest first, each with its reason. None for everybody
        else, and while offline. The event `moderation` tells of each change.
        """
        return self._peer.watched

    async def moderation(self) -> dict[str, Any]:
        """What moderators see beside the page: `hidden`, `deleted`, open `flags`, the `log`."""
        return await self._moderation.overview()

    async def flag(self, which: Annotation | Comment | str, reason: str = "") -> None:
        """Tell the moderators of an annotation or comment; nothing changes for readers."""
        await self._moderation.flag(entity_named(self._peer.mirror, which), reason)

    async def moderate(
        self, action: Action, which: Annotation | Comment | str, reason: str = ""
    ) -> None:
        """Hide, unhide, restore, dismiss flags of, close or reopen a note (or "page"); durable then.

        What is hidden or deleted is not on the page: name it as `moderation()` does. Raises Offline,
        or the server's RemoteFault.
        """
        await self._moderation.act(action, entity_named(self._peer.mirror, which), reason)

    # The network

    async def flush(self, timeout: float = FLUSH_S) -> None:
        """Return when all that was written here is durable at the server and its state is here.

        Raises Offline if that is not so after `timeout` seconds, Refused for writes that the rules
        did not allow since the last flush, and the RemoteFault of a server that has ended this
        connection for good.
        """
        await self._finish(timeout, fresh=True)

    async def save(self, timeout: float = FLUSH_S) -> None:
        """The same, but without a server there is nothing to wait for if there is nothing to save."""
        await self._finish(timeout, fresh=False)

    @asynccontextmanager
    async def offline(self) -> AsyncIterator[None]:
        """A branch: nothing leaves or comes inside; at the end it is merged and flushed."""
        self._link.pause()
        await self._wake.until(lambda: self._peer.session is None)
        try:
            yield
        finally:
            before = self._link.attempts
            self._link.resume()
        with anyio.move_on_after(FLUSH_S):
            await self._wake.until(lambda: self._settled_since(before))
        await self.save()

    def on(self, event: EventType, handler: Callable[[Event], Any]) -> Callable[[], None]:
        """Call `handler`, a plain or async function, with every event of this type, in order.

        An error in it is logged, and the next event comes all the same. The callable returned ends
        it. Raises RuntimeError where the page is not open.
        """
        if self._tasks is None:
            raise RuntimeError("the page is not open")
        feed = Feed([event])
        stop = self._peer.listen(feed)

        def off() -> None:
            feed.closed = True
            stop()

        self._tasks.start_soon(self._deliver, feed, handler)
        return off

    def events(self, *types: EventType, timeout: float | None = None) -> Events:
        """What others do from now on, for `async for`; ends after `timeout` seconds of silence.

        `types` default to the three text-chat events. See feed.py for readers who do not read.
        """
        return Events(self._peer, self._wake, Feed(types), timeout)

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` at once with every event, on this thread; what is returned ends it."""
        return self._peer.listen(listener)

    def __repr__(self) -> str:
        key, user = self.address.key, self.address.user
        return f"<{type(self).__name__} {key.tenant}/{key.page} as {user}: {self.status}>"

    def _repr_html_(self) -> str:
        key = self.address.key
        return html.page(f"{key.tenant}/{key.page}", self.status, self.users, self.annotations)

    # Inside

    def _settled_since(self, attempts: int) -> bool:
        """Whether a connection has succeeded or failed after so many attempts."""
        session = self._peer.session
        ready = session is not None and session.ready
        return ready or self._link.attempts > attempts or self._peer.fault is not None

    async def _stay_connected(self) -> None:
        # Shielded: a program that is cancelled still says goodbye to the server.
        with anyio.CancelScope(shield=True) as self._network:
            await self._link.run()

    async def _finish(self, timeout: float, *, fresh: bool) -> None:
        if self._peer.holding:
            raise RuntimeError("there is a batch under way: flush after it")
        done = False
        with anyio.move_on_after(0 if self._link.paused else timeout):
            done = await self._saved(fresh=fresh)
        refused = self._peer.take_refusals()
        if refused is not None:
            raise refused
        if self._peer.fault is not None:
            raise self._peer.fault
        if self._peer.unsaved or (fresh and not done):
            raise Offline(len(self._peer.unsaved), timeout)

    async def _saved(self, *, fresh: bool) -> bool:
        """Whether everything is durable, and all that the server had at this moment is here.

        Without a connection it waits for one, where something is unsaved or `fresh` is wanted.
        """
        peer = self._peer
        while True:
            await self._wake.until(lambda: self._synced_or_idle(fresh))
            session = peer.session
            if session is None or peer.fault is not None:
                return peer.fault is None
            # A server without our control frames says by its answer that it has what came before.
            number = session.ask()
            session.ask_people()
            self._wake()
            await self._wake.until(partial(self._is_answered, session, number))
            if session.answered >= number and not peer.unsaved:
                return True

    def _synced_or_idle(self, fresh: bool) -> bool:
        peer = self._peer
        if peer.session is None:
            return peer.fault is not None or not (peer.unsaved or fresh)
        return peer.session.synced

    def _is_answered(self, session: Session, number: int) -> bool:
        """Whether nothing is left to wait for on this connection, or it has ended."""
        done = session.answered >= number and not self._peer.unsaved
        return done or self._peer.session is not session

    async def _deliver(self, feed: Feed, handler: Callable[[Event], Any]) -> None:
        while not feed.closed:
            await self._wake.until(lambda: bool(feed.waiting) or feed.closed)
            while feed.waiting and not feed.closed:
                try:
                    answer = handler(feed.waiting.popleft())
                    if inspect.isawaitable(answer):
                        await answer
                except Exception:
                    log.exception("a handler of page events failed")


def _need_asyncio() -> None:
    """Raises RuntimeError on another event loop: the WebSocket client speaks asyncio only."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "a page can be opened on asyncio only; `connect` works anywhere"
        ) from None
