"""`crdt_chat.connect` against the real server: nothing lost, refusals mended, beside real Yjs peers."""

import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from repository import ROOT
from server import RealServer, running_server
from tcp_proxy import proxied
from yjs_peer import YjsPeers

import crdt_chat
from crdt_chat.client import link, liveness
from crdt_chat.client.lookup import NoSuchNote
from crdt_chat.client.model import Annotation, Event, User
from crdt_chat.client.page import Page
from crdt_chat.client.replica import Operation
from crdt_chat.errors import NotFound
from crdt_chat.page.verdict import Json

PAGE = "demo/python client"
SECRET = "this must never be seen"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LONGEST_PAUSE_S", 0.3)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """For the tests that do no harm to their server."""
    with running_server(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test's own server if it names one, else the shared one and a page of its own."""
    if "server" in request.fixturenames:
        chosen: RealServer = request.getfixturevalue("server")
    else:
        chosen = request.getfixturevalue("shared_server")
        monkeypatch.setattr(sys.modules[__name__], "PAGE", f"demo/{request.node.name}")
    return chosen.http.replace("http", "ws", 1)


@pytest.fixture
def ada(url: str) -> Iterator[Page]:
    with crdt_chat.connect(url, PAGE, "ada", "Ada") as page:
        yield page


@pytest.fixture
def bob(url: str) -> Iterator[Page]:
    with crdt_chat.connect(url, PAGE, "bob", "Bob") as page:
        yield page


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def sync(*pages: Page) -> None:
    """Everything that was written on these pages is on all of them."""
    for page in (*pages, *pages):
        page.flush()


def force(page: Page, *operations: Operation) -> None:
    """Write what the rules forbid, as a client with other ideas of them would."""
    host, peer = page._host, page._page._peer
    host.call(lambda: peer.write(operations))


def roots(page: Page) -> dict[str, dict[str, Json]]:
    """All that the page holds."""
    return page._host.call(lambda: {k: dict(v) for k, v in page._page._peer.mirror.roots.items()})


def client_id(page: Page) -> int:
    return page._host.call(lambda: page._page._peer.replica.client)


def late_joiner(url: str) -> list[Annotation]:
    with crdt_chat.connect(url, PAGE, "eve") as page:
        return page.annotations


def test_what_flush_has_confirmed_survives_kill_9(server: RealServer, url: str, ada: Page) -> None:
    thread = ada.annotate("quote", "confirmed", "the ", " is", 4, 9)
    ada.react(thread.comments[0], "👍")
    ada.flush()
    before = ada[thread.id]
    server.kill()
    server.start()
    assert late_joiner(url) == [before]
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


def test_the_server_may_come_later_than_its_clients(server: RealServer, url: str) -> None:
    server.stop()
    with crdt_chat.connect(url, PAGE, "ada") as ada:
        ada.annotate("quote", "first of all")
        assert ada.status == "offline"
        server.start()
        ada.flush()
        assert ada.users == (User("ada", "ada"),)
    assert [item.body for item in late_joiner(url)] == ["first of all"]


def test_people_are_counted_and_tabs_of_one_are_one(url: str, ada: Page, bob: Page) -> None:
    until(lambda: {user.name for user in ada.users} == {"Ada", "Bob"})
    with crdt_chat.connect(url, PAGE, "bob", "Bob") as second:
        assert len(second.users) == 2
        ada.flush()
        assert len(ada.users) == 2
    with ada.offline():
        until(lambda: [user.id for user in bob.users] == ["bob"])
        assert ada.users == ()
    until(lambda: len(bob.users) == 2)


def test_a_deleted_thread_is_gone_with_all_below_it_and_a_late_reply_does_no_harm(
    ada: Page, bob: Page
) -> None:
    thread = ada.annotate("quote", "to be deleted")
    sync(ada, bob)
    with bob.offline():
        late = bob.reply(thread.id, "unaware")
        ada.delete(thread)
        ada.flush()
    sync(ada, bob)
    assert ada.annotations == bob.annotations == []
    # "A comment under a new id is kept, below a deleted thread too (moderators see it)."
    assert list(roots(ada)["comments"]) == [late.name]
    assert roots(ada) == roots(bob)


def test_an_edit_that_lost_to_a_deletion_is_told_and_rolled_back(ada: Page, bob: Page) -> None:
    thread = ada.annotate("quote", "why?")
    with crdt_chat.connect(ada.address.base, PAGE, "ada") as phone:
        comment = phone[thread.id].comments[0]
        branch = phone.offline()
        branch.__enter__()
        phone.edit(comment, "why not?")
        ada.delete(comment)
        ada.flush()
        with pytest.raises(crdt_chat.Refused) as refused:
            branch.__exit__(None, None, None)
        assert refused.value.rule == "deleted"
        assert refused.value.value["body"] == "why not?"
        before = client_id(phone)
        phone.reply(thread.id, "still here")
        sync(phone, ada, bob)
        assert client_id(phone) == before  # an honest race costs no document
        assert roots(phone) == roots(ada) == roots(bob)


