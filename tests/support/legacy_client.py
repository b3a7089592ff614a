"""A legacy client of the real server: its requests, its `/sub` socket, and what Bob does beside it."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import httpx
from server import RealServer
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from yjs_peer import YjsBrowser

Json = Any
PAGES = (f"article-{number}" for number in count(1))
CHATS = "/comment-collab-chats/demo"


class Sub:
    """A `/sub` socket. size is that of the last frame in bytes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.size = 0

    def frame(self) -> dict[str, Json]:
        """The next frame of any type."""
        raw = self.socket.recv(timeout=PATIENCE_S)
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
                self.socket.recv(timeout=PATIENCE_S)
        assert self.socket.close_code is not None
        return self.socket.close_code


class Legacy:
    """A legacy client of the open tenant `demo`, on one page of it."""

    def __init__(self, server: RealServer, page: str, user: str = "") -> None:
        self.server = server
        self.page = page
        self.http = httpx.Client(base_url=server.http, timeout=PATIENCE_S)
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
