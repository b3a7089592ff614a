"""HTTP as legacy browsers need it: CORS with credentials, faults as JSON, bounded bodies."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.errors import LocalFault, Malformed, RemoteFault, TooLarge, TryLater
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import text_chat
from crdt_chat.server.auth import Authority
from store.errors import StoreError

log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
"""Bytes of a request body; the longest honest one (a long range and a quote) is far below."""

METHODS = "GET, POST, PUT, DELETE, OPTIONS"
HEADERS = "content-type, accept"
PREFLIGHT_SECONDS = "600"

Handler = Callable[[Request], Awaitable[Response]]


def answer(body: Mapping[str, Json], status: int = 200) -> Response:
    """A JSON answer that nobody caches."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(text, status, headers, "application/json")


def guarded(handler: Handler, authority: Authority) -> Handler:
    """`handler` with CORS, preflight, and remote faults as the JSON of both published shapes."""

    @wraps(handler)
    async def guard(request: Request) -> Response:
        if request.method == "OPTIONS":
            response = Response(status_code=204)
        else:
            try:
                response = await handler(request)
            except RemoteFault as fault:
                response = answer(text_chat.fault(fault), fault.status)
            except (StoreError, LocalFault):
                log.exception("a legacy request could not be answered")
                later = TryLater("the page cannot be read or written at the moment")
                response = answer(text_chat.fault(later), later.status)
        response.headers.update(_cors(request, authority))
        return response

    return guard


def _cors(request: Request, authority: Authority) -> dict[str, str]:
    """Any origin may use an open tenant; a tenant's own domains come with tokens.

    Legacy browsers send credentials and a content type with every GET, so each one is preflighted.
    """
    headers = {"vary": "Origin"}
    origin = request.headers.get("origin")
    settings = authority.config.tenant(request.path_params["tenant"])
    if origin is None or settings is None or not settings.open:
        return headers
    headers["access-control-allow-origin"] = origin
    headers["access-control-allow-credentials"] = "true"
    if request.method == "OPTIONS":
        headers["access-control-allow-methods"] = METHODS
        headers["access-control-allow-headers"] = HEADERS
        headers["access-control-max-age"] = PREFLIGHT_SECONDS
    return headers


async def json_body(request: Request) -> Json:
    """The body as JSON, None where there is none. Raises TooLarge, Malformed."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > BODY_BYTES:
            raise TooLarge(f"a body has at most {BODY_BYTES} bytes")
    if not received.strip():
        return None
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