def test_a_forbidden_write_reaches_nobody_and_its_author_goes_on(
    server: RealServer, ada: Page, bob: Page
) -> None:
    thread = ada.annotate("quote", "ada's own")
    sync(ada, bob)
    name = thread.comments[0].name
    forged = dict(roots(bob)["comments"][name]) | {"body": SECRET}
    force(bob, ("comments", name, forged))
    with pytest.raises(crdt_chat.Refused) as refused:
        bob.flush()
    assert (refused.value.key, refused.value.rule) == (f"comments/{name}", "owner")
    assert refused.value.value["body"] == SECRET
    bob.reply(thread.id, "sorry")
    sync(bob, ada)
    assert roots(ada) == roots(bob)
    assert [comment.body for comment in bob[thread.id].comments] == ["ada's own", "sorry"]
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in _files(server))


def _files(server: RealServer) -> list[Any]:
    return [path for path in server.db.parent.glob(server.db.name + "*") if path.is_file()]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_refused_honest_writes_beside_it_survive(
    url: str, ada: Page, bob: Page, seed: int
) -> None:
    chance = random.Random(seed)
    threads = [ada.annotate("quote", f"ada's {number}") for number in range(4)]
    sync(ada, bob)
    own = [bob.annotate("quote", f"bob's {number}") for number in range(3)]
    bob.flush()
    branch = bob.offline()
    branch.__enter__()
    honest = {bob.reply(chance.choice(threads).id, f"fine {n}").name for n in range(3)}
    honest.add(bob.annotate("another", "fine too").comments[0].name)
    for thread in chance.sample(threads, 3):
        force(bob, *_forbidden(chance, thread))
    honest.add(bob.reply(own[0], "and this").name)
    with pytest.raises(crdt_chat.Refused):
        branch.__exit__(None, None, None)
    sync(bob, ada)
    assert roots(ada) == roots(bob)
    assert honest <= roots(ada)["comments"].keys()
    assert len(ada.annotations) == 8
    assert (bob.status, bob.unsaved) == ("synced", 0)
    assert late_joiner(url) == ada.annotations


def _forbidden(chance: random.Random, thread: Annotation) -> list[Operation]:
    """What bob may not do to a thread of ada's."""
    comment = thread.comments[0].name
    base = {"creator": "ada", "created": 1, "body": SECRET}
    return chance.choice(
        [
            [("comments", comment, None)],
            [("annotations", thread.id, None), ("comments", comment, None)],
            [("comments", comment, base)],
            [("comments", f"{thread.id}/forged", base)],
            [("deleted", f"{thread.id}/bob", {"by": "bob", "at": 1}), ("comments", comment, None)],
            [("deleted", f"{thread.id}/ada", {"by": "ada", "at": 1})],
            [("resolved", thread.id, {"by": "bob", "at": 1, "resolved": True})],
            [("closed", thread.id, {"by": "bob", "at": 1, "closed": True})],
            [("reactions", f"{comment}/👍/ada", {"at": 1})],
            [("page", "title", SECRET)],
        ]
    )


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


def test_a_page_of_a_tenant_that_is_not_there_is_refused_at_once(url: str) -> None:
    with pytest.raises(NotFound):
        crdt_chat.connect(url, "nobody/page", "ada")


@pytest.mark.parametrize(
    "name", ["a b/c", "ü?&#%2F", "../x", "日本語", "a//b", " ", "%", "x" * 200]
)
def test_any_name_is_a_page_of_its_own(url: str, name: str) -> None:
    with (
        crdt_chat.connect(url, f"demo/{name}", "ada/1@x") as ada,
        crdt_chat.connect(url, f"demo/{name}", "bob") as bob,
    ):
        thread = ada.annotate(name, "here")
        ada.react(thread.comments[0], "👍")
        sync(ada, bob)
        assert [item.exact for item in bob.annotations] == [name]
        assert bob.annotations[0].comments[0].reactions == {"👍": ("ada/1@x",)}
    assert late_joiner(url) == []


