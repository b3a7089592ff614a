"""The six promises of README, each once from end to end; docs/testing.md names what else holds them."""

import contextlib
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from contents import canonical
from entries import annotation, comment, fresh, thread
from raw_client import RawClient, raw_client
from server import RealServer, StartServer
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from yjs_peer import YjsPeers

import crdt_chat
from crdt_chat.protocol import wire

CORPUS = Path(__file__).parents[1] / "data" / "panic-corpus.txt"
SECRET = "what nobody but its author may ever read"
FRAME_HEADERS = 8 + 4
"""WebSocket headers of one masked frame up and one unmasked frame down, 126 to 65,535 bytes each."""


def annotate(client: RawClient, user: str, body: str = "a comment") -> str:
    """Write an annotation with its first comment; returns its id."""
    name = fresh("a")
    entries = (
        ("annotations", name, annotation(user)),
        ("comments", f"{name}/c1", comment(user, body)),
    )
    client.write(*entries)
    return name


def read_until(client: RawClient, reached: Callable[[], bool]) -> None:
    while not reached():
        client.read()


def test_promise_1_nothing_acknowledged_is_lost(server: RealServer) -> None:
    """Neither what was called saved nor what somebody else saw, when the server is killed."""
    with raw_client(server.ws(), "p", "ada") as ada, raw_client(server.ws(), "p", "bob") as bob:
        ada.handshake()
        bob.handshake()
        written = {}
        for _ in range(40):
            name = annotate(ada, "ada")
            written[ada.sent] = name
        read_until(bob, lambda: len(bob.names("annotations")) >= 5)
        server.kill()
        ada.drain()
        bob.drain()
        saved = {name for frame, name in written.items() if frame <= ada.saved}
        seen = bob.names("annotations")
    server.start()
    with raw_client(server.ws(), "p", "late") as late:
        late.handshake()
        assert len(seen) >= 5
        assert saved | seen <= late.names("annotations")


@pytest.mark.node
def test_promise_2_everyone_converges(server: RealServer, yjs: YjsPeers) -> None:
    """A browser, a program and one who comes late, after an outage in which everybody wrote."""
    browser = yjs.browser("browser", server.ws(), "p", user="ada", backoff=200).wait(synced=True)
    browser.transact(thread("ada", "a1"))
    address = server.http.replace("http", "ws", 1)
    with crdt_chat.connect(address, page="demo/p", user="bob") as program:
        program.flush()
        server.kill()
        browser.transact(thread("ada", "a2", "written in the dark"))
        program.reply("a1", "so was this")
        program.annotate("a passage", "and this")
        server.start()
        program.flush()
        browser.wait(synced=True, count=("comments", 4))
        program.flush()
        late = yjs.browser("late", server.ws(), "p", user="eve").wait(count=("comments", 4))
        assert canonical(browser.content()) == canonical(late.content())
        bodies = {note.body for found in program.annotations for note in found.comments}
    assert bodies == {entry["body"] for entry in late.content()["comments"].values()}
    assert not browser.pending()


def test_promise_3_nothing_forbidden_leaves_the_server(server: RealServer) -> None:
    """Not to peers, not to the disk, not into events, metrics or logs."""
    heard = bytearray()
    with raw_client(server.ws(), "p", "ada") as ada, raw_client(server.ws(), "p", "eve") as eve:
        ada.handshake()
        eve.handshake()
        name = annotate(ada, "ada")
        read_until(eve, lambda: name in eve.names("annotations"))
        eve.write(("comments", f"{name}/c1", comment("ada", SECRET)))
        eve.write(("comments", f"{name}/c2", comment("ada", SECRET)))
        eve.write(("nowhere", "x", SECRET))
        honest = annotate(eve, "eve")
        while honest not in ada.names("annotations"):
            raw = ada.socket.recv(timeout=PATIENCE_S)
            assert isinstance(raw, bytes)
            heard += raw
            match wire.decode(raw):
                case wire.Update(update) | wire.SyncStep2(update):
                    ada.doc.apply_update(update)
        events = server.get("/event-log/demo?urlId=p&userIdWS=anon&startTime=0")[1]
        assert honest.encode() in events
        heard += events + server.get("/metrics")[1]
    heard += b"".join(path.read_bytes() for path in server.db.parent.iterdir() if path.is_file())
    assert honest.encode() in heard
    assert SECRET.encode() not in heard


