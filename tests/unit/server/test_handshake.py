"""The opening handshake beside that of `websockets`: the same heads are taken, the same refused."""

import time

import pytest
from served import HEAD, Wire
from websockets.http11 import Request
from websockets.server import ServerProtocol

from crdt_chat.server.sockets.handshake import LINE_BYTES, Handshake

BROWSER = HEAD.replace(
    b"Cookie: c=d",
    b"Origin: https://a.example\r\nUser-Agent:  M\xf6zilla \t\r\nX-Empty:\r\nPragma: no-cache\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nX-A: b\r\nCookie: c=d",
)


def theirs(head: bytes) -> int:
    """The status with which `websockets` answers."""
    protocol = ServerProtocol()
    protocol.receive_data(head)
    request = next(iter(protocol.events_received()), None)
    if not isinstance(request, Request):
        # Of what cannot be read it says nothing.
        said = b"".join(protocol.data_to_send())
        return int(said.split()[1]) if said else 400
    return protocol.accept(request).status_code


def ours(head: bytes) -> int:
    handshake = Handshake(head, Wire())
    if handshake.scope is not None:
        return int(handshake.accepted(None, ()).split()[1])
    answer, _, body = handshake.refusal.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in answer.split(b"\r\n")
    assert b"Connection: close" in answer.split(b"\r\n")
    return int(answer.split()[1])


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"", b"", 101),
        (b"Connection: Upgrade", b"connection: keep-alive, uPGRADE", 101),
        (b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection:Upgrade", 101),
        (b"Upgrade: websocket", b"UPGRADE:WebSocket ", 101),
        (b"Cookie: c=d", b"Cookie: " + b"c" * (LINE_BYTES - 100), 101),
        (b"Upgrade: websocket", b"Upgrade: h2c", 426),
        (b"Upgrade: websocket", b"Upgrade: websocket, h2c", 426),
        (b"Upgrade: websocket\r\n", b"", 426),
        (b"Connection: Upgrade\r\n", b"", 426),
        (b"Connection: Upgrade", b"Connection: upgraded", 426),
        (b"GET", b"POST", 405),
        (b"Version: 13", b"Version: 8", 400),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400),
        (b"Version: 13", b"Version: 13\r\nSec-WebSocket-Version: 13", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZQ", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl\xefHNhbXBsZSBub25jZQ==", 400),
        (b"Cookie: c=d", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 400),
        (b"Cookie: c=d", b"Transfer-Encoding: chunked", 400),
        (b"Cookie: c=d", b"Cookie : c=d", 400),
        (b"Cookie: c=d", b" folded", 400),
        (b"Cookie: c=d", b"Cookie: c\rd", 400),
        (b"Cookie: c=d", b"Cookie: c\x00d", 400),
        (b"Cookie: c=d", b"no colon", 400),
    ],
)
def test_what_websockets_takes_and_refuses_we_do_too(old: bytes, new: bytes, status: int) -> None:
    assert old in BROWSER
    head = BROWSER.replace(old, new, 1)
    assert (ours(head), theirs(head)) == (status, status)


@pytest.mark.parametrize(
    ("old", "new"), [(b"Cookie: c=d\r\n", b"Cookie: c=d\n"), (b"/ws/t/p", b"/ws/t/\x7f")]
)
def test_what_websockets_lets_through_we_refuse(old: bytes, new: bytes) -> None:
    assert ours(HEAD.replace(old, new)) == 400


def test_a_head_made_to_be_slow_is_not() -> None:
    slow = b"GET / HTTP/1.1\r\n" + (b"a:" + b" " * 100 + b"\r\n") * 100 + b"b" * 8_000 + b"\r\n\r\n"
    # Beside one of the same size without the pattern, the least of several each.
    plain = (
        b"GET / HTTP/1.1\r\n" + (b"a:" + b"b" * 100 + b"\r\n") * 100 + b"b" * 8_000 + b"\r\n\r\n"
    )
    assert ours(slow) == 400
    assert min(map(seconds, [slow] * 9)) < 10 * min(map(seconds, [plain] * 9))


def seconds(head: bytes) -> float:
    """CPU that it takes to read a head."""
    began = time.thread_time()
    Handshake(head, Wire())
    return time.thread_time() - began


def test_the_scope_says_what_was_asked() -> None:
    scope = Handshake(BROWSER, Wire()).scope
    assert scope is not None
    assert (b"user-agent", b"M\xf6zilla") in scope["headers"]
    assert (b"x-empty", b"") in scope["headers"]
    assert scope["raw_path"] == b"/ws/t/p"
    assert scope["query_string"] == b"user=ada"
    assert scope["server"] == ("192.0.2.2", 80)
    assert scope["scheme"] == "ws"
