"""Legacy clients and Yjs clients on the same page of a real server."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from server import RealServer, StartServer, running_server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from yjs_peer import YjsBrowser, YjsPeers

pytestmark = pytest.mark.node

Json = Any
PAGES = (f"article-{number}" for number in count(1))
CHATS = "/comment-collab-chats/demo"
SECONDS = 10.0


class Sub:
    """A `/sub` socket. size is that of the last frame in bytes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.size = 0

    def frame(self) -> dict[str, Json]:
        """The next frame of any type."""
        raw = self.socket.recv(timeout=SECONDS)
        assert isinstance(raw, str)
        assert "%" not in raw
        self.size = len(raw.encode())
        body: dict[str, Json] = json.loads(raw)
        return body

    def event(self) -> dict[str, Json]:
        """The next text-chat event."""
        return self.until(lambda body: body["type"] != "p-u")

    def until(self, wanted: Callable[[dict[str, Json]], bool]) -> dict[str, Json]:
        """The next frame that is wanted."""
        while not wanted(body := self.frame()):
            pass
        return body

    def closed(self) -> int:
        """The close code, once the server has closed."""
        with suppress(ConnectionClosed):
            while True:
                self.socket.recv(timeout=SECONDS)
        assert self.socket.close_code is not None
        return self.socket.close_code


class Legacy:
    """A legacy client of the open tenant `demo`, on one page of it."""

    def __init__(self, server: RealServer, page: str, user: str = "") -> None:
        self.server = server
        self.page = page
        self.http = httpx.Client(base_url=server.http, timeout=SECONDS)
        self.who = {"user": user, "name": user.title()} if user else {}

    def body(self, broadcast_id: str = "b-post", **changed: Json) -> dict[str, Json]:
        """The documented body of a POST."""
        return {
            "urlId": self.page,
            "urlIdWithRange": f"{self.page}:p:0:15,0:45{{abc123}}",
            "pageTitle": "My Article",
            "selector": "div#article > p:nth-child(2)",
            "range": "0:15,0:45{abc123}",
            "createdFromCommentId": "comment-7",
            "broadcastId": broadcast_id,
        } | changed

    def listing(self, page: str = "") -> dict[str, Json]:
        """The answer to GET /comment-collab-chats."""
        answer = self.http.get(CHATS, params={"urlId": page or self.page, **self.who})
        assert answer.status_code == 200, answer.text
        body: dict[str, Json] = answer.json()
        return body

    def post(self, broadcast_id: str = "b-post", **changed: Json) -> httpx.Response:
        """POST a conversation."""
        return self.http.post(CHATS, params=self.who, json=self.body(broadcast_id, **changed))

    def delete(self, chat: str, broadcast_id: str) -> httpx.Response:
        """DELETE a conversation."""
        return self.http.request(
            "DELETE", f"{CHATS}/{chat}", params=self.who, json={"broadcastId": broadcast_id}
        )

    def log(self, start: int = 0, page: str = "", **more: Json) -> list[dict[str, Json]]:
        """The events of the log, parsed."""
        params = {"urlId": page or self.page, "userIdWS": "anon", "startTime": start, **more}
        body = self.http.get("/event-log/demo/", params=params).json()
        assert body["status"] == "success"
        for entry in body["events"]:
            assert all(isinstance(value, str) for value in entry.values())
            assert entry["broadcastId"] == json.loads(entry["data"])["broadcastId"]
        return [json.loads(entry["data"]) for entry in body["events"]]

    @contextmanager
    def sub(self, url_id_ws: str | None = None, tenant: str = "demo") -> Iterator[Sub]:
        """A socket on the page; `url_id_ws` goes into the URL as it is."""
        listed = self.listing()
        url_id_ws = listed["urlIdWS"] if url_id_ws is None else url_id_ws
        address = self.server.http.replace("http", "ws")
        query = f"urlId={url_id_ws}&userIdWS={listed['userIdWS']}&tenantIdWS={tenant}"
        with connect(f"{address}/sub?{query}", compression=None) as socket:
            yield Sub(socket)


