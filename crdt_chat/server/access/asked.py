"""What a request says of who asks: read once from an ASGI scope, believed by nobody yet.

A token comes as `Authorization: Bearer`, as a WebSocket subprotocol (browsers can set no header), or
as `?token=` (y-websocket's `params`; it ends up in histories and proxies' logs, so a `?ticket=` is
better). The first of these counts.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import cookie_parser

from crdt_chat.server.access.loopback import is_direct_loopback

PROTOCOL = "crdt-chat"
"""The subprotocol that the server chooses."""

PROTOCOL_TOKEN = "crdt-chat.token."  # noqa: S105  # a prefix
"""A subprotocol that begins so carries a token; it is never sent back."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who somebody says to be. `bearer` is the token of the Authorization header alone.

    query: the parameters of its address. local: it was made on this machine and by no proxy.
    """

    user: str | None = None
    name: str | None = None
    token: str | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    ticket: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: tuple[str, ...] = ()
    address: str = ""
    secure: bool = False
    local: bool = False


def asked_by(scope: Any) -> Asked:
    """What the request of this ASGI scope says."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    # Of what comes more than once the first counts; in an address, the last.
    headers = dict(reversed(lines))
    bearer = _bearer(headers.get("authorization", ""))
    token = bearer or _from_protocols(offered(scope)) or query.get("token") or None
    client = scope.get("client")
    return Asked(
        user=query.get("user") or None,
        name=query.get("name") or None,
        token=token,
        bearer=bearer,
        ticket=query.get("ticket") or None,
        query=query,
        cookies=_cookies(lines),
        origins=tuple(value for name, value in lines if name == "origin"),
        address=client[0] if client else "",
        secure=scope.get("scheme") in ("https", "wss"),
        local=is_direct_loopback(client[0] if client else None, headers),
    )


def _cookies(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in lines:
        if name == "cookie":
            found |= cookie_parser(value)
    return found


def offered(scope: Any) -> list[str]:
    """The subprotocols that a WebSocket client offers."""
    return list(scope.get("subprotocols", ()))


def chosen_protocol(scope: Any) -> str | None:
    """The subprotocol to accept with: browsers give up where they offered some and got none."""
    names = offered(scope)
    plain = [name for name in names if not name.startswith(PROTOCOL_TOKEN)]
    if PROTOCOL in plain or not names:
        return PROTOCOL if names else None
    return (plain or names)[0]


def cookie_name(tenant: str) -> str:
    """The name of the cookie that a tenant's anonymous visitor is known by."""
    return f"crdt-chat-visitor-{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"


def _bearer(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _from_protocols(names: list[str]) -> str | None:
    found = (name for name in names if name.startswith(PROTOCOL_TOKEN))
    return next(found, "").removeprefix(PROTOCOL_TOKEN) or None
