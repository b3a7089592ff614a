"""Pages over real sockets, against a minimal y-websocket server: offline first, and back again."""

import socket
import threading
import time

import pytest
from plain_yjs_server import PAGE, PATH, PlainServer
from waiting import until

from crdt_chat.client.errors import Offline, Refused
from crdt_chat.client.model import Event
from crdt_chat.client.page import Page, connect

pytestmark = pytest.mark.usefixtures("impatient")


def test_two_people_see_each_others_notes(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada", "Ada") as ada, connect(server.url, PAGE, "bob") as bob:
        assert ada.status == bob.status == "synced"
        thread = ada.annotate("quote", "why?", start=4, end=9)
        ada.flush()
        bob.flush()
        bob.react(bob.reply(thread.id, "because"), "👍")
        bob.flush()
        ada.flush()
        assert [item.body for item in ada[thread.id].comments] == ["why?", "because"]
        assert list(ada.df()["reactions"]) == [0, 1]
        assert ada.annotations == bob.annotations
        assert "1 annotation" in ada._repr_html_()
        assert repr(ada) == "<Page demo/a page as ada: synced>"
    assert ada.status == "closed"
    assert list(server.content(PATH)["annotations"]) == [thread.id]
    with pytest.raises(RuntimeError, match="closed"):
        ada.annotate("quote", "too late")


def test_it_works_with_the_server_absent_and_merges_when_it_comes(server: PlainServer) -> None:
    server.stop()
    with connect(server.url, PAGE, "ada") as page:
        assert page.status == "offline"
        thread = page.annotate("quote", "written before the server was there")
        page.reply(thread, "and answered")
        with pytest.raises(Offline, match="3 changes are not saved") as offline:
            page.flush(timeout=0.05)
        assert offline.value.unsaved == page.unsaved == 3
        server.start()
        page.flush()
        assert (page.status, page.unsaved) == ("synced", 0)
    assert len(server.content(PATH)["comments"]) == 2


def test_a_flush_with_nothing_to_save_waits_for_what_others_wrote(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as ada, connect(server.url, PAGE, "bob") as bob:
        server.stop()
        until(lambda: ada.status == bob.status == "offline")
        with pytest.raises(Offline, match="no server answers"):
            ada.flush(timeout=0.05)
        bob.annotate("quote", "written meanwhile")
        server.start()
        bob.flush()
        ada.flush()  # ada may still be waiting for her next attempt
        assert len(ada.annotations) == 1


def test_a_flush_inside_a_branch_fails_at_once(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as page, page.offline():
        page.annotate("quote", "why?")
        with pytest.raises(Offline):
            page.flush(timeout=60)


def test_both_sides_of_an_outage_are_merged(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as ada, connect(server.url, PAGE, "bob") as bob:
        thread = ada.annotate("quote", "why?")
        ada.flush()
        bob.flush()
        server.stop()
        until(lambda: ada.status == bob.status == "offline")
        ada.reply(thread, "from ada")
        bob.reply(thread.id, "from bob")
        server.start()
        ada.flush()
        bob.flush()
        ada.flush()
        assert {item.body for item in ada[thread.id].comments} == {"why?", "from ada", "from bob"}
        assert ada.annotations == bob.annotations


def test_a_branch_is_merged_when_it_ends(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as ada, connect(server.url, PAGE, "bob") as bob:
        with ada.offline():
            assert ada.status == "offline"
            ada.annotate("mine", "kept back")
            bob.annotate("his", "unseen")
            bob.flush()
            assert [item.exact for item in ada.annotations] == ["mine"]
            assert [item.exact for item in bob.annotations] == ["his"]
        bob.flush()
        assert {item.exact for item in ada.annotations} == {"mine", "his"}
        assert ada.annotations == bob.annotations
        with ada.offline():
            bob.annotate("later", "seen at the end of an empty branch")
            bob.flush()
        assert len(ada.annotations) == 3


def test_a_batch_is_one_frame(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as page:
        page.flush()
        before = len(server.frames)
        with page.batch():
            for number in range(5):
                page.annotate("quote", str(number))
            with pytest.raises(RuntimeError, match="batch"):
                page.flush()
        until(lambda: len(server.frames) > before)
        page.flush()
        assert [frame[:2] for frame in server.frames[before:]] == [b"\x00\x02", b"\x00\x00"]
    assert len(server.content(PATH)["annotations"]) == 5


def test_a_loop_reads_what_others_do(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as ada, connect(server.url, PAGE, "bob") as bob:
        events = iter(ada.events(timeout=60))
        silent = ada.events(timeout=0.05)
        ada.annotate("mine", "no news to me")
        thread = bob.annotate("his", "news")
        bob.resolve(thread)
        bob.flush()
        assert [next(events).type for _ in range(2)] == ["new-text-chat", "updated-text-chat"]
        ada.flush()
        assert len(list(silent)) == 2, "it ends when nothing comes any more"


def test_handlers_may_use_the_page_and_one_that_fails_stops_nothing(
    server: PlainServer, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(server.url, PAGE, "ada") as ada, connect(server.url, PAGE, "bob") as bob:
        seen: list[Event] = []

        def answer(event: Event) -> None:
            seen.append(event)
            if len(seen) == 1:
                raise ZeroDivisionError
            ada.reply(event.annotation_id or "", "welcome")

        off = ada.on("new-text-chat", answer)
        for number in range(2):
            bob.annotate("quote", str(number))
        bob.flush()
        until(lambda: any(len(item.comments) == 2 for item in ada.annotations))
        off()
        bob.annotate("quote", "unheard")
        bob.flush()
        ada.flush()
        assert len(seen) == 2
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        ZeroDivisionError
    ]


def test_status_is_told(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as page:
        told: list[str] = []
        page.on("status", lambda event: told.append(event.detail))
        server.stop()
        until(lambda: "offline" in told)
        server.start()
        until(lambda: told[-1] == "synced")


def test_a_listener_that_is_no_server_is_as_good_as_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        started = time.monotonic()
        page = connect(f"ws://127.0.0.1:{deaf.getsockname()[1]}", PAGE, "ada")
        assert page.status == "offline"
        page.annotate("quote", "why?")
        with pytest.raises(Offline):
            page.close(timeout=0.05)
        assert time.monotonic() - started < 60


def test_many_threads_may_use_one_page(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as page:

        def write(number: int) -> None:
            for _ in range(10):
                page.annotate("quote", str(number))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(page.annotations) == 50
    assert len(server.content(PATH)["annotations"]) == 50


def test_refused_says_key_rule_and_reason() -> None:
    error = Refused("comments/a/c", "size", "It is too long.", value={"body": "x"})
    assert str(error) == "comments/a/c: It is too long. (size)"
    assert (error.key, error.rule, error.reason) == ("comments/a/c", "size", "It is too long.")


def test_page_is_the_type_that_connect_gives(server: PlainServer) -> None:
    with connect(server.url, PAGE, "ada") as page:
        assert type(page) is Page
