"""Sockets that are too many, silent, half open or crafted: they cost little, and nobody else notices."""

import contextlib
import http.client
import json
import resource
import socket as sockets
import struct
import time
from collections.abc import Iterator

import pytest
from entries import annotation, comment, fresh
from pycrdt import Map
from raw_client import raw_client
from server import HOST, RealServer, StartServer, running_server
from small_server import (
    annotation_of,
    comes_in,
    dialled,
    frame_head,
    here,
    present,
    told,
    upgraded,
)
from waiting import PATIENCE_S, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def test_deflate_is_not_spoken(small):
    with dialled(small) as raw:
        head = upgraded(small, f"/ws/demo/{fresh('page')}", raw)
        assert b"sec-websocket-extensions" not in head.lower()
        raw.sendall(bytes([0xC2, 0x81]) + b"\0" * 5)  # a compressed frame
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := raw.recv(4096):
                answer += piece
        assert struct.pack(">H", 1002) in answer


def test_connections_of_one_user_on_whatever_pages(small):
    user = fresh("user")
    with contextlib.ExitStack() as stack:
        tabs = [stack.enter_context(here(small, fresh("page"), user)) for _ in range(3)]
        with raw_client(small.ws(), fresh("page"), user) as fourth:
            assert fourth.closed() == 1013
        with here(small, fresh("page"), fresh("user")):
            pass
        tabs[0].socket.close()
        until(lambda: comes_in(small, fresh("page"), user))


def test_connections_on_one_page(small):
    page = fresh("page")
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(here(small, page))
        with raw_client(small.ws(), page, fresh("user")) as sixth:
            assert sixth.closed() == 1013


def test_connections_from_one_address_whatever_they_speak(start_server: StartServer):
    server = start_server(arguments=told({"limits.connections_per_address": 4}))
    legacy = f"{server.http.replace('http', 'ws')}/sub?tenantIdWS=demo&urlId=p"
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(here(server, "p"))
            stack.enter_context(connect(f"{legacy}&userIdWS={fresh('user')}"))
        with raw_client(server.ws(), "p", "eve") as fifth:
            assert fifth.closed() == 1013
        with connect(f"{legacy}&userIdWS=eve") as socket:
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=PATIENCE_S)
            assert socket.close_code == 1013
    until(lambda: comes_in(server, "p", "eve"))


def test_a_socket_that_does_not_answer_pings_is_gone(start_server: StartServer):
    # How soon: tests/unit/server/test_sockets.py. Whoever answers may have stood still for some seconds.
    limits = {"limits.ping_s": 0.5, "limits.pong_s": 5, "limits.presence_grace_s": 0.2}
    server = start_server(arguments=told(limits))
    with here(server, "p") as ada, dialled(server) as silent:
        upgraded(server, f"/ws/demo/p?user={fresh('user')}", silent)
        while present(ada) != 2:
            ada.read()
        while present(ada) != 1:
            ada.read()
        ada.write(("annotations", "a1", annotation_of(ada)))
        ada.flush()


HALVES = (
    b"",
    b"GET /heal",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
    b"POST /comment-collab-chats/demo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    b"GET /ws/demo/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n",
)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that gives a request two seconds to arrive."""
    folder = tmp_path_factory.mktemp("hasty")
    with running_server(folder, arguments=told({"limits.request_s": 2})) as running:
        yield running


def test_half_a_request_is_not_waited_for(hasty):
    with contextlib.ExitStack() as stack:
        waiting = {part: stack.enter_context(dialled(hasty)) for part in HALVES}
        for part, raw in waiting.items():
            raw.sendall(part)
            raw.settimeout(0.05)
        began = time.monotonic()
        while waiting:
            assert time.monotonic() - began < PATIENCE_S, f"still waited for: {list(waiting)}"
            for part, raw in list(waiting.items()):
                # A byte now and then makes no difference.
                with contextlib.suppress(ConnectionError):
                    if part and not part.endswith(b"/1.1\r\n"):
                        raw.sendall(b"a")
                if has_ended(raw):
                    del waiting[part]


def has_ended(raw: sockets.socket) -> bool:
    """Whether the connection has ended by now."""
    with contextlib.suppress(ConnectionError):
        try:
            while raw.recv(65_536):
                pass
        except TimeoutError:
            return False
    return True


def test_a_request_on_a_kept_connection_has_its_own_time(hasty):
    kept = http.client.HTTPConnection(HOST, hasty.port, timeout=PATIENCE_S)
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b'{"status":"ok"}'
        time.sleep(0.5)
    kept.close()


@pytest.fixture
def many_files() -> int:
    """Raise the number of files that this process and its children may open; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(4_096, hard) if hard != resource.RLIM_INFINITY else 4_096
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def test_a_thousand_strangers_cost_little(many_files, start_server: StartServer):
    count = min(1_000, many_files // 3)
    server = start_server(tenants=("lab",), arguments=["--log-level", "warning"])
    server.get("/healthz")
    before = server.memory()
    with contextlib.ExitStack() as stack:
        for number in range(count):
            raw = stack.enter_context(dialled(server))
            if number % 3 == 0:
                raw.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 4_000)
            elif number % 3 == 1:
                # Nobody's tenant: told 4404, and stays to send half of the largest frame there is.
                upgraded(server, f"/ws/nobody/{number}", raw)
                raw.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    raw.send(frame_head(16 * 2**20 - 100) + b"\0" * 500_000)
        assert server.get("/healthz")[0] == 200
        used = server.memory() - before
        assert used < 60 * 2**20, f"{used / 2**20:.0f} MiB for {count} strangers"
        with raw_client(server.ws("lab"), "p", "ada") as honest:
            honest.handshake()


