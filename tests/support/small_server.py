"""A real server with small limits, and what tests at their edge need to reach it."""

import contextlib
import socket as sockets
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from entries import annotation, fresh
from raw_client import RawClient, raw_client
from server import HOST, RealServer, running_server
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed

FRAME, BATCH = 20_000, 200_000
SMALL = {
    "limits.frame_bytes": FRAME,
    "limits.first_batch_bytes": BATCH,
    "limits.large_frames_bytes": BATCH,
    "limits.unknown_client_ids": 5,
    "limits.awareness_bytes": 300,
    "limits.awareness_per_s": 5,
    "limits.connections_per_user": 3,
    "limits.connections_per_page": 5,
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


def dialled(server: RealServer) -> sockets.socket:
    """A TCP connection that has said nothing."""
    return sockets.create_connection((HOST, server.port), timeout=PATIENCE_S)


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


def annotation_of(client: RawClient, **more: Any) -> Any:
    """A good annotation of this client's user."""
    return annotation(client.user, **more)


def present(client: RawClient) -> int:
    """How many people there are, as last told."""
    counts = [body["count"] for body in client.controls if body["type"] == "presence"]
    return counts[-1] if counts else 0


def comes_in(server: RealServer, page: str, user: str) -> bool:
    """Whether the server takes this visitor now."""
    with raw_client(server.ws(), page, user) as client:
        try:
            client.handshake()
        except ConnectionClosed:
            return False
        return True
