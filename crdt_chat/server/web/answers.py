"""HTTP answers of every JSON interface: bounded bodies, CORS, and a fault where a handler fails."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crdt_chat.errors import LocalFault, Malformed, RemoteFault, TooLarge, TryLater
from crdt_chat.page.verdict import Json
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.web.cors import cors
from store.errors import StoreError

log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
"""Bytes of a request body; the longest honest one (a long range and a quote) is far below."""

Handler = Callable[[Request], Awaitable[Response]]
TenantOf = Callable[[Request], str | None]
Told = Callable[[RemoteFault], Response]
"""The answer that tells of a fault."""


def answer(body: Json, status: int = 200) -> Response:
    """A JSON answer that nobody caches."""
    try:
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, which JSON can escape and UTF-8 cannot say.
        text = json.dumps(body, separators=(",", ":")).encode()
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(text, status, headers, "application/json")


def guarded(handler: Handler, authority: Authority, tenant_of: TenantOf, told: Told) -> Handler:
    """`handler` with preflight, CORS for the tenant that the request names, and its faults told."""

    @wraps(handler)
    async def guard(request: Request) -> Response:
        if request.method == "OPTIONS":
            response = Response(status_code=204)
        else:
            try:
                response = await handler(request)
            except RemoteFault as fault:
                if request.client is not None:
                    authority.denied(tenant_of(request), request.client.host, fault)
                response = told(fault)
            except (StoreError, LocalFault):
                log.exception("a request could not be answered")
                response = told(TryLater("that cannot be read or written at the moment"))
        response.headers.update(cors(request, authority, tenant_of(request)))
        return response

    return guard


def tenant_in_path(request: Request) -> str | None:
    """The tenant that the path names."""
    return request.path_params.get("tenant")


async def json_body(request: Request) -> Json:
    """The body as JSON, None where there is none. Raises TooLarge, Malformed."""
    received = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            received += chunk
            if len(received) > BODY_BYTES:
                raise TooLarge(f"a body has at most {BODY_BYTES:,} bytes")
    if not received.strip():
        return None
    try:
        body = json.loads(received, parse_constant=_no_number)
        # Half of a surrogate pair can be escaped in JSON, and kept nowhere.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    return body


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is Python's JSON, nobody else's")


def route(path: str, methods: Iterable[str], handler: Handler) -> Route:
    """One route for these methods and the preflight, named by what a log or a test can show."""
    verbs = [*methods]
    return Route(path, handler, methods=[*verbs, "OPTIONS"], name=f"{','.join(verbs)} {path}")
