"""Every limit of the settings at its edge, on a real server: what is over it, and who else notices."""

import contextlib
import http.client
import json
import resource
import socket as sockets
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from entries import annotation, comment, fresh
from pycrdt import Map
from raw_client import RawClient, raw_client
from server import HOST, RealServer, StartServer, running_server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from crdt_chat.page.vector import encode_vector
from crdt_chat.protocol import wire

FRAME, BATCH = 20_000, 200_000
SMALL = {
    "limits.frame_bytes": FRAME,
    "limits.first_batch_bytes": BATCH,
    "limits.large_frames_bytes": BATCH,
    "limits.large_frame_s": 2,
    "limits.unknown_client_ids": 5,
    "limits.awareness_bytes": 300,
    "limits.awareness_per_s": 5,
    "limits.connections_per_user": 3,
    "limits.connections_per_page": 5,
    "limits.request_s": 1,
    "limits.ping_s": 0.5,
    "limits.pong_s": 0.5,
    "limits.presence_grace_s": 0.2,
    "page.annotations": 3,
    "page.comments": 4,
}


def told(settings: dict[str, Any]) -> list[str]:
    """The command line of these settings."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server with small limits: tests use pages and users of their own."""
    folder = tmp_path_factory.mktemp("small")
    with running_server(folder, arguments=told(SMALL)) as running:
        yield running


@contextlib.contextmanager
def here(server: RealServer, page: str, user: str | None = None) -> Iterator[RawClient]:
    """A client with our control frames that has had its step 2 and said what it has."""
    with raw_client(server.ws(), page, user or fresh("user")) as client:
        client.handshake()
        client.flush()
        yield client


def reset_by_peer(raw: sockets.socket) -> bool:
    """Read until the connection ends."""
    with contextlib.suppress(ConnectionError):
        while raw.recv(65_536):
            pass
    return True


def trickle(raw: sockets.socket) -> None:
    """Send a byte now and then until the connection is cut."""
    with contextlib.suppress(ConnectionError):
        while True:
            raw.sendall(b"\0")
            time.sleep(0.1)


def dialled(server: RealServer) -> sockets.socket:
    """A TCP connection that has said nothing."""
    return sockets.create_connection((HOST, server.port), timeout=10)


def upgraded(server: RealServer, path: str, raw: sockets.socket) -> bytes:
    """Ask for a WebSocket by hand; the head of the answer."""
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += raw.recv(1)
    return head


def frame_head(size: int, first: int = 0x82) -> bytes:
    """The head of a masked frame, its mask nothing."""
    return bytes([first, 0xFF]) + struct.pack(">Q", size) + b"\0" * 4


# Frames


def test_a_later_frame_over_its_limit_is_4413_and_one_below_is_judged(small):
    with here(small, fresh("page")) as client:
        client.write(("annotations", "a1", annotation_of(client)))
        client.flush()
        client.send(wire.update(b"\x00" * FRAME))
        assert client.closed() == 4413


def annotation_of(client: RawClient, **more: Any) -> Any:
    """A good annotation of this client's user."""
    return annotation(client.user, **more)