@contextmanager
def never_reading(server: RealServer, url_id_ws: str) -> Iterator[None]:
    """A subscriber that completes the handshake and then reads nothing at all."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.connect(("127.0.0.1", server.port))
        head = (
            f"GET /sub?urlId={url_id_ws}&userIdWS=anon&tenantIdWS=demo HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        raw.sendall(head.encode())
        assert raw.recv(12) == b"HTTP/1.1 101"
        yield


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server for all tests that do not harm it; each has its own page."""
    with running_server(tmp_path_factory.mktemp("shared"), tenants=("demo", "other")) as running:
        yield running


@pytest.fixture
def ada(shared: RealServer) -> Iterator[Legacy]:
    """The legacy client of ada, on a page of its own."""
    legacy = Legacy(shared, next(PAGES), "ada")
    with legacy.http:
        yield legacy


@pytest.fixture
def bob(yjs: YjsPeers, shared: RealServer, ada: Legacy) -> YjsBrowser:
    """Bob's browser on ada's page, a stock Yjs client."""
    return yjs.browser("bob", shared.ws(), ada.page, user="bob").wait(synced=True)


def annotate(
    browser: YjsBrowser, annotation: str = "a1", broadcast_id: str = "b-new", body: str = "hello"
) -> None:
    """A new annotation by bob, with its first comment, in one transaction."""
    quoted = {
        "type": "TextQuoteSelector",
        "exact": "q" * 60,
        "prefix": "p" * 32,
        "suffix": "s" * 32,
    }
    position = {"type": "TextPositionSelector", "start": 10_000, "end": 10_060}
    said = {"creator": "bob", "broadcastId": broadcast_id}
    target = {"selector": [quoted, position]}
    browser.transact(
        [
            ("set", "annotations", annotation, said | {"created": 1_000, "target": target}),
            ("set", "comments", f"{annotation}/c1", said | {"created": 1_001, "body": body}),
        ]
    )


def delete(browser: YjsBrowser, annotation: str = "a1", broadcast_id: str = "b-gone") -> None:
    """Bob deletes his annotation, as our clients do."""
    entry = {"by": "bob", "at": 2_000, "broadcastId": broadcast_id}
    browser.transact(
        [
            ("set", "deleted", f"{annotation}/bob", entry),
            ("delete", "annotations", annotation),
            ("delete", "comments", f"{annotation}/c1"),
        ]
    )


# -- one page, two protocols ---------------------------------------------------------------------


def test_a_posted_chat_is_an_annotation_for_yjs_clients(ada: Legacy, bob: YjsBrowser) -> None:
    answer = ada.post()
    assert answer.status_code == 200, answer.text
    chat = answer.json()["createdChatId"]
    bob.wait(has=[("annotations", chat)])
    value = bob.content()["annotations"][chat]
    assert (value["creator"], value["broadcastId"]) == ("ada", "b-post")
    [listed] = ada.listing()["conversations"]
    assert listed["_id"] == chat
    assert listed["urlId"] == ada.body()["urlIdWithRange"]
    assert listed["range"] == ada.body()["range"]
    assert listed["selector"] == ada.body()["selector"]
    assert listed["createdFromCommentId"] == "comment-7"


def test_a_deleted_chat_is_gone_for_yjs_clients(ada: Legacy, bob: YjsBrowser) -> None:
    chat = ada.post().json()["createdChatId"]
    bob.wait(has=[("annotations", chat)])
    said = {"creator": "bob", "created": 5, "body": "a reply"}
    bob.transact([("set", "comments", f"{chat}/c9", said)])
    with ada.sub():
        answer = ada.delete(chat, "b-gone")
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    bob.wait(lacks=[("annotations", chat), ("comments", f"{chat}/c9")])
    assert bob.content()["deleted"][f"{chat}/ada"]["broadcastId"] == "b-gone"
    assert ada.listing()["conversations"] == []