def test_the_open_messages_of_strangers_are_not_kept(small):
    before = small.memory()
    with contextlib.ExitStack() as stack:
        for number in range(10):
            raw = stack.enter_context(dialled(small))
            upgraded(small, f"/ws/nobody/{number}", raw)
            with contextlib.suppress(TimeoutError, ConnectionError):
                # Fragments of two bytes, never the last one: a list of them takes 20 times as much.
                parts = bytes([0x00, 0x82]) + b"\0" * 6
                raw.sendall(bytes([0x02, 0x82]) + b"\0" * 6 + parts * 31_000)
        until(lambda: small.get("/healthz")[0] == 200)
        assert small.memory() - before < 8 * 2**20


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /static/..%2f..%2fpyproject.toml HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /static/../settings.py HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /event-log/demo/%2e%2e/x?urlId=%0d%0aX:1 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"%ff" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ws/demo/p HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
)
def test_no_head_or_path_is_echoed_redirected_or_believed(small, request_bytes):
    with dialled(small) as raw:
        with contextlib.suppress(ConnectionError):
            raw.sendall(request_bytes)
            raw.shutdown(sockets.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := raw.recv(65_536):
                answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"evil.example" not in answer
    assert b"[project]" not in body
    assert not [
        line for line in head.lower().split(b"\r\n") if line.startswith((b"location", b"set-c"))
    ]
    if answer:
        assert int(head.split()[1]) in (200, 400, 404, 426, 431), head
    assert small.get("/healthz")[0] == 200


CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    "path", [b"/api/v1/tickets?tenant=demo", b"/comment-collab-chats/demo", b"/no"]
)
@pytest.mark.parametrize(
    "chunk", [b"-1\r\nabc", b"zz\r\n", b"3\r\nabcdef\r\n", b"F" * 40 + b"\r\n"]
)
def test_a_body_that_breaks_is_answered_once_and_not_in_the_log(small, path, chunk, later):
    """With the head, before anybody has answered, and behind the answer; `small` must log no traceback."""
    with dialled(small) as raw:
        raw.settimeout(PATIENCE_S)
        if later:
            raw.sendall(CHUNKED % path)
            # Who asks for the body is not answered before it; who does not, is.
            raw.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                assert raw.recv(65_536, sockets.MSG_PEEK).startswith(b"HTTP/1.1 4")
            raw.settimeout(PATIENCE_S)
            with contextlib.suppress(ConnectionError):
                raw.sendall(chunk)
        else:
            raw.sendall(CHUNKED % path + chunk)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := raw.recv(65_536):
                answer += piece
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert answer.startswith(b"HTTP/1.1 4")
    log = small.log()
    assert "Traceback" not in log, log[-2_000:]
    assert "Fatal" not in log, log[-2_000:]


SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`${7*7}{{7*7}}\u2028</textarea>"


def test_scripts_are_carried_as_data_and_come_out_as_data(small):
    page = fresh("page") + "<b onmouseover=alert(1)>"
    quoted = page.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    with here(small, quoted, user := fresh("user")) as client:
        value = annotation(user, exact=SCRIPT, title=SCRIPT)
        client.write(("annotations", "a1", value), ("comments", "a1/c1", comment(user, SCRIPT)))
        client.flush()
        with here(small, quoted) as reader:
            assert reader.doc.get("comments", type=Map).to_py()["a1/c1"]["body"] == SCRIPT
        front = small.get("/")[1].decode()
        assert "<b onmouseover" not in front
        kept = http.client.HTTPConnection(HOST, small.port, timeout=PATIENCE_S)
        kept.request("GET", f"/comment-collab-chats/demo?urlId={quoted}&userIdWS={user}")
        answer = kept.getresponse()
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert SCRIPT in json.dumps(json.loads(answer.read()), ensure_ascii=False).replace(
            '\\"', '"'
        )
        kept.close()