def test_events_have_the_broadcast_ids_of_their_gestures(ada: Page, bob: Page) -> None:
    events = bob.events(timeout=5)
    with ada.batch():
        thread = ada.annotate("quote", "one gesture")
        ada.reply(thread, "of two comments")
    ada.resolve(thread)
    ada.flush()
    ada.delete(thread)
    ada.flush()
    seen: list[Event] = []
    for event in events:
        seen.append(event)
        if event.type == "deleted-text-chat":
            break
    assert [event.type for event in seen] == [
        "new-text-chat",
        "updated-text-chat",
        "deleted-text-chat",
    ]
    assert len({event.broadcast_id for event in seen}) == 3
    assert None not in {event.broadcast_id for event in seen}


def test_a_big_branch_arrives_whole(url: str, ada: Page) -> None:
    with ada.offline(), ada.batch():
        for number in range(2000):
            ada.annotate(f"quote {number}", "written offline " * 5, start=number, end=number + 5)
    assert ada.unsaved == 0
    assert len(late_joiner(url)) == 2000


def test_a_network_that_goes_silent_is_noticed_and_survived(
    server: RealServer, url: str, bob: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PING_S", 0.2)
    monkeypatch.setattr(liveness, "PONG_S", 0.2)
    with (
        proxied(server.port) as proxy,
        crdt_chat.connect(f"ws://127.0.0.1:{proxy.port}", PAGE, "ada") as ada,
    ):
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
    server: RealServer, url: str, bob: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PING_S", 1.0)
    monkeypatch.setattr(liveness, "PONG_S", 0.4)
    with (
        proxied(server.port) as proxy,
        crdt_chat.connect(f"ws://127.0.0.1:{proxy.port}", PAGE, "ada") as ada,
    ):
        told: list[str] = []
        ada.on("status", lambda event: told.append(event.detail))
        proxy.pause()
        with ada.batch():
            for number in range(200):
                ada.annotate(str(number), "x" * 2000)
        time.sleep(2.5)  # 400 kB may take 25 s; an idle line is given up 1.4 s after the last pong
        assert told == ["online"]
        proxy.resume()
        ada.flush()
        assert "offline" not in told
    bob.flush()
    assert len(bob.annotations) == 200


def test_a_batch_beyond_the_limit_of_a_frame_goes_in_parts(ada: Page, bob: Page) -> None:
    with ada.batch():
        for number in range(300):
            ada.annotate(str(number), "x" * 9000)
    sync(ada, bob)
    assert len(bob.annotations) == 300


def test_of_many_people_all_are_listed_who_are_here(url: str, ada: Page) -> None:
    with ExitStack() as stack:
        others = [
            stack.enter_context(crdt_chat.connect(url, PAGE, f"user{number}"))
            for number in range(52)
        ]
        assert len(others[-1].users) == 53
        ada.flush()
        until(lambda: len(ada.users) == 53)


@pytest.mark.node
def test_a_browser_and_a_program_share_a_page(server: RealServer, url: str, yjs: YjsPeers) -> None:
    browser = yjs.browser("eve", server.ws(), "python%20client", user="eve").wait(synced=True)
    with crdt_chat.connect(url, PAGE, "ada", "Ada") as ada:
        until(lambda: {user.id for user in ada.users} == {"ada", "eve"})
        thread = ada.annotate("quote", "from python", start=1, end=6)
        ada.flush()
        until(lambda: thread.id in browser.content().get("annotations", {}))
        value = {"creator": "eve", "created": 5, "body": "from a browser", "broadcastId": "b"}
        events = ada.events(timeout=10)
        browser.transact([("set", "comments", f"{thread.id}/e1", value)])
        assert next(iter(events)).broadcast_id == "b"
        assert {comment.body for comment in ada[thread.id].comments} == {
            "from python",
            "from a browser",
        }
        server.kill()
        until(lambda: ada.status == "offline")
        browser.transact(
            [("set", "comments", f"{thread.id}/e2", value | {"body": "offline, browser"})]
        )
        ada.reply(thread, "offline, python")
        server.start()
        until(lambda: len(ada[thread.id].comments) == 4)
        until(lambda: len(browser.content()["comments"]) == 4)
        ada.flush()
        assert not browser.pending()
        shared = {key: value for key, value in roots(ada).items() if value}
        assert shared == {key: value for key, value in browser.content().items() if value}


def test_the_example_of_the_documentation_runs(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs/python.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    stated = "ws://127.0.0.1:8700"
    assert stated in example
    exec(example.replace(stated, url).replace("lab/", "demo/"), {})
    assert capsys.readouterr().out == "a sentence ['Is that so?', 'It is, mostly.']\n"


@pytest.mark.parametrize("seed", range(4))
def test_random_work_with_outages_ends_equal(server: RealServer, url: str, seed: int) -> None:
    chance = random.Random(seed)
    pages = [crdt_chat.connect(url, PAGE, user) for user in ("ada", "ada", "bob", "eve")]
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
        assert late_joiner(url) == pages[0].annotations
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
