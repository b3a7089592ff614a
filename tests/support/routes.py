"""Every address of the server with who may come, and the callers who try: for tests of access.

A route that is in the server's table and not here fails tests/unit/server/test_access.py.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import anyio
import httpx
import jwt

from crdt_chat.config import Config, KeySettings, TenantSettings
from crdt_chat.identity import Grant, Role
from crdt_chat.server.access.auth import OPERATOR, OPERATORS
from crdt_chat.server.app import App, build
from store.memory import MemoryStore

SECRET, OTHER = "a" * 40, "o" * 40
KEY = (KeySettings("k1", "HS256", SECRET),)
CONFIG = Config(
    tenants=(
        TenantSettings("acme", keys=KEY),
        TenantSettings("other", keys=(KeySettings("k1", "HS256", OTHER),)),
    )
)
CALLERS = (
    "nobody", "forged", "viewer", "commenter", "editor", "moderator", "admin", "other tenant's admin",
    "operator",
)  # fmt: skip
READERS = ("viewer", "commenter", "editor", "moderator", "admin")
WRITERS = ("editor", "moderator", "admin")
EVERYBODY = CALLERS


@dataclass(frozen=True)
class Row:
    """One verb of one address. who may do it; path is one that exists for a caller who may."""

    method: str
    route: str
    path: str
    who: tuple[str, ...]
    body: Any = field(default=None, hash=False)


ROOT, ONE = "/api/v1", "/api/v1/tenants/{tenant}"
ADMINS, OPERATORS_ONLY = ("admin", "operator"), ("operator",)
CHATS, CHAT, LOG = (
    "/comment-collab-chats/{tenant}",
    "/comment-collab-chats/{tenant}/{chat}",
    "/event-log/{tenant}",
)
ASKS = "?urlId=p"
NEW_CHAT = {
    "urlId": "p",
    "urlIdWithRange": "p:0",
    "pageTitle": "",
    "selector": "p",
    "range": "0:15,0:45{abc123}",
    "createdFromCommentId": "",
    "broadcastId": "b",
}
FRESH_TOKEN, ONE_TOKEN, VIEWER = {"user": "a", "pages": ["*"]}, {"token": "j"}, {"role": "viewer"}
FLAGGERS = ("commenter", "editor", "moderator", "admin", "operator")
MODERATORS = ("moderator", "admin", "operator")
FLAG = {"page": "p", "entity": "a1", "reason": "spam"}
CLOSING = {"page": "p", "action": "close", "entity": "page"}
OPERATOR_TOKENS, OPERATOR_REVOCATIONS = f"{ROOT}/operators/tokens", f"{ROOT}/operators/revocations"


def rows(stored: str = "fluid") -> list[Row]:
    """The table. `stored` is a tenant of the database, with a key k1 and a revocation 1."""
    fluid = f"{ROOT}/tenants/{stored}"
    found = [
        Row("GET", "/", "/", EVERYBODY),
        Row("GET", "/demo", "/demo", ()),
        Row("GET", "/static/{name}", "/static/demo.css", EVERYBODY),
        Row("GET", "/healthz", "/healthz", EVERYBODY),
        Row("GET", "/readyz", "/readyz", EVERYBODY),
        Row("GET", "/version", "/version", EVERYBODY),
        Row("GET", "/metrics", "/metrics", OPERATORS_ONLY),
        Row("POST", f"{ROOT}/tickets", f"{ROOT}/tickets?tenant=acme", READERS),
        Row("POST", f"{ROOT}/visitors", f"{ROOT}/visitors?tenant=acme", ()),
        Row("GET", f"{ROOT}/tenants", f"{ROOT}/tenants", OPERATORS_ONLY),
        Row("POST", f"{ROOT}/tenants", f"{ROOT}/tenants", OPERATORS_ONLY, {"name": "fresh"}),
        Row("GET", ONE, f"{ROOT}/tenants/acme", ADMINS),
        Row("PATCH", ONE, fluid, OPERATORS_ONLY, {"title": "Fluid"}),
        Row("POST", f"{ONE}/keys", f"{fluid}/keys", OPERATORS_ONLY, {"id": "k2", "secret": SECRET}),
        Row("DELETE", f"{ONE}/keys/{{key:path}}", f"{fluid}/keys/k1", OPERATORS_ONLY),
        Row("POST", f"{ONE}/tokens", f"{ROOT}/tenants/acme/tokens", ADMINS, FRESH_TOKEN),
        Row("GET", f"{ONE}/revocations", f"{ROOT}/tenants/acme/revocations", ADMINS),
        Row("POST", f"{ONE}/revocations", f"{ROOT}/tenants/acme/revocations", ADMINS, ONE_TOKEN),
        Row("DELETE", f"{ONE}/revocations/{{number:int}}", f"{fluid}/revocations/1", OPERATORS_ONLY),
        Row("PUT", f"{ONE}/roles/{{user:path}}", f"{ROOT}/tenants/acme/roles/eve", ADMINS, VIEWER),
        Row("DELETE", f"{ONE}/roles/{{user:path}}", f"{ROOT}/tenants/acme/roles/eve", ADMINS),
        Row("GET", f"{ONE}/audit", f"{ROOT}/tenants/acme/audit", ADMINS),
        Row("GET", f"{ROOT}/audit", f"{ROOT}/audit", OPERATORS_ONLY),
        Row("POST", f"{ONE}/flags", f"{ROOT}/tenants/acme/flags", FLAGGERS, FLAG),
        Row("POST", f"{ONE}/moderation", f"{ROOT}/tenants/acme/moderation", MODERATORS, CLOSING),
        Row("GET", f"{ONE}/exports", f"{ROOT}/tenants/acme/exports?user=zoe", ADMINS),
        Row("POST", f"{ONE}/erasures", f"{ROOT}/tenants/acme/erasures", ADMINS, {"user": "zoe"}),
        Row("GET", f"{ONE}/moderation", f"{ROOT}/tenants/acme/moderation?page=p", MODERATORS),
        Row("POST", OPERATOR_TOKENS, OPERATOR_TOKENS, OPERATORS_ONLY, {"user": "grace"}),
        Row("POST", OPERATOR_REVOCATIONS, OPERATOR_REVOCATIONS, OPERATORS_ONLY, ONE_TOKEN),
        Row("DELETE", ONE, fluid, OPERATORS_ONLY),
    ]  # fmt: skip
    for slash in ("", "/"):
        found += [
            Row("GET", CHATS + slash, f"/comment-collab-chats/acme{slash}{ASKS}", READERS),
            Row("POST", CHATS + slash, f"/comment-collab-chats/acme{slash}", WRITERS, NEW_CHAT),
            Row("DELETE", CHAT + slash, f"/comment-collab-chats/acme/x{slash}{ASKS}", READERS),
            Row("GET", LOG + slash, f"/event-log/acme{slash}{ASKS}", READERS),
        ]  # fmt: skip
    return found


SOCKETS = ("/sub", "/sub/", "/ws/{tenant}/{page}")
"""Routes of WebSockets; every caller tries them in tests/unit/server/test_entrances.py."""


def token(caller: str, app: App, *, tenant: str = "acme") -> str | None:
    """What a caller shows."""
    now = time.time()
    if caller == "nobody":
        return None
    if caller == "operator":
        grant = Grant(OPERATORS, "grace", "Grace", Role.ADMIN, expires=now + 600, issued=now)
        return app.administration.authority.sign_own(grant, audience=OPERATOR)
    claims = {
        "aud": "crdt-chat", "tenant": tenant, "sub": "ada", "role": caller, "pages": ["*"],
        "iat": now, "exp": now + 600,
    }  # fmt: skip
    secret = SECRET
    if caller == "forged":
        claims["role"], secret = "admin", "f" * 40
    if caller == "other tenant's admin":
        claims |= {"role": "admin", "tenant": "other"}
        secret = OTHER
    return jwt.encode(claims, secret, "HS256", {"kid": "k1"})


@asynccontextmanager
async def served(config: Config = CONFIG) -> AsyncIterator[App]:
    """The whole server on a store in memory, without a network."""
    store = MemoryStore()
    async with build(config, store) as app:
        yield app
    await store.close()


def client(app: App, *, address: str = "203.0.113.5") -> httpx.AsyncClient:
    """An HTTP client of it, from another machine."""
    transport = httpx.ASGITransport(app, client=(address, 4321))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def knock(
    app: App, path: str, query: str = "", headers: Mapping[str, str] | None = None
) -> int | None:
    """Open a WebSocket and leave when it has said something: None, or the code it was closed with."""
    told: list[Any] = []
    done = anyio.Event()
    came = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        for message in came:
            return message
        await done.wait()
        return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    async def send(message: Any) -> None:
        if message["type"] in ("websocket.send", "websocket.close"):
            told.append(message)
            done.set()

    lines = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
        "headers": lines, "client": ("203.0.113.5", 4321), "server": None, "subprotocols": [],
    }  # fmt: skip
    with anyio.fail_after(10):
        await app(scope, receive, send)
    code: int | None = told[0].get("code")
    return code
