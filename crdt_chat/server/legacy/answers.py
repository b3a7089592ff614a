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
from crdt_chat.server.cors import cors
from store.errors import StoreError

log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
"""Bytes of a request body; the longest honest one (a long range and a quote) is far below."""

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
        response.headers.update(cors(request, authority, request.path_params["tenant"]))
        return response

    return guard


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