def test_what_yjs_clients_do_is_told_with_each_operations_broadcast_id(
    ada: Legacy, bob: YjsBrowser
) -> None:
    with ada.sub() as sub:
        annotate(bob, body="100% sure")
        told = [sub.event()]
        reply = {"creator": "bob", "created": 1_002, "body": "more", "broadcastId": "b-reply"}
        bob.transact([("set", "comments", "a1/c2", reply)])
        told.append(sub.event())
        resolved = {"by": "bob", "at": 1_003, "resolved": True, "broadcastId": "b-done"}
        bob.transact([("set", "resolved", "a1", resolved)])
        told.append(sub.event())
        delete(bob)
        told.append(sub.event())
    assert [(event["type"], event["broadcastId"]) for event in told] == [
        ("new-text-chat", "b-new"),
        ("updated-text-chat", "b-reply"),
        ("updated-text-chat", "b-done"),
        ("deleted-text-chat", "b-gone"),
    ]
    assert {event["userId"] for event in told} == {"bob"}
    assert {event["chat"]["_id"] for event in told} == {"a1"}
    assert told[0]["chat"]["comment"] == "100% sure"
    assert told[2]["chat"]["isResolved"] is True
    stamps = [event["timestamp"] for event in told]
    assert all(later - earlier >= 2 for earlier, later in pairwise(stamps))
    logged = ada.log()
    assert [(e["type"], e["broadcastId"], e["timestamp"]) for e in logged] == [
        (e["type"], e["broadcastId"], e["timestamp"]) for e in told
    ]


def test_the_originator_hears_its_own_echo_and_every_other_tab_too(ada: Legacy) -> None:
    with ada.sub() as one, ada.sub() as other:
        chat = ada.post("b-echo").json()["createdChatId"]
        for sub in (one, other):
            event = sub.event()
            assert (event["type"], event["broadcastId"]) == ("new-text-chat", "b-echo")
            assert event["chat"]["_id"] == chat
            assert event["chat"]["range"] == ada.body()["range"]
        ada.delete(chat, "b-echo-2")
        assert one.event()["broadcastId"] == other.event()["broadcastId"] == "b-echo-2"


def test_a_request_without_broadcast_id_gets_one(ada: Legacy) -> None:
    body = ada.body()
    del body["broadcastId"]
    chat = ada.http.post(CHATS, params=ada.who, json=body).json()["createdChatId"]
    ada.http.request("DELETE", f"{CHATS}/{chat}", params=ada.who)
    new, gone = ada.log()
    assert new["broadcastId"]
    assert gone["broadcastId"]
    assert new["broadcastId"] != gone["broadcastId"]


def test_a_post_that_is_repeated_makes_one_annotation(ada: Legacy) -> None:
    first = ada.post("gesture-1").json()["createdChatId"]
    again = ada.post("gesture-1")
    assert (again.status_code, again.json()["createdChatId"]) == (200, first)
    assert len(ada.log()) == len(ada.listing()["conversations"]) == 1
    # another place under the same id, another person, and what is deleted by now are no repetition
    bob = {"user": "bob"}
    others = [
        ada.post("gesture-1", range="0:1,0:2{abc123}"),
        ada.http.post(CHATS, params=bob, json=ada.body("gesture-1")),
    ]
    ada.delete(first, "gesture-2")
    others.append(ada.post("gesture-1"))
    assert len({first, *(one.json()["createdChatId"] for one in others)}) == 4


def test_tracking_parameters_lead_to_the_same_page(ada: Legacy) -> None:
    url = f"https://a.example/{ada.page}/?b=1"
    ada.post(urlId=f"{url}&utm_source=mail")
    listed = ada.listing(f"{url}&fbclid=7")
    assert listed["urlIdClean"] == url
    assert len(listed["conversations"]) == 1
    assert len(ada.log(page=f"{url}&gclid=1")) == 1


# -- who may ----------------------------------------------------------------------------------------


def test_only_the_creator_deletes_on_an_open_tenant(ada: Legacy) -> None:
    chat = ada.post().json()["createdChatId"]
    eve = Legacy(ada.server, ada.page, "eve")
    with eve.http:
        answer = eve.delete(chat, "b-eve")
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"
        assert answer.json()["status"] == "failed"
        assert answer.json()["reason"] == answer.json()["message"]
    assert len(ada.listing()["conversations"]) == 1
    assert ada.delete("nobody-knows-it", "b").status_code == 404
    assert ada.delete(chat, "b-ada").status_code == 200
    assert ada.delete(chat, "b-ada").status_code == 404


