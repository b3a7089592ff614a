"""JSON in and out: bounded bodies, faults as `{"code", "message"}` with the status of their class."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.errors import Malformed, RemoteFault, TooLarge, TryLater
from crdt_chat.server.auth import Authority
from crdt_chat.server.cors import cors
from store.errors import StoreError

BODY_BYTES = 64 * 1024
Handler = Callable[[Request], Awaitable[Response]]
TenantOf = Callable[[Request], str | None]


def answer(body: Any, status: int = 200) -> Response:
    """A JSON answer that nobody caches."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, status, headers, "application/json")


def nothing() -> Response:
    """Done, and there is nothing to say."""
    return Response(status_code=204, headers={"cache-control": "no-store"})


def guarded(handler: Handler, authority: Authority, tenant_of: TenantOf) -> Handler:
    """`handler` with CORS for the tenant that the request names, and its faults as JSON."""

    @wraps(handler)
    async def guard(request: Request) -> Response:
        if request.method == "OPTIONS":
            response = Response(status_code=204)
        else:
            try:
                response = await handler(request)
            except RemoteFault as fault:
                response = _told(fault)
            except StoreError:
                response = _told(TryLater("the database cannot take that at the moment"))
        response.headers.update(cors(request, authority, tenant_of(request)))
        return response

    return guard


def _told(fault: RemoteFault) -> Response:
    response = answer({"code": fault.code, "message": str(fault)}, fault.status)
    if fault.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


async def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object; {} where there is none. Raises TooLarge, Malformed."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > BODY_BYTES:
            raise TooLarge(f"a body has at most {BODY_BYTES:,} bytes")
    if not received.strip():
        return {}
    try:
        body = json.loads(received)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if not isinstance(body, dict):
        raise Malformed("the body is a JSON object")
    return body
