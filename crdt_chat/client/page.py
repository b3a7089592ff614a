"""`connect`: a page for scripts and notebooks. Its peer lives in a thread of its own (host.py).

A peer on the loop of a notebook's kernel would vanish from presence during a blocking cell.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from crdt_chat.client.aio import FLUSH_S, AsyncPage, aconnect
from crdt_chat.client.handlers import Handlers
from crdt_chat.client.host import Host
from crdt_chat.client.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    import pandas

    from crdt_chat.client.credentials import Token
    from crdt_chat.client.model import Annotation, Comment, Event, EventType, Status, User
    from crdt_chat.client.moderation import Action
    from crdt_chat.client.tables import Table


def connect(
    url: str,
    page: str,
    user: str | None = None,
    name: str | None = None,
    *,
    token: Token | None = None,
) -> Page:
    """Open a page; offline as long as the server is absent. Use it in a `with`, or close() it.

    `url` is the server's (`ws://127.0.0.1:8700`), `page` is `tenant/page` (the first slash ends the
    tenant), `user` the id whose notes these are (None: the token's `sub`), `name` what people call
    them, `token` a JSON Web Token or a function that gives a fresh one, where the tenant is not an
    open one. Raises ValueError, and the RemoteFault of a server that refuses for good.
    """
    return Page(aconnect(url, page, user, name, token=token))


class Page:
    """A live page. Every write is made here at once, and sent when there is a connection."""

    def __init__(self, page: AsyncPage) -> None:
        self.address = page.address
        key = page.address.key
        self._page = page
        self._host = Host(page, f"crdt-chat {key.tenant}/{key.page}")
        self._handlers = Handlers()
        # A page that nobody closes must not keep its thread, nor lose what can still be sent.
        self._abandoned = weakref.finalize(self, _leave, self._host, self._handlers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandoned()

    def close(self, timeout: float = FLUSH_S) -> None:
        """Save what is unsaved (raising what flush raises), then leave. Closing twice is nothing."""
        if not self._abandoned.alive:
            return
        try:
            self._host.run(lambda: self._page.save(timeout))
        finally:
            self._abandoned.detach()
            self._handlers.close()
            self._host.stop()

    # What is on the page

    @property
    def annotations(self) -> list[Annotation]:
        """All annotations with their threads, the oldest first."""
        return self._host.call(lambda: self._page.annotations)

    def __getitem__(self, which: str) -> Annotation:
        """The annotation of this id, or whose id alone begins so. Raises NoSuchNote."""
        return self._host.call(lambda: self._page[which])

    @property
    def users(self) -> tuple[User, ...]:
        """The people who have the page open, none while offline; of many (50) as of the last flush."""
        return self._host.call(lambda: self._page.users)

    @property
    def status(self) -> Status:
        """offline, online, synced or closed (model.Status)."""
        return "closed" if self._host.stopped else self._host.call(lambda: self._page.status)

    @property
    def unsaved(self) -> int:
        """How many written keys the server has not yet reported as durable."""
        return self._host.call(lambda: self._page.unsaved)

    def df(self, what: Table = "comments") -> pandas.DataFrame:
        """The page as a table: `comments`, `annotations` or `users` (tables.py)."""
        # Not on the peer's thread: making a table, and importing pandas, takes its time.
        return table(what, self.annotations, self.users)

    # What a person does

    def annotate(
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
        return self._host.run(
            lambda: self._page.annotate(exact, comment, prefix, suffix, start, end, title=title)
        )

    def reply(self, to: Annotation | Comment | str, body: str) -> Comment:
        """Add a comment to a thread; the answer to a comment names it as its parent."""
        return self._host.run(lambda: self._page.reply(to, body))

    def edit(self, comment: Comment | str, body: str) -> Comment:
        """Write another text in place of one's own comment."""
        return self._host.run(lambda: self._page.edit(comment, body))

    def react(self, comment: Comment | str, emoji: str, *, on: bool = True) -> Comment:
        """Set one's reaction of this emoji, or take it back."""
        return self._host.run(lambda: self._page.react(comment, emoji, on=on))

    def resolve(self, annotation: Annotation | str, *, resolved: bool = True) -> Annotation:
        """Settle a discussion, or open it again."""
        return self._host.run(lambda: self._page.resolve(annotation, resolved=resolved))

    def delete(self, which: Annotation | Comment | str) -> None:
        """Delete an annotation with its thread, or one comment."""
        self._host.run(lambda: self._page.delete(which))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What is written inside leaves as one update with one broadcastId (Author.batch)."""
        with self._host.within(self._page.batch()):
            yield

    # What readers tell moderators, and moderators do

    @property
    def watched(self) -> Mapping[str, Any] | None:
        """What waits for moderators now, without asking (AsyncPage.watched); None for others."""
        return self._host.call(lambda: self._page.watched)

    def moderation(self) -> dict[str, Any]:
        """What moderators see beside the page: `hidden`, `deleted`, open `flags`, the `log`."""
        return self._host.run(lambda: self._page.moderation())

    def flag(self, which: Annotation | Comment | str, reason: str = "") -> None:
        """Tell the moderators of an annotation or comment; nothing changes for readers."""
        self._host.run(lambda: self._page.flag(which, reason))

    def moderate(self, action: Action, which: Annotation | Comment | str, reason: str = "") -> None:
        """Hide, unhide, restore, dismiss flags of, close or reopen a note (AsyncPage.moderate)."""
        self._host.run(lambda: self._page.moderate(action, which, reason))

    # The network

    def flush(self, timeout: float = FLUSH_S) -> None:
        """Return when all that was written is durable at the server (AsyncPage.flush).

        Raises Offline after `timeout` seconds, Refused, or the fault of a server that has ended it.
        """
        self._host.run(lambda: self._page.flush(timeout))

    @contextmanager
    def offline(self) -> Iterator[None]:
        """A branch: nothing leaves or comes inside; at the end it is merged and flushed."""
        with self._host.within(self._page.offline()):
            yield

    def on(self, event: EventType, handler: Callable[[Event], Any]) -> Callable[[], None]:
        """Call `handler` with every event of this type, in order, in a thread for all handlers.

        It may use the page. An error in it is logged, and the next event comes all the same. The
        callable returned ends it.
        """
        return self._host.call(lambda: self._page.listen(self._handlers.add(event, handler)))

    def events(self, *types: EventType, timeout: float | None = None) -> Iterator[Event]:
        """What others do from now on; ends after `timeout` seconds of silence, or at close().

        `types` default to the three text-chat events. See feed.py for readers who do not read.
        """
        feed = self._host.call(lambda: self._page.events(*types, timeout=timeout))
        return self._host.iterate(feed)

    def __repr__(self) -> str:
        key, user = self.address.key, self.address.user
        return f"<{type(self).__name__} {key.tenant}/{key.page} as {user}: {self.status}>"

    def _repr_html_(self) -> str:
        return self._host.call(self._page._repr_html_)


def _leave(host: Host, handlers: Handlers) -> None:
    handlers.close()
    host.abandon()
