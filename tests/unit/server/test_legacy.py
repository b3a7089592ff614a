"""The pieces of the legacy bridge that need no server."""

import json
from dataclasses import replace
from urllib.parse import urlencode

import anyio
import pytest
from routes import served
from starlette.requests import Request
from starlette.websockets import WebSocket

from crdt_chat.config import Config, Limits
from crdt_chat.errors import Malformed, NotFound, RateLimited, RemoteFault, TryLater, Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.protocol.text_chat_requests import Creation
from crdt_chat.protocol.url_ids import user_token
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.access.tenants import Tenants
from crdt_chat.server.access.tickets import Tickets
from crdt_chat.server.audit.denials import Denials
from crdt_chat.server.legacy.content import Content, durable
from crdt_chat.server.legacy.event_log import newest
from crdt_chat.server.legacy.feeds import CATCH_UP_ROWS, MISSED_PEOPLE, Feed, Subscriber
from crdt_chat.server.legacy.repeats import MOST_CREATIONS, Repeats
from crdt_chat.server.legacy.subscriptions import Subscriptions
from crdt_chat.server.legacy.visitors import COOKIE, Visitor, visitor
from crdt_chat.server.rooms.services import Clock
from crdt_chat.server.rooms.turn import Slices, Turn, here
from crdt_chat.server.sockets.channel import Event
from crdt_chat.server.web.pace import Pace
from store.records import EventRow

ADA = Grant("demo", "ada", "Ada", Role.EDITOR)
TENANTS = Config(open_tenants=("demo",))


def asked(query: bytes = b"", cookie: str = "", tenant: str = "demo") -> Visitor:
    """The visitor behind a request."""
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    scope = {"type": "http", "query_string": query, "headers": headers}
    tickets = Tickets(lambda: 0.0, lambda: b"t" * 32)
    authority = Authority(
        Tenants(TENANTS), Revocations(), tickets, b"s" * 32, lambda: 0, lambda: "no-id", Denials(20)
    )
    return visitor(Request(scope), tenant, authority, lambda: "new-session")


def query(**parameters: str) -> bytes:
    """A query string."""
    return urlencode(parameters).encode()


def row(at: int) -> EventRow:
    """An event of this timestamp."""
    return EventRow(at, "updated-text-chat", "b", "ada", f"a{at % 3}", '{"type":"x"}')


def test_a_subscriber_over_its_limit_lags_instead_of_growing() -> None:
    subscriber = Subscriber(limit=100)
    subscriber.event(1, "first", 90)
    subscriber.event(2, "second", 20)
    subscriber.event(3, "third", 5)
    assert [frame for frame, _ in subscriber.frames] == ["first"]
    assert (subscriber.lagging, subscriber.cursor) == (True, 1)


def test_one_large_frame_is_not_too_much_for_an_idle_subscriber() -> None:
    subscriber = Subscriber(limit=100)
    subscriber.event(1, "large", 1_000)
    assert not subscriber.lagging


def test_a_lagging_subscriber_is_live_again_only_when_it_was_told_everything() -> None:
    subscriber = Subscriber(limit=10, lagging=True, missed=True)
    subscriber.missed = False
    subscriber.caught_up([row(at) for at in range(CATCH_UP_ROWS)])
    assert subscriber.lagging
    assert subscriber.cursor == CATCH_UP_ROWS - 1
    subscriber.event(1_000, "while the log was being read", 1)
    subscriber.caught_up([row(999)])
    assert subscriber.lagging
    subscriber.missed = False
    subscriber.caught_up([row(1_000)])
    assert not subscriber.lagging
    told = [json.loads(frame)["timestamp"] for frame, _ in subscriber.frames]
    assert told == [*range(CATCH_UP_ROWS), 999, 1_000]


