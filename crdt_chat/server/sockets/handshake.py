"""The opening handshake of a WebSocket (RFC 6455, 4.2): from the head of a request to an ASGI scope.

Our own for its price: most of what it costs when somebody comes is here, and of a library's protocol
objects nothing else would be used.
"""

import asyncio
import binascii
import http
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from email.utils import formatdate
from hashlib import sha1
from typing import Final
from urllib.parse import unquote

from crdt_chat.server.sockets.channel import Event

LINE_BYTES: Final = 8 * 1024
HEADERS: Final = 128
"""The longest line of a head, and how many headers it may have."""

VERSION: Final = b"13"
KEY_BYTES: Final = 16
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455 (1.3) has servers append to a key."""

_HEADER: Final = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n"
_HEAD: Final = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.1\r\n((?:" + _HEADER + rb")*+)\r\n")
"""RFC 9112, strictly: no folded lines, no bare CR or LF, nothing around a name. Nothing is tried twice."""

Headers = list[tuple[bytes, bytes]]


class Refused(Exception):
    """The request is no good; `more` are headers for the answer."""

    def __init__(self, status: http.HTTPStatus, about: str, *more: str) -> None:
        super().__init__(about)
        self.status = status
        self.more = more


class Handshake:
    """One request to upgrade; gone from memory as soon as it is answered.

    scope is None where the request is no good: refusal is the answer then.
    """

    __slots__ = ("_key", "refusal", "scope")

    def __init__(self, head: bytes, transport: asyncio.Transport) -> None:
        self.scope: Event | None = None
        try:
            target, headers = _parsed(head)
            self._key = _checked(headers)
        except Refused as refused:
            self.refusal = _answer(refused.status, f"{refused}\n", refused.more)
        else:
            self.scope = _scope(target, headers, transport)

    def accepted(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The answer of an app that takes the connection."""
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            # RFC 6455 (1.3) asks for SHA-1; it guards nothing.
            b"Sec-WebSocket-Accept: " + b64encode(sha1(self._key + GUID).digest()),  # noqa: S324
            *(name + b": " + value for name, value in headers),
        ]
        if subprotocol:
            lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("latin-1"))
        return b"\r\n".join((*lines, b"", b""))

    def rejected(self, status: http.HTTPStatus) -> bytes:
        """The answer of an app that does not want it, or that has failed."""
        return _answer(status, "", ())


def _parsed(head: bytes) -> tuple[bytes, Headers]:
    """The target and the headers, their names in small letters. Raises Refused."""
    found = _HEAD.fullmatch(head)
    if found is None or len(head) > LINE_BYTES:
        _check_lengths(head)
    if found is None:
        raise Refused(http.HTTPStatus.BAD_REQUEST, "a bad request")
    method, target, lines = found.groups()
    if method != b"GET":
        raise Refused(http.HTTPStatus.METHOD_NOT_ALLOWED, "GET opens a WebSocket", "Allow: GET")
    parts = [line.partition(b":") for line in lines.split(b"\r\n")[:-1]]
    if len(parts) > HEADERS:
        raise Refused(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers")
    return target, [(name.lower(), value.strip(b" \t")) for name, _, value in parts]


def _check_lengths(head: bytes) -> None:
    first, *lines = head.split(b"\r\n")
    if len(first) > LINE_BYTES:
        raise Refused(http.HTTPStatus.REQUEST_URI_TOO_LONG, "a request line too long")
    if any(len(line) > LINE_BYTES for line in lines):
        raise Refused(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a header too long")


def _checked(headers: Headers) -> bytes:
    """The key to answer with. Raises Refused for what RFC 6455 (4.2.1) wants refused."""
    if _listed(headers, b"upgrade") != ["websocket"] or (
        "upgrade" not in _listed(headers, b"connection")
    ):
        raise Refused(http.HTTPStatus.UPGRADE_REQUIRED, "a WebSocket only", "Upgrade: websocket")
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in headers):
        raise Refused(http.HTTPStatus.BAD_REQUEST, "an upgrade has no body")
    if _only(headers, b"sec-websocket-version") != VERSION:
        raise Refused(
            http.HTTPStatus.BAD_REQUEST, "version 13 is spoken", "Sec-WebSocket-Version: 13"
        )
    key = _only(headers, b"sec-websocket-key")
    try:
        good = len(b64decode(key, validate=True)) == KEY_BYTES
    except binascii.Error:
        good = False
    if not good:
        raise Refused(http.HTTPStatus.BAD_REQUEST, "a key is 16 bytes in base64")
    return key


def _only(headers: Headers, wanted: bytes) -> bytes:
    """The value of a header that comes once, nothing otherwise."""
    found = [value for name, value in headers if name == wanted]
    return found[0] if len(found) == 1 else b""


def _listed(headers: Headers, wanted: bytes) -> list[str]:
    """What a header lists, over all its lines, in small letters."""
    return [
        token.strip().lower()
        for name, value in headers
        if name == wanted
        for token in value.decode("latin-1").split(",")
    ]


def _answer(status: http.HTTPStatus, body: str, more: Iterable[str]) -> bytes:
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Length: {len(body)}",
        "Content-Type: text/plain; charset=utf-8",
        *more,
    )
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _scope(target: bytes, headers: Headers, transport: asyncio.Transport) -> Event:
    raw_path, _, query = target.partition(b"?")
    secure = bool(transport.get_extra_info("sslcontext"))
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if secure else "ws",
        "server": _address(transport.get_extra_info("sockname")),
        "client": _address(transport.get_extra_info("peername")),
        "root_path": "",
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "headers": headers,
        "subprotocols": _offered(headers),
        "state": {},
        "extensions": {},
    }


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _offered(headers: Headers) -> list[str]:
    lines = [value for name, value in headers if name == b"sec-websocket-protocol"]
    return [token.strip() for line in lines for token in line.decode("latin-1").split(",")]