@pytest.mark.parametrize("fragments", [1, 60])
def test_an_offline_batch_may_be_large_and_not_larger(small, fragments):
    for size, code in ((BATCH - 100, 4400), (BATCH + 1, 4413)):
        with raw_client(small.ws(), fresh("page"), fresh("user")) as client:
            # A step 2 whose content is nonsense is judged, so it was read.
            message = wire.step2(b"\xff" * size)
            step = -(-len(message) // fragments)
            parts = [message[at : at + step] for at in range(0, len(message), step)]
            with contextlib.suppress(ConnectionClosed):
                client.socket.send(parts if fragments > 1 else message)
            assert client.closed() == code


def test_only_a_batch_may_be_large(small):
    for message in (wire.update(b"\0" * FRAME), b"\x01" + b"\0" * FRAME):
        with raw_client(small.ws(), fresh("page"), fresh("user")) as client:
            client.send(message)
            assert client.closed() == 4413


def test_large_batches_are_read_in_turn_and_a_lame_one_is_cut(small):
    page, user = fresh("page"), fresh("user")
    with dialled(small) as lame, raw_client(small.ws(), page, user) as patient:
        upgraded(small, f"/ws/demo/{page}?user={fresh('user')}", lame)
        lame.sendall(frame_head(BATCH - 1000) + b"\0" * (FRAME + 1_000))
        drip = threading.Thread(target=trickle, args=(lame,))
        drip.start()
        time.sleep(0.2)  # the server has seen it, and nothing tells us so
        began = time.monotonic()
        body = wire.step2(b"\xff" * (BATCH - 1_000))
        with here(small, fresh("page")) as other, contextlib.suppress(ConnectionClosed):
            patient.send(body)
            other.write(("annotations", "a1", annotation_of(other)))
            other.flush()
            assert time.monotonic() - began < 1, "somebody with small frames had to wait"
        assert patient.closed() == 4400
        assert time.monotonic() - began > 1, "it was read before the other was gone"
        drip.join()


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


# What a page holds


def test_a_full_page_refuses_with_its_reason_and_keeps_the_rest(small):
    with here(small, fresh("page"), user := fresh("user")) as client:
        for number in range(3):
            client.write(("annotations", f"a{number}", annotation(user)))
        for number in range(4):
            client.write(("comments", f"a0/c{number}", comment(user)))
        client.flush()
        assert [body for body in client.controls if body["type"] == "refused"] == []
        client.write(("annotations", "a3", annotation(user)), ("comments", "a0/c4", comment(user)))
        client.flush()
        refused = [body for body in client.controls if body["type"] == "refused"][-1]
        rules = {told["key"]: (told["rule"], told["reason"]) for told in refused["operations"]}
        assert rules == {
            "annotations/a3": ("limit", "The page is full."),
            "comments/a0/c4": ("limit", "The page is full."),
        }
        client.write(("comments", "a0/c0", comment(user, "still mine")))
        client.flush()
        assert client.controls[-1]["type"] == "saved"


def test_a_state_over_its_limit_takes_no_more(start_server: StartServer):
    server = start_server(arguments=told({"page.state": 30_000}))
    with here(server, "p", "ada") as ada, here(server, "p", "bob") as bob:
        ada.write(("annotations", "a1", annotation("ada")))
        for number in range(5):
            ada.write(("comments", f"a1/c{number}", comment("ada", "x" * 9_000)))
        ada.flush()
        refused = [body for body in ada.controls if body["type"] == "refused"]
        assert {told["rule"] for body in refused for told in body["operations"]} == {"limit"}
        while len(bob.names("comments")) < 3:
            bob.read()
        assert bob.names("comments") == {"a1/c0", "a1/c1", "a1/c2"}


# State vectors, awareness


@pytest.mark.parametrize(
    ("vector", "code"),
    [
        (encode_vector(dict.fromkeys(range(1_000, 1_006), 1)), 4400),
        (encode_vector(dict.fromkeys(range(1_000, 2_500), 2**53 - 1)), 4400),
        (b"\xff\xff\xff\xff\xff\xff\xff\x0f", 4400),
        (b"\x05\x01", 4400),
    ],
)
def test_a_state_vector_beyond_reason(small, vector, code):
    with raw_client(small.ws(), fresh("page"), fresh("user")) as client:
        client.send(wire.step1(vector))
        assert client.closed() == code


def test_a_state_vector_with_a_few_strangers_is_answered(small):
    with raw_client(small.ws(), fresh("page"), fresh("user")) as client:
        client.send(wire.step1(encode_vector(dict.fromkeys(range(1_000, 1_005), 1))))
        while not isinstance(client.read(), wire.SyncStep2):
            pass


def states(client: RawClient, number: int, until: Any = None) -> list[Any]:
    """What is heard of this client id's state, until it is `until`."""
    found: list[Any] = []
    while until is None or until not in found:
        message = client.read()
        if isinstance(message, wire.Awareness):
            found += [json.loads(e.state).get("n") for e in message.entries if e.client == number]
    return found


def say(client: RawClient, number: int, **state: Any) -> None:
    """One awareness frame about `number`."""
    entry = wire.AwarenessEntry(number, 1, json.dumps(state, ensure_ascii=False))
    client.send(wire.awareness_of([wire.encode_entry(entry)]))


def test_a_flood_of_awareness_arrives_thinned_with_the_newest(small):
    page = fresh("page")
    with here(small, page) as ada, here(small, page) as bob:
        for number in range(200):
            say(ada, ada.doc.client_id, n=number)
        heard = states(bob, ada.doc.client_id, 199)
        assert len(heard) < 30
        assert heard == sorted(heard)


def test_an_awareness_state_over_its_limit_in_bytes_is_dropped(small):
    page = fresh("page")
    with here(small, page) as ada, here(small, page) as bob:
        say(ada, ada.doc.client_id, n=1)
        assert states(bob, ada.doc.client_id, 1)[-1] == 1
        say(ada, ada.doc.client_id, n=2, text="é" * 150)
        time.sleep(0.3)  # or the third, inside the rate, would take its place
        say(ada, ada.doc.client_id, n=3)
        assert states(bob, ada.doc.client_id, 3) == [3]


def test_who_asks_who_is_here_without_reading_fills_no_memory(small):
    page = fresh("page")
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            crowd = stack.enter_context(here(small, page))
            say(crowd, crowd.doc.client_id, text="x" * 200)
        before = small.memory()
        with dialled(small) as deaf:
            upgraded(small, f"/ws/demo/{page}?user={fresh('user')}", deaf)
            deaf.settimeout(1)
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(200):
                    deaf.sendall((bytes([0x82, 0x81]) + b"\0\0\0\0" + wire.QUERY) * 1_000)
            assert small.memory() - before < 20 * 2**20


# Rates


def test_too_fast_is_later_and_never_lost(start_server: StartServer):
    server = start_server(
        arguments=told({"limits.operations_per_s": 50, "limits.operations_burst": 20})
    )
    with here(server, "p", "ada") as ada, here(server, "p", "bob") as bob:
        began = time.monotonic()
        for number in range(80):
            ada.write(("annotations", f"a{number}", annotation("ada")))
        ada.flush()
        assert 1.0 <= time.monotonic() - began < 5
        while len(bob.names("annotations")) < 80:
            bob.read()


def test_too_fast_for_too_long_is_4529(start_server: StartServer):
    rate = {"limits.operations_per_s": 20, "limits.operations_burst": 5}
    server = start_server(arguments=told(rate | {"limits.rate_patience_s": 1}))
    with here(server, "p", "ada") as ada, here(server, "p", "bob") as bob:
        with contextlib.suppress(ConnectionClosed):
            for number in range(200):
                ada.write(("annotations", f"a{number}", annotation("ada")))
        assert ada.closed() == 4529
        bob.write(("annotations", "b1", annotation("bob")))
        bob.flush()


def test_bytes_that_say_nothing_new_count_too(start_server: StartServer):
    rate = {"limits.operations_per_s": 20, "limits.operations_burst": 20}
    server = start_server(arguments=told(rate | {"limits.rate_patience_s": 0.5}))
    with here(server, "p", "ada") as ada:
        ada.write(("annotations", "a1", annotation("ada")))
        ada.write(("comments", "a1/c1", comment("ada", "x" * 9_900)))
        ada.flush()
        again = wire.update(ada.doc.get_update())
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):
                ada.send(again)
        assert ada.closed() == 4529


