"""A page shared by Python programs and a browser: people, names, events, and batches of any size."""

import re
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from python_pages import Place, roots, sync
from repository import ROOT
from server import RealServer
from waiting import PATIENCE_S, until
from yjs_peer import YjsPeers

import crdt_chat
from crdt_chat.client.model import Event
from crdt_chat.client.page import Page
from crdt_chat.errors import NotFound


def test_people_are_counted_and_tabs_of_one_are_one(place: Place, ada: Page, bob: Page) -> None:
    until(lambda: {user.name for user in ada.users} == {"Ada", "Bob"})
    with place.open("bob", "Bob") as second:
        assert len(second.users) == 2
        ada.flush()
        assert len(ada.users) == 2
    with ada.offline():
        until(lambda: [user.id for user in bob.users] == ["bob"])
        assert ada.users == ()
    until(lambda: len(bob.users) == 2)


def test_a_page_of_a_tenant_that_is_not_there_is_refused_at_once(place: Place) -> None:
    with pytest.raises(NotFound):
        crdt_chat.connect(place.url, "nobody/page", "ada")


@pytest.mark.parametrize(
    "name", ["a b/c", "ü?&#%2F", "../x", "日本語", "a//b", " ", "%", "x" * 200]
)
def test_any_name_is_a_page_of_its_own(place: Place, name: str) -> None:
    with (
        crdt_chat.connect(place.url, f"demo/{name}", "ada/1@x") as ada,
        crdt_chat.connect(place.url, f"demo/{name}", "bob") as bob,
    ):
        thread = ada.annotate(name, "here")
        ada.react(thread.comments[0], "👍")
        sync(ada, bob)
        assert [item.exact for item in bob.annotations] == [name]
        assert bob.annotations[0].comments[0].reactions == {"👍": ("ada/1@x",)}
    assert place.seen_by_a_late_joiner() == []


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


def test_a_big_branch_arrives_whole(place: Place, ada: Page) -> None:
    with ada.offline(), ada.batch():
        for number in range(2000):
            ada.annotate(f"quote {number}", "written offline " * 5, start=number, end=number + 5)
    assert ada.unsaved == 0
    assert len(place.seen_by_a_late_joiner()) == 2000


def test_a_batch_beyond_the_limit_of_a_frame_goes_in_parts(ada: Page, bob: Page) -> None:
    with ada.batch():
        for number in range(300):
            ada.annotate(str(number), "x" * 9000)
    sync(ada, bob)
    assert len(bob.annotations) == 300


def test_of_many_people_all_are_listed_who_are_here(place: Place, ada: Page) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(place.open(f"user{number}")) for number in range(52)]
        assert len(others[-1].users) == 53
        ada.flush()
        until(lambda: len(ada.users) == 53)


@pytest.mark.node
def test_a_browser_and_a_program_share_a_page(
    server: RealServer, place: Place, yjs: YjsPeers
) -> None:
    name = quote(place.page.removeprefix("demo/"))
    browser = yjs.browser("eve", server.ws(), name, user="eve").wait(synced=True)
    with place.open("ada", "Ada") as ada:
        until(lambda: {user.id for user in ada.users} == {"ada", "eve"})
        thread = ada.annotate("quote", "from python", start=1, end=6)
        ada.flush()
        until(lambda: thread.id in browser.content().get("annotations", {}))
        value = {"creator": "eve", "created": 5, "body": "from a browser", "broadcastId": "b"}
        events = ada.events(timeout=PATIENCE_S)
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
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs/python.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    stated = "ws://127.0.0.1:8700"
    assert stated in example
    exec(example.replace(stated, place.url).replace("lab/", "demo/"), {})
    assert capsys.readouterr().out == "a sentence ['Is that so?', 'It is, mostly.']\n"
