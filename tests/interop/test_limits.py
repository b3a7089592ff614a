"""What one client may send, at the edge of each limit: frames, batches, pages, vectors, rates."""

import contextlib
import json
import socket as sockets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from entries import annotation, comment, fresh
from raw_client import RawClient, raw_client
from server import RealServer, StartServer
from small_server import (
    BATCH,
    FRAME,
    annotation_of,
    dialled,
    frame_head,
    here,
    told,
    upgraded,
)
from websockets.exceptions import ConnectionClosed

from crdt_chat.page.vector import encode_vector
from crdt_chat.protocol import wire


def trickle(raw: sockets.socket) -> None:
    """Send a byte of its last part now and then until the connection is cut."""
    with contextlib.suppress(ConnectionError):
        raw.sendall(frame_head(BATCH - FRAME - 3_000, first=0x80))
        while True:
            raw.sendall(b"\0")
            time.sleep(0.1)


def test_a_later_frame_over_its_limit_is_4413_and_one_below_is_judged(small):
    with here(small, fresh("page")) as client:
        client.write(("annotations", "a1", annotation_of(client)))
        client.flush()
        client.send(wire.update(b"\x00" * FRAME))
        assert client.closed() == 4413


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


@contextlib.contextmanager
def lame(server: RealServer, page: str) -> Iterator[sockets.socket]:
    """Somebody whose large message has begun, as the server has seen."""
    with dialled(server) as raw:
        upgraded(server, f"/ws/demo/{page}?user={fresh('user')}", raw)
        # A ping may stand between the parts of a message, and its answer comes behind what was read.
        part = frame_head(FRAME + 1_000, first=0x02) + b"\0" * (FRAME + 1_000)
        raw.sendall(part + b"\x89\x84" + b"\0" * 4 + b"here")
        heard = b""
        while b"\x8a\x04here" not in heard:
            heard += raw.recv(4_096)
        yield raw


def test_large_batches_are_read_in_turn_and_small_frames_beside_them(small):
    page, user = fresh("page"), fresh("user")
    with lame(small, page) as first, raw_client(small.ws(), page, user) as patient:
        with here(small, fresh("page")) as other, contextlib.suppress(ConnectionClosed):
            patient.send(wire.step2(b"\xff" * (BATCH - 1_000)))
            other.write(("annotations", "a1", annotation_of(other)))
            other.flush()
        assert patient.socket.close_code is None, "it was read before the other was gone"
        first.close()
        assert patient.closed() == 4400


def test_a_large_batch_that_comes_too_slowly_is_cut(start_server: StartServer):
    limits = {"limits.large_frames_bytes": BATCH, "limits.first_batch_bytes": BATCH}
    server = start_server(
        arguments=told(limits | {"limits.frame_bytes": FRAME, "limits.large_frame_s": 1})
    )
    with lame(server, "p") as first, raw_client(server.ws(), "p", "ada") as patient:
        drip = threading.Thread(target=trickle, args=(first,))
        drip.start()
        patient.send(wire.step2(b"\xff" * (BATCH - 1_000)))
        assert patient.closed() == 4400
        drip.join()


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
        # Five in a second; however long she herself took to send them.
        assert len(heard) < 100
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


def test_too_fast_is_later_and_never_lost(start_server: StartServer):
    server = start_server(
        arguments=told({"limits.operations_per_s": 50, "limits.operations_burst": 20})
    )
    with here(server, "p", "ada") as ada, here(server, "p", "bob") as bob:
        began = time.monotonic()
        for number in range(80):
            ada.write(("annotations", f"a{number}", annotation("ada")))
        ada.flush()
        assert time.monotonic() - began >= 1.0
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
def test_a_flood_of_empty_frames_leaves_time_for_the_others(small, kind, tenant):
    with dialled(small) as raw:
        upgraded(small, f"/ws/{tenant}/{fresh('page')}?user={fresh('user')}", raw)
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
                assert small.get("/healthz")[0] == 200
            over.set()
        assert time.monotonic() - began < 30, "others had to wait"
