"""`crdt_chat.connect` over killed servers, silent networks and branches: nothing written is lost."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from python_pages import Place, client_id, roots, sync
from server import RealServer
from tcp_proxy import TcpProxy, proxied
from waiting import until

import crdt_chat
from crdt_chat.client import liveness
from crdt_chat.client.lookup import NoSuchNote
from crdt_chat.client.model import User
from crdt_chat.client.page import Page


def watch_closely(monkeypatch: pytest.MonkeyPatch, *, ping_s: float, pong_s: float) -> None:
    """A silent line is noticed after these, not after half a minute."""
    monkeypatch.setattr(liveness, "PING_S", ping_s)
    monkeypatch.setattr(liveness, "PONG_S", pong_s)


@contextmanager
def through_a_proxy(server: RealServer, place: Place) -> Iterator[tuple[TcpProxy, Page]]:
    """Ada on a network that the test can hold up."""
    with (
        proxied(server.port) as proxy,
        crdt_chat.connect(f"ws://127.0.0.1:{proxy.port}", place.page, "ada") as ada,
    ):
        yield proxy, ada


def test_what_flush_has_confirmed_survives_kill_9(
    server: RealServer, place: Place, ada: Page
) -> None:
    thread = ada.annotate("quote", "confirmed", "the ", " is", 4, 9)
    ada.react(thread.comments[0], "👍")
    ada.flush()
    before = ada[thread.id]
    server.kill()
    server.start()
    assert place.seen_by_a_late_joiner() == [before]
    assert before.comments[0].reactions == {"👍": ("ada",)}


def test_an_outage_of_the_server_is_merged(server: RealServer, ada: Page, bob: Page) -> None:
    thread = ada.annotate("quote", "before")
    sync(ada, bob)
    server.kill()
    until(lambda: ada.status == bob.status == "offline")
    ada.edit(ada[thread.id].comments[0], "edited meanwhile")
    bob.reply(thread.id, "answered meanwhile")
    bob.annotate("another", "begun meanwhile")
    server.start()
    sync(ada, bob)
    assert ada.annotations == bob.annotations
    first, second = ada.annotations
    assert [comment.body for comment in first.comments] == [
        "edited meanwhile",
        "answered meanwhile",
    ]
    assert second.body == "begun meanwhile"
    assert (ada.status, ada.unsaved) == ("synced", 0)


def test_the_server_may_come_later_than_its_clients(server: RealServer, place: Place) -> None:
    server.stop()
    with place.open("ada") as ada:
        ada.annotate("quote", "first of all")
        assert ada.status == "offline"
        server.start()
        ada.flush()
        assert ada.users == (User("ada", "ada"),)
    assert [item.body for item in place.seen_by_a_late_joiner()] == ["first of all"]


def test_a_document_of_another_epoch_is_dropped_and_ones_own_notes_are_not(
    ada: Page, bob: Page
) -> None:
    bob.annotate("his", "kept")
    sync(bob, ada)
    before = client_id(ada)
    host, peer = ada._host, ada._page._peer
    with ada.offline():
        mine = ada.annotate("mine", "written for an older epoch")
        host.call(lambda: setattr(peer, "epoch", 4711))
    sync(ada, bob)
    assert client_id(ada) != before
    assert {item.exact for item in bob.annotations} == {"his", "mine"}
    assert bob[mine.id] == ada[mine.id]


def test_a_network_that_goes_silent_is_noticed_and_survived(
    server: RealServer, place: Place, bob: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_closely(monkeypatch, ping_s=0.2, pong_s=1.0)
    with through_a_proxy(server, place) as (proxy, ada):
        proxy.pause()
        thread = ada.annotate("quote", "into the void")
        until(lambda: ada.status == "offline")
        proxy.resume()
        ada.flush()
        proxy.reset()
        ada.reply(thread, "after a reset")
        sync(ada, bob)
        assert ada.annotations == bob.annotations
        assert len(bob.annotations[0].comments) == 2


def test_a_slow_network_is_not_taken_for_a_dead_one(
    server: RealServer, place: Place, bob: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An idle line is given up after these two; for 400 kB on their way there is 25 s more.
    watch_closely(monkeypatch, ping_s=0.5, pong_s=2.0)
    with through_a_proxy(server, place) as (proxy, ada):
        told: list[str] = []
        ada.on("status", lambda event: told.append(event.detail))
        with ada.batch():
            for number in range(200):
                ada.annotate(str(number), "x" * 2000)
            # Not before: an idle line would be given up meanwhile.
            proxy.pause()
        time.sleep(4.0)
        assert told == ["online"]
        proxy.resume()
        ada.flush()
        assert "offline" not in told
    bob.flush()
    assert len(bob.annotations) == 200


@pytest.mark.parametrize("seed", range(4))
def test_random_work_with_outages_ends_equal(server: RealServer, place: Place, seed: int) -> None:
    chance = random.Random(seed)
    pages = [place.open(user) for user in ("ada", "ada", "bob", "eve")]
    branches: dict[Page, Any] = {}
    try:
        for _ in range(120):
            page = chance.choice(pages)
            with suppress(NoSuchNote):  # deleted by another between the look and the act
                _act(chance, page)
            if chance.random() < 0.06:
                _branch(chance, page, branches)
            if chance.random() < 0.02:
                server.kill()
                server.start()
        for page, branch in branches.items():
            _finish(lambda page=page, branch=branch: branch.__exit__(None, None, None))
        for page in pages * 2:
            _finish(page.flush)
        for page in pages[1:]:
            assert roots(page) == roots(pages[0])
        assert place.seen_by_a_late_joiner() == pages[0].annotations
        assert pages[0].annotations
    finally:
        for page in pages:
            page.close()


def _act(chance: random.Random, page: Page) -> None:
    """One gesture that this person may make, as far as she knows."""
    notes = page.annotations
    user = page.address.user
    mine = [note for note in notes if note.creator == user]
    comments = [comment for note in notes for comment in note.comments]
    own = [comment for comment in comments if comment.creator == user]
    what = chance.choice(["annotate", "reply", "reply", "edit", "react", "resolve", "delete"])
    if what == "annotate" or not notes:
        page.annotate("quote", "text")
    elif what == "reply":
        page.reply(chance.choice(notes), "reply")
    elif what == "edit" and own:
        page.edit(chance.choice(own), f"edited {chance.random()}")
    elif what == "react" and comments:
        page.react(chance.choice(comments), chance.choice("👍❤🎉"), on=chance.random() < 0.7)
    elif what == "resolve" and mine:
        page.resolve(chance.choice(mine), resolved=chance.random() < 0.6)
    elif what == "delete" and chance.random() < 0.4:
        found = own or mine
        if found:
            page.delete(chance.choice(found))


def _branch(chance: random.Random, page: Page, branches: dict[Page, Any]) -> None:
    """Begin a branch, or end it."""
    if page in branches:
        branch = branches.pop(page)
        _finish(lambda: branch.__exit__(None, None, None))
    else:
        branches[page] = page.offline()
        branches[page].__enter__()


def _finish(step: Callable[[], object]) -> None:
    """Only the races that design 4 names may be refused."""
    try:
        step()
    except crdt_chat.Refused as error:
        refused = error
    else:
        return
    assert {one.rule for one in refused.refusals} <= {"deleted", "bare", "origin"}
