"""The thread in which the peer of a sync page lives: its loop, and the way in from other threads.

Every access to the document is on this thread: a second thread that enters a transaction silently
joins the first one's.
"""

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from crdt_chat.client.aio import LAST_WORDS_S, AsyncPage
from crdt_chat.errors import CrdtChatError

log = logging.getLogger(__name__)

T = TypeVar("T")

JOIN_S = 10.0
"""Seconds that a thread is given to end; it is a daemon, so it never keeps a program alive."""


class Host:
    """Opens `page` on a thread of its own, and keeps it until `stop`."""

    def __init__(self, page: AsyncPage, name: str) -> None:
        self.page = page
        self.stopped = self._orphaned = False
        self._opened: Future[tuple[BlockingPortal, anyio.Event]] = Future()
        # The portal of anyio would be waited for at the end of the program, for ever if nobody
        # closes the page; a daemon is not.
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()
        try:
            self._portal, self._leave = self._opened.result()
        except BaseException:
            self._thread.join(JOIN_S)
            raise

    def call(self, function: Callable[[], T]) -> T:
        """The result of a function, called on the thread. Raises RuntimeError after the end."""
        return self._open().call(function)

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """The result of a coroutine function, awaited on the thread."""
        return self._open().call(function)

    def within(self, context: AbstractAsyncContextManager[T]) -> AbstractContextManager[T]:
        """An async context manager as a plain one."""
        return self._open().wrap_async_context_manager(context)

    def iterate(self, events: AsyncIterator[T]) -> Iterator[T]:
        """An async iterator as a plain one; it ends with the page."""
        while not self.stopped:
            try:
                event = self._portal.call(anext, events)
            except StopAsyncIteration:
                return
            yield event

    def stop(self) -> None:
        """Close the page and end the thread."""
        if not self.stopped:
            self.stopped = True
            self._portal.start_task_soon(self._leave.set)
            self._thread.join(JOIN_S)

    def abandon(self) -> None:
        """The same, with a moment for what is still unsaved; nothing is raised."""
        if self.stopped or not self._thread.is_alive():
            return
        if threading.current_thread() is self._thread:
            # Whoever lets go of a page last ends it, and that may be a call that has just been made here.
            self.stopped = self._orphaned = True
            self._leave.set()
            return
        try:
            self._portal.call(self._say_last_words)
        finally:
            self.stop()

    async def _say_last_words(self) -> None:
        try:
            if self.page.unsaved:
                await self.page.flush(LAST_WORDS_S)
        except CrdtChatError as error:
            log.warning("a page was left with unsaved changes: %s", error)

    def _open(self) -> BlockingPortal:
        if self.stopped:
            raise RuntimeError("this page is closed")
        return self._portal

    def _live(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:
            if self._opened.done():
                log.exception("the peer of a page failed")
                raise
            self._opened.set_exception(error)

    async def _serve(self) -> None:
        leave = anyio.Event()
        async with BlockingPortal() as portal:
            try:
                await self.page.__aenter__()
            except CrdtChatError as error:
                # Not through the task group: it would come out as a group of errors.
                self._opened.set_exception(error)
                return
            self._opened.set_result((portal, leave))
            try:
                await leave.wait()
                if self._orphaned:
                    await self._say_last_words()
            finally:
                await self.page.leave()