def test_an_anonymous_visitor_is_known_again_by_her_cookie(shared: RealServer) -> None:
    visitor = Legacy(shared, next(PAGES))
    with visitor.http:
        user = visitor.listing()["user"]["id"]
        assert user.startswith("anon:")
        chat = visitor.post().json()["createdChatId"]
        assert visitor.listing()["conversations"][0]["userId"] == user
        assert visitor.delete(chat, "b").status_code == 200


def test_simple_sso_names_the_user(ada: Legacy) -> None:
    for sso in ({"username": "grace"}, {"simpleSSOUser": {"username": "grace"}}):
        answer = ada.http.get(CHATS, params={"urlId": ada.page, "sso": json.dumps(sso)})
        assert answer.json()["user"]["id"] == "grace"


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/comment-collab-chats/nobody", {"urlId": "any"}, 404),
        (CHATS, {}, 400),
        (CHATS, {"urlId": "any", "sso": "{"}, 400),
        ("/event-log/nobody", {"urlId": "any"}, 404),
    ],
)
def test_faults_have_both_published_shapes(
    ada: Legacy, path: str, params: dict[str, str], status: int
) -> None:
    answer = ada.http.get(path, params=params)
    assert answer.status_code == status
    assert {"status", "code", "reason", "message"} <= answer.json().keys()


def test_a_wrong_body_is_named_and_changes_nothing(ada: Legacy) -> None:
    assert "range" in ada.post(range="nonsense").json()["reason"]
    assert ada.http.post(CHATS, params=ada.who, content=b"{").status_code == 400
    assert ada.http.post(CHATS, params=ada.who, content=b"x" * 100_000).status_code == 413
    assert ada.listing()["conversations"] == []
    assert ada.log() == []


@pytest.mark.parametrize("path", [CHATS, f"{CHATS}/", f"{CHATS}/x", "/event-log/demo/"])
def test_a_browser_on_another_site_may_ask(ada: Legacy, path: str) -> None:
    origin = "https://blog.example"
    asked = {"origin": origin, "access-control-request-method": "GET"}
    headers = ada.http.options(path, headers=asked).headers
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-credentials"] == "true"
    assert "content-type" in headers["access-control-allow-headers"]
    assert "DELETE" in headers["access-control-allow-methods"]
    answer = ada.http.get(f"{CHATS}/", params={"urlId": ada.page}, headers={"origin": origin})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)


# -- the socket -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["demo:{}", "demo%3A{}", "demo%253A{}", "{}", None])
def test_every_spelling_of_the_page_is_the_same_room(ada: Legacy, spelling: str | None) -> None:
    token = ada.listing()["urlIdWS"]
    assert quote(token, safe="") == token
    with ada.sub(spelling and spelling.format(ada.page)) as sub:
        ada.post("b-spelled")
        assert sub.event()["broadcastId"] == "b-spelled"


def test_a_page_of_another_tenant_is_refused(ada: Legacy) -> None:
    with ada.sub(f"other%3A{ada.page}") as sub:
        assert sub.closed() == 4403
    with ada.sub(tenant="nobody") as sub:
        assert sub.closed() == 4404


def test_a_text_ping_is_never_answered(ada: Legacy) -> None:
    with ada.sub() as sub:
        sub.until(lambda body: body["type"] == "p-u")
        sub.socket.send("ping")
        sub.socket.send("")
        sub.socket.ping().wait(SECONDS)
        ada.post("b-after-ping")
        assert sub.event()["broadcastId"] == "b-after-ping"


def test_people_are_counted_across_both_protocols(ada: Legacy, bob: YjsBrowser) -> None:
    with ada.sub() as first:
        here = first.until(lambda body: body.get("sc") == 2)
        assert isinstance(here["ts"], int)
        with ada.sub() as second:
            assert second.frame()["sc"] == 2  # the same person in another tab
        bob.disconnect()
        left = first.until(lambda body: "bob" in body.get("ul", ()))
        assert left["sc"] == 1
        bob.connect()
        joined = first.until(lambda body: "bob" in body.get("uj", ()))
        assert joined["sc"] == 2


def test_a_new_annotation_costs_a_legacy_subscriber_under_1000_bytes(
    ada: Legacy, bob: YjsBrowser
) -> None:
    annotation = "01936f5e-7c1a-7b3c-9d2e-0123456789ab"
    with ada.sub() as sub:
        annotate(bob, annotation, "550e8400-e29b-41d4-a716-446655440000", "c" * 200)
        assert sub.event()["type"] == "new-text-chat"
    assert sub.size + 4 < 1_000  # a WebSocket frame of this size has a header of 4 bytes


