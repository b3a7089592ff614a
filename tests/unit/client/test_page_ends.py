"""How pages end: refused, revoked, left, abandoned, in an error; with nothing lost in silence."""

import contextlib
import gc
import logging
import threading
import weakref

import pytest
from plain_yjs_server import PAGE, PATH, PlainServer
from waiting import until

from crdt_chat.client.errors import Offline
from crdt_chat.client.model import Event
from crdt_chat.client.page import connect
from crdt_chat.errors import NotFound, Unauthorized

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_server_that_refuses_for_good_says_so_at_once(server: PlainServer) -> None:
    server.close_with = 4404
    with pytest.raises(NotFound, match="the test says so"):
        connect(server.url, PAGE, "ada")
    assert len(server.paths) == 1
    assert not at_work()


def test_a_revoked_page_keeps_its_notes_and_flush_says_why(server: PlainServer) -> None:
    page = connect(server.url, PAGE, "ada")
    page.flush()
    server.stop()
    page.annotate("quote", "unsaved")
    server.close_with = 4401
    server.start()
    until(lambda: page.status == "closed")
    with pytest.raises(Unauthorized):
        page.flush()
    assert len(page.annotations) == 1
    with pytest.raises(Unauthorized):
        page.close()
    page.close()


def test_leaving_with_unsaved_notes_is_an_error_and_not_a_silent_loss(server: PlainServer) -> None:
    server.stop()
    page = connect(server.url, PAGE, "ada")
    page.annotate("quote", "lost otherwise")
    with pytest.raises(Offline, match="2 changes are not saved"):
        page.close(timeout=0.05)
    assert page.status == "closed"
    with connect(server.url, PAGE, "ada"):
        pass  # nothing to save: no error, and no waiting


def test_an_error_in_the_body_is_the_one_that_is_seen(server: PlainServer) -> None:
    def fail() -> None:
        with connect(server.url, PAGE, "ada") as page:
            page.annotate("quote", "sent all the same")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(server.content(PATH)["annotations"]) == 1


def test_a_page_that_nobody_closes_is_left_with_everything_sent(server: PlainServer) -> None:
    page = connect(server.url, PAGE, "ada")
    page.annotate("quote", "sent at the end")
    gone = weakref.ref(page)
    del page
    gc.collect()
    # The last call that was made on its thread may hold it for a moment.
    until(lambda: gone() is None and not at_work())
    assert len(server.content(PATH)["annotations"]) == 1


def at_work() -> list[str]:
    """The threads of pages."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("crdt-chat")]


def test_a_page_that_is_let_go_of_on_its_own_thread_is_left_with_everything_sent(
    server: PlainServer,
) -> None:
    page = connect(server.url, PAGE, "ada")
    page.annotate("quote", "sent at the end")
    page._host.call(page._abandoned)
    until(lambda: not at_work())
    assert len(server.content(PATH)["annotations"]) == 1
    with pytest.raises(RuntimeError, match="closed"):
        page.annotate("quote", "too late")


def test_an_abandoned_page_that_cannot_be_saved_is_logged(
    server: PlainServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crdt_chat.client.host.LAST_WORDS_S", 0.05)
    server.stop()
    page = connect(server.url, PAGE, "ada")
    page.annotate("quote", "lost")
    with caplog.at_level(logging.WARNING):
        del page
        gc.collect()
        until(lambda: not at_work())
    assert "unsaved changes" in caplog.text


def test_after_the_end_no_handler_is_called_and_no_thread_waits(server: PlainServer) -> None:
    begun, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(event: Event) -> None:
        seen.append(event.detail)
        begun.set()
        go_on.wait(60)

    with contextlib.suppress(ZeroDivisionError), connect(server.url, PAGE, "ada") as page:
        page.on("status", slow)
        server.stop()
        assert begun.wait(60)
        server.start()
        until(lambda: page.status == "synced")
        raise ZeroDivisionError
    go_on.set()
    names = ("crdt-chat handlers",)
    until(lambda: not any(thread.name in names for thread in threading.enumerate()))
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="closed"):
        page.on("status", slow)
    assert not any(thread.name in names for thread in threading.enumerate())


def test_reading_events_ends_with_the_page(server: PlainServer) -> None:
    page = connect(server.url, PAGE, "ada")
    events = page.events()
    threading.Timer(0.1, page.close).start()
    assert list(events) == []