def test_presence_waits_in_no_longer_a_queue_than_events() -> None:
    subscriber = Subscriber(limit=100)
    subscriber.presence("first", 90, [])
    for number in range(10_000):
        subscriber.presence("came and went", 60, [f"user{number % 700}"])
    assert [frame for frame, _ in subscriber.frames] == ["first"]
    assert (subscriber.stale, len(subscriber.left), subscriber.closing) == (True, 700, None)
    subscriber.presence("many went", 60, [f"other{number}" for number in range(MISSED_PEOPLE)])
    assert isinstance(subscriber.closing, TryLater)
    assert not subscriber.left


@pytest.mark.anyio
async def test_a_subscriber_that_has_drained_is_told_who_is_here_and_who_went() -> None:
    async with served(TENANTS) as app, app.rooms.open(PageKey("demo", "article")) as room:
        for number, user in enumerate(("ada", "bob")):
            room.people.arrive(number, replace(ADA, user=user))
        feed, subscriber = Feed(room, app.services), Subscriber(limit=10)
        feed.join(subscriber)
        subscriber.presence("left out", 60, ["zoe", "bob"])
        subscriber.frames.clear()
        assert subscriber.stale
        feed.refresh(subscriber)
        told = json.loads(subscriber.frames[-1][0])
        assert (told["sc"], told["uj"], told["ul"]) == (2, ["ada", "bob"], ["zoe"])
        assert not subscriber.stale
        feed.leave(subscriber)
        for number in range(2):
            room.people.depart(number, lost=False)


@pytest.mark.anyio
async def test_a_subscriber_that_is_one_too_many_keeps_no_page_in_memory() -> None:
    sent: list[Event] = []

    async def receive() -> Event:
        return {"type": "websocket.connect"}

    async def send(message: Event) -> None:
        sent.append(message)

    async with served(replace(TENANTS, limits=Limits(connections_per_user=0))) as app:
        subscriptions = Subscriptions(app.rooms, app.administration.authority, app.crdt._guard)
        asked = query(tenantIdWS="demo", urlId="article", userIdWS=user_token("ada", "Ada"))
        scope = {"type": "websocket", "path": "/sub", "query_string": asked, "headers": []}
        await subscriptions.handle(WebSocket(scope, receive, send))
        assert sent[-1]["code"] == TryLater.close_code
        assert subscriptions._feeds == {}


def test_creations_are_remembered_up_to_a_number_and_by_broadcast_id_only() -> None:
    repeats, key = Repeats(), PageKey("demo", "article")
    creation = Creation("article", "u", "", "p", "0:1,0:2", "", "b0")
    for number in range(MOST_CREATIONS + 1):
        repeats.remember((key, "ada", replace(creation, broadcast_id=f"b{number}")), f"a{number}")
    assert repeats.known((key, "ada", creation)) is None
    assert repeats.known((key, "ada", replace(creation, broadcast_id="b1"))) == "a1"
    nameless = (key, "ada", replace(creation, broadcast_id=""))
    repeats.remember(nameless, "a")
    assert repeats.known(nameless) is None


def test_too_many_events_are_thinned_to_the_last_of_each_annotation() -> None:
    rows = [row(at) for at in range(10)]
    assert newest(rows, 10) == rows
    assert [(one.timestamp, one.entity) for one in newest(rows, 9)] == [
        (7, "a1"),
        (8, "a2"),
        (9, "a0"),
    ]


class Rebuilding:
    """A room whose page is rebuilt while somebody waits for what was read to become durable."""

    key = PageKey("demo", "article")

    def __init__(self) -> None:
        self.page = Page(PageLimits(), 9)
        self.turn = Turn(here, Slices.of(50))
        target = {"selector": [{"type": "TextQuoteSelector", "exact": "never durable"}]}
        value = {"creator": "ada", "created": 1, "target": target}
        verdict = self.page.write([("annotations", "a1", value)], ADA, 1)
        assert verdict.kind == "accepted"
        self.rebuilds = True

    async def settled(self) -> None:
        """The commit failed; the page comes back from the store without its changes."""
        if self.rebuilds:
            self.page = Page(PageLimits(), 9)