def test_a_subscriber_that_never_reads_is_cut_and_disturbs_nobody(
    start_server: StartServer, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[limits]\nping_s = 1.0\npong_s = 1.0\n")
    server = start_server(arguments=("--limits", "off", "--config", str(settings)))
    ada = Legacy(server, next(PAGES), "ada")
    gauge = b'crdt_chat_connections{channel="legacy"} '
    with ada.http, ada.sub() as reader, never_reading(server, ada.listing()["urlIdWS"]):
        large = {"exact": "字" * 2_000, "prefix": "字" * 200, "suffix": "字" * 200}
        sent = 0
        deadline = time.monotonic() + 60
        while sent < 150 or gauge + b"1.0" not in server.get("/metrics")[1]:
            assert time.monotonic() < deadline
            for _ in range(20):
                assert ada.post(f"b-{sent}", **large).status_code == 200
                assert reader.event()["broadcastId"] == f"b-{sent}"
                sent += 1


def test_a_large_offline_batch_reaches_a_subscriber_whole(ada: Legacy, bob: YjsBrowser) -> None:
    target = {"selector": [{"type": "TextQuoteSelector", "exact": "字" * 1_000}]}
    value = {"creator": "bob", "created": 1, "target": target}
    with ada.sub() as sub:
        bob.disconnect()
        for number in range(1_000):
            said = value | {"broadcastId": f"b{number}"}
            bob.transact([("set", "annotations", f"a{number}", said)])
        bob.connect()
        told = [sub.event() for _ in range(1_000)]
    assert {event["broadcastId"] for event in told} == {f"b{number}" for number in range(1_000)}
    stamps = [event["timestamp"] for event in told]
    assert stamps == sorted(set(stamps))


# -- catching up ------------------------------------------------------------------------------------


def test_what_was_missed_while_the_server_was_killed_is_in_the_log(
    yjs: YjsPeers, server: RealServer
) -> None:
    ada = Legacy(server, next(PAGES), "ada")
    bob = yjs.browser("bob", server.ws(), ada.page, user="bob").wait(synced=True)
    with ada.http:
        with ada.sub() as sub:
            annotate(bob)
            seen = sub.event()["timestamp"]
            server.kill()
        server.start()
        bob.wait(synced=True)
        ada.post("b-missed")
        with ada.sub() as sub:
            delete(bob)
            sub.until(lambda body: body.get("broadcastId") == "b-gone")
        found = {event["broadcastId"]: event for event in ada.log(seen, endTime=1)}
        assert found["b-missed"]["type"] == "new-text-chat"
        assert found["b-gone"]["type"] == "deleted-text-chat"
        assert min(found[told]["timestamp"] for told in ("b-missed", "b-gone")) > seen
        stamps = [event["timestamp"] for event in ada.log()]
        assert stamps == sorted(set(stamps))


def test_a_stopping_server_says_so(server: RealServer) -> None:
    ada = Legacy(server, next(PAGES), "ada")
    with ada.http, ada.sub() as sub:
        server.stop()
        assert sub.closed() == 1012


def test_nothing_that_was_deleted_comes_back_out_of_the_log(ada: Legacy, bob: YjsBrowser) -> None:
    with ada.sub() as sub:
        annotate(bob, body="regretted")
        sub.event()
        delete(bob)
        sub.event()
    answer = ada.http.get("/event-log/demo", params={"urlId": ada.page, "userIdWS": "anon"})
    assert "b-new" in answer.text
    assert "regretted" not in answer.text
    assert "qqq" not in answer.text


@pytest.mark.parametrize("start", ["", "nonsense", "-1", "1e9", "9" * 15])
def test_the_log_does_not_fail_on_a_strange_start(ada: Legacy, start: str) -> None:
    ada.post()
    params = {"urlId": ada.page, "userIdWS": "anon", "startTime": start}
    body = ada.http.get("/event-log/demo", params=params).json()
    assert (body["status"], len(body["events"])) == ("success", 1)
