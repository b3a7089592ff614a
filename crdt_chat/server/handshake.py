"""The opening handshake of a WebSocket (RFC 6455, 4.2): from the head of a request to an ASGI scope."""

import asyncio
import http
import logging
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from crdt_chat.server.channel import Event

log = logging.getLogger(__name__)

SWITCHING: Final = 101


class Handshake:
    """One request to upgrade; gone from memory as soon as it is answered.

    scope is None where the request is no good: refusal is the answer then.
    """

    __slots__ = ("_protocol", "_response", "refusal", "scope")

    def __init__(self, head: bytes, transport: asyncio.Transport) -> None:
        self._protocol = ServerProtocol(logger=log)
        self._protocol.receive_data(head)
        request = next(iter(self._protocol.events_received()), None)
        self.scope: Event | None = None
        if not isinstance(request, Request):
            # What is too long is answered by then (414, 431), what cannot be read is not.
            answer = self._protocol.reject(http.HTTPStatus.BAD_REQUEST, "a bad request\n")
            self.refusal = b"".join(self._protocol.data_to_send()) or answer.serialize()
            return
        self._response = self._protocol.accept(request)
        if self._response.status_code == SWITCHING:
            self.scope = _scope(request, transport)
        else:
            self.refusal = self._answer(self._response)

    def accepted(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The answer of an app that takes the connection."""
        more = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        if subprotocol:
            more.append(("Sec-WebSocket-Protocol", subprotocol))
        self._response.headers.update(more)
        return self._answer(self._response)

    def rejected(self, status: http.HTTPStatus) -> bytes:
        """The answer of an app that does not want it, or that has failed."""
        return self._answer(self._protocol.reject(status, ""))

    def _answer(self, response: Response) -> bytes:
        self._protocol.send_response(response)
        return b"".join(self._protocol.data_to_send())


def _scope(request: Request, transport: asyncio.Transport) -> Event:
    raw_path, _, query = request.path.partition("?")
    secure = bool(transport.get_extra_info("sslcontext"))
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if secure else "ws",
        "server": _address(transport.get_extra_info("sockname")),
        "client": _address(transport.get_extra_info("peername")),
        "root_path": "",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [
            (name.lower().encode("ascii"), value.encode("latin-1"))
            for name, value in request.headers.raw_items()
        ],
        "subprotocols": _offered(request.headers),
        "state": {},
        "extensions": {},
    }


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _offered(headers: Headers) -> list[str]:
    lines = headers.get_all("Sec-WebSocket-Protocol")
    return [token.strip() for line in lines for token in line.split(",")]