EMPTY = {
    "pings": b"\x89\x80" + b"\0" * 4,
    "parts": b"\x00\x80" + b"\0" * 4,
    "messages": b"\x82\x81" + b"\0" * 4 + b"\x02",
}


@pytest.mark.parametrize("tenant", ["demo", "nobody"])
@pytest.mark.parametrize("kind", EMPTY)
def test_a_flood_of_empty_frames_leaves_time_for_the_others(server, kind, tenant):
    with dialled(server) as raw:
        upgraded(server, f"/ws/{tenant}/p?user=ada", raw)
        raw.settimeout(0.5)
        over = threading.Event()

        def flood() -> None:
            with contextlib.suppress(ConnectionError):
                raw.sendall(b"\x02\x80" + b"\0" * 4 if kind == "parts" else b"")
                while not over.is_set():
                    with contextlib.suppress(TimeoutError):
                        raw.sendall(EMPTY[kind] * 5_000)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(flood)
            began = time.monotonic()
            for _ in range(20):
                assert server.get("/healthz")[0] == 200
            over.set()
        assert time.monotonic() - began < 3, "others had to wait"


# Readers


@contextlib.contextmanager
def slow_reader(server: RealServer, page: str) -> Iterator[RawClient]:
    """A client whose kernel takes little for it; the library behind it reads only when told to."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    raw.connect((HOST, server.port))
    address = f"{server.ws()}/{page}?user=slow&caps=crdt-chat.1"
    with connect(address, sock=raw, compression=None, max_size=2**26, max_queue=1) as socket:
        client = RawClient(socket)
        client.handshake()
        client.flush()
        yield client


def rewrite(writer: RawClient, turns: int) -> None:
    """Edit one comment again and again."""
    for turn in range(turns):
        writer.write(("comments", "a1/c1", comment("ada", f"{turn} " + "x" * 9_000)))
        if turn % 20 == 19:
            writer.flush()
    writer.flush()


def test_a_slow_reader_is_given_one_merge_and_a_deaf_one_is_cut(start_server: StartServer):
    limits = {
        "limits.outbox_bytes": 100_000,
        "limits.outbox_patience_s": 1.5,
        "limits.presence_grace_s": 0.2,
    }
    server = start_server(arguments=["--limits", "off", *told(limits)])
    with here(server, "p", "ada") as ada:
        ada.write(("annotations", "a1", annotation("ada")), ("comments", "a1/c1", comment("ada")))
        ada.flush()
        with slow_reader(server, "p") as slow:
            rewrite(ada, 800)
            frames = 0
            while slow.doc.get("comments", type=Map).to_py() != ada_comments(ada):
                slow.read()
                frames += 1
            assert frames < 790, "nothing was left out"
        with slow_reader(server, "p") as deaf:
            for number in range(1_200):  # more than the kernels take for it
                body = f"{number} " + "x" * 9_000
                ada.write(("comments", f"a1/d{number}", comment("ada", body)))
            ada.flush()
            while present(ada) > 1:
                ada.read()
            deaf.drain()
            assert deaf.socket.close_code in (None, 1006)


def ada_comments(ada: RawClient) -> Any:
    """What the writer has."""
    return ada.doc.get("comments", type=Map).to_py()


def present(client: RawClient) -> int:
    """How many people there are, as last told."""
    counts = [body["count"] for body in client.controls if body["type"] == "presence"]
    return counts[-1] if counts else 0


@pytest.mark.parametrize("share", [1, 2**28])
def test_states_that_share_little_memory_reach_everybody(start_server: StartServer, share):
    server = start_server(arguments=told({"limits.state_frames_bytes": share}))
    with here(server, "p", "ada") as ada:
        ada.write(("annotations", "a1", annotation("ada")))
        for number in range(20):
            ada.write(("comments", f"a1/c{number}", comment("ada", "x" * 9_000)))
        ada.flush()
        with deaf_reader(server, "p") as deaf:
            with contextlib.ExitStack() as stack:
                crowd = [stack.enter_context(here(server, "p")) for _ in range(10)]
                assert all(len(client.names("comments")) == 20 for client in crowd)
            assert deaf.recv(1)


@contextlib.contextmanager
def deaf_reader(server: RealServer, page: str) -> Iterator[sockets.socket]:
    """Somebody who asks for the state; the kernel takes it, nobody reads it."""
    with dialled(server) as raw:
        upgraded(server, f"/ws/demo/{page}?user=deaf", raw)
        ask = wire.step1(b"\0")
        raw.sendall(bytes([0x82, 0x80 | len(ask)]) + b"\0\0\0\0" + ask)
        yield raw


def test_a_full_commit_queue_delays_and_loses_nothing(start_server: StartServer):
    server = start_server(arguments=told({"limits.commit_queue_updates": 1}))
    with contextlib.ExitStack() as stack:
        users = [fresh("user") for _ in range(8)]
        clients = [stack.enter_context(here(server, "p", user)) for user in users]

        def work(client: RawClient, user: str) -> None:
            for number in range(20):
                client.write(("annotations", f"{user}-{number}", annotation(user)))
            client.flush()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, clients, users))
        with here(server, "p") as late:
            assert len(late.names("annotations")) == 160


# How many


def test_connections_of_one_user_on_whatever_pages(small):
    user = fresh("user")
    with contextlib.ExitStack() as stack:
        tabs = [stack.enter_context(here(small, fresh("page"), user)) for _ in range(3)]
        with raw_client(small.ws(), fresh("page"), user) as fourth:
            assert fourth.closed() == 1013
        with here(small, fresh("page"), fresh("user")):
            pass
        tabs[0].socket.close()
        wait_for(lambda: comes_in(small, fresh("page"), user))


def comes_in(server: RealServer, page: str, user: str) -> bool:
    """Whether the server takes this visitor now."""
    with raw_client(server.ws(), page, user) as client:
        try:
            client.handshake()
        except ConnectionClosed:
            return False
        return True


def wait_for(condition: Any, seconds: float = 5.0) -> None:
    """Try until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"


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
                socket.recv(timeout=5)
            assert socket.close_code == 1013
    wait_for(lambda: comes_in(server, "p", "eve"))