@pytest.mark.anyio
async def test_what_was_read_from_a_page_that_failed_is_never_shown() -> None:
    room = Rebuilding()
    with pytest.raises(TryLater):
        await durable(room, Content.chats)  # type: ignore[arg-type]
    room.rebuilds = False
    assert await durable(room, Content.chats) == []  # type: ignore[arg-type]
    room = Rebuilding()
    room.rebuilds = False
    [chat] = await durable(room, Content.chats)  # type: ignore[arg-type]
    assert chat["exact"] == "never durable"


class Held:
    """What Pace needs of the server, with a clock that stands still."""

    limits = replace(Limits(), rate_patience_s=0.5)
    clock = Clock(now=lambda: 0, monotonic=lambda: 7.0)
    config = replace(TENANTS, limits=replace(Limits(), operations_per_s=100.0, operations_burst=2))


@pytest.mark.anyio
async def test_an_address_is_slowed_down_then_refused_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = Pace(Held())  # type: ignore[arg-type]
    started = anyio.current_time()
    for _ in range(12):
        await pace.slow_down(ADA, "192.0.2.1")
    assert anyio.current_time() - started >= 0.09
    async with anyio.create_task_group() as waiting:
        for _ in range(39):
            waiting.start_soon(pace.slow_down, ADA, "192.0.2.1")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RateLimited):
            await pace.slow_down(ADA, "192.0.2.1")
        waiting.cancel_scope.cancel()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("crdt_chat.server.web.pace.anyio.sleep", sleep)
    await pace.slow_down(ADA, "192.0.2.2")
    assert slept == [0.0]


@pytest.mark.parametrize(
    ("said", "user", "name"),
    [
        ({"user": "ada"}, "ada", "ada"),
        ({"user": "ada", "name": "Ada"}, "ada", "Ada"),
        ({"sso": json.dumps({"username": "ada", "displayName": "Ada"})}, "ada", "Ada"),
        ({"sso": json.dumps("ada")}, "ada", "ada"),
        ({"sso": json.dumps({"simpleSSOUser": {"username": "ada"}})}, "ada", "ada"),
        ({"userIdWS": user_token("ada", "Ada")}, "ada", "Ada"),
        ({"userIdWS": "pingtest"}, "anon:pingtest", "Anonymous"),
    ],
)
def test_a_visitor_is_who_she_says_on_an_open_tenant(
    said: dict[str, str], user: str, name: str
) -> None:
    found = asked(query(**said))
    assert (found.grant.user, found.grant.name) == (user, name)
    assert found.session is None


def test_a_stranger_gets_a_session_and_is_known_by_it() -> None:
    stranger = asked()
    assert stranger.session == "new-session"
    again = asked(cookie="new-session")
    assert again.grant == stranger.grant
    assert again.session is None
    assert "new-session" not in stranger.grant.user


@pytest.mark.parametrize(
    ("sso", "fault"),
    [
        ("{", Malformed),
        ("[1]", Malformed),
        (json.dumps({"username": 7}), Malformed),
        (json.dumps({"username": ""}), Malformed),
        (json.dumps({"username": "x" * 300}), Malformed),
        (json.dumps({"userDataJSONBase64": "e30="}), Unauthorized),
    ],
)
def test_a_wrong_sso_is_refused(sso: str, fault: type[RemoteFault]) -> None:
    with pytest.raises(fault):
        asked(query(sso=sso))


def test_login_links_alone_are_nobody() -> None:
    found = asked(query(sso=json.dumps({"loginURL": "https://a.example"})))
    assert found.grant.user.startswith("anon:")


def test_an_unknown_tenant_is_not_found() -> None:
    with pytest.raises(NotFound):
        asked(query(user="ada"), tenant="nobody")