def test_promise_4_one_bad_client_harms_only_itself(server: RealServer) -> None:
    """What panics the library, what is malformed and what is huge, while two people talk."""
    lines = CORPUS.read_text("utf-8").splitlines()
    updates = [bytes.fromhex(line.split()[0]) for line in lines if line and line[0] != "#"]
    attacks = [wire.update(update) for update in updates]
    attacks += [b"\x00", b"\x09\x09", b"\x00\x02" + b"\xff" * 20, bytes(17 * 2**20)]
    assert len(attacks) > 10

    codes: list[int | None] = []

    def attack() -> None:
        for frame in attacks:
            with raw_client(server.ws(), "p", "eve") as eve:
                eve.handshake()
                with contextlib.suppress(ConnectionClosed):
                    eve.send(frame)
                eve.drain()
                codes.append(eve.socket.close_code)

    with raw_client(server.ws(), "p", "ada") as ada, raw_client(server.ws(), "p", "bob") as bob:
        ada.handshake()
        bob.handshake()
        attacker = threading.Thread(target=attack)
        attacker.start()
        said = set()
        while attacker.is_alive():
            said.add(annotate(ada, "ada"))
            ada.flush()
            read_until(bob, lambda: said <= bob.names("annotations"))
        attacker.join()
        said.add(annotate(ada, "ada"))
        read_until(bob, lambda: said <= bob.names("annotations"))
    assert len(said) > 1
    # what is so huge that the server stops reading it may reach eve as a reset
    assert set(codes[:-1]) == {4400}
    assert codes[-1] in (4413, 1006)


@pytest.mark.parametrize("pages", [("p", "p"), ("b:c", "c"), ("b/c", "c")])
def test_promise_5_no_tenant_sees_another(
    start_server: StartServer, pages: tuple[str, str]
) -> None:
    """Not even where tenant and page, written one after the other, read the same."""
    server = start_server(tenants=("a", "a:b", "a/b"))
    tenants = ("a", "a:b" if ":" in pages[0] else "a/b")
    names = [urllib.parse.quote(page, safe="") for page in pages]
    with (
        raw_client(server.ws(tenants[0]), names[0], "ada") as ada,
        raw_client(server.ws(tenants[1]), names[1], "bob") as bob,
    ):
        ada.handshake()
        bob.handshake()
        hers, his = annotate(ada, "ada"), annotate(bob, "bob")
        ada.flush()
        bob.flush()
        for tenant, name, own in ((tenants[0], names[0], hers), (tenants[1], names[1], his)):
            with raw_client(server.ws(tenant), name, "late") as late:
                late.handshake()
                assert late.names("annotations") == {own}
        for client in (ada, bob):
            counts = [body["count"] for body in client.controls if body["type"] == "presence"]
            assert counts
            assert max(counts) <= 2


def test_promise_6_a_new_annotation_costs_under_1_kb(server: RealServer) -> None:
    """To its author, there and back, and to each receiver; test_weight.py weighs it with Yjs."""
    quote = {"type": "TextQuoteSelector", "exact": "q" * 60, "prefix": "p" * 32, "suffix": "s" * 32}
    position = {"type": "TextPositionSelector", "start": 12345, "end": 12405}
    made = {"creator": "ada", "created": 1_763_000_000_000, "broadcastId": "b" * 36}
    value = {**made, "target": {"selector": [quote, position]}}
    with raw_client(server.ws(), "p", "ada") as ada, raw_client(server.ws(), "p", "bob") as bob:
        ada.handshake()
        bob.handshake()
        before = ada.doc.get_state()
        ada.write(
            ("annotations", "a" * 36, value),
            ("comments", f"{'a' * 36}/{'c' * 36}", {**made, "body": "w" * 200}),
        )
        there = len(wire.update(ada.doc.get_update(before)))
        back, received = weighed(ada, lambda: ada.saved == ada.sent), weighed(bob, bob_has(bob))
    assert there + back + FRAME_HEADERS < 1_000
    assert 300 < received + FRAME_HEADERS < 1_000


def bob_has(bob: RawClient) -> Callable[[], bool]:
    return lambda: bool(bob.names("comments"))


def weighed(client: RawClient, reached: Callable[[], bool]) -> int:
    """Bytes of all sync frames until `reached`."""
    total = 0
    while not reached():
        message = client.read()
        match message:
            case wire.Update(update) | wire.SyncStep2(update):
                total += len(wire.update(update))
            case wire.SyncStep1(vector):
                total += len(wire.step1(vector))
            case _:
                pass
    return total