# Silence


def test_a_socket_that_does_not_answer_pings_is_gone(small):
    page = fresh("page")
    with here(small, page) as ada, dialled(small) as silent:
        upgraded(small, f"/ws/demo/{page}?user={fresh('user')}", silent)
        while present(ada) != 2:
            ada.read()
        began = time.monotonic()
        while present(ada) != 1:
            ada.read()
        assert time.monotonic() - began < 3
        ada.write(("annotations", "a1", annotation_of(ada)))
        ada.flush()


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET /heal",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /comment-collab-chats/demo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"GET /ws/demo/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n",
    ],
)
def test_half_a_request_is_not_waited_for(small, part):
    with dialled(small) as raw:
        began = time.monotonic()
        raw.sendall(part)
        for letter in b"abcdefgh":
            # A byte now and then makes no difference.
            with contextlib.suppress(ConnectionError):
                if part and not part.endswith(b"/1.1\r\n"):
                    raw.sendall(bytes([letter]))
            raw.settimeout(0.3)
            try:
                if not raw.recv(4_096):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        raw.settimeout(5)
        assert reset_by_peer(raw)
        assert time.monotonic() - began < 7


def test_a_request_on_a_kept_connection_has_its_own_time(small):
    kept = http.client.HTTPConnection(HOST, small.port, timeout=5)
    for _ in range(3):
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b'{"status":"ok"}'
        time.sleep(0.6)
    kept.close()


# Crowds of strangers


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
        wait_for(lambda: small.get("/healthz")[0] == 200)
        assert small.memory() - before < 8 * 2**20


# Tricks with heads and paths


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
        kept = http.client.HTTPConnection(HOST, small.port, timeout=5)
        kept.request("GET", f"/comment-collab-chats/demo?urlId={quoted}&userIdWS={user}")
        answer = kept.getresponse()
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert SCRIPT in json.dumps(json.loads(answer.read()), ensure_ascii=False).replace(
            '\\"', '"'
        )
        kept.close()
