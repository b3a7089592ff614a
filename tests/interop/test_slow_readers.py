"""Readers who are slow, deaf or many, and a disk that is: memory stays bounded, nothing is lost."""

import contextlib
import json
import socket as sockets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from entries import annotation, comment, fresh
from pycrdt import Map
from raw_client import RawClient
from server import HOST, RealServer, StartServer
from small_server import dialled, here, present, told, upgraded
from websockets.sync.client import connect

from crdt_chat.protocol import wire


def say(client: RawClient, number: int, **state: Any) -> None:
    """One awareness frame about `number`."""
    entry = wire.AwarenessEntry(number, 1, json.dumps(state, ensure_ascii=False))
    client.send(wire.awareness_of([wire.encode_entry(entry)]))


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
    limits = {"limits.outbox_bytes": 100_000, "limits.presence_grace_s": 0.2}
    server = start_server(arguments=["--limits", "off", *told(limits)])
    with here(server, "p", "ada") as ada:
        ada.write(("annotations", "a1", annotation("ada")), ("comments", "a1/c1", comment("ada")))
        ada.flush()
        # For as long as the default patience: the writer may take some seconds.
        with slow_reader(server, "p") as slow:
            rewrite(ada, 800)
            frames = 0
            while slow.doc.get("comments", type=Map).to_py() != ada_comments(ada):
                slow.read()
                frames += 1
            assert frames < 790, "nothing was left out"
    limits["limits.outbox_patience_s"] = 1.5
    server = start_server(arguments=["--limits", "off", *told(limits)])
    with here(server, "p", "ada") as ada:
        ada.write(("annotations", "a1", annotation("ada")))
        ada.flush()
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
