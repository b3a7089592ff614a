"""JSON in and out: objects only, faults as `{"code", "message"}` with the status of their class."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.errors import Malformed, RemoteFault
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.web import answers
from crdt_chat.server.web.answers import Handler, TenantOf, answer, tenant_in_path

__all__ = ["answer", "guarded", "json_object", "nothing", "tenant_in_path"]


def nothing() -> Response:
    """Done, and there is nothing to say."""
    return Response(status_code=204, headers={"cache-control": "no-store"})


def guarded(
    handler: Handler, authority: Authority, tenant_of: TenantOf = tenant_in_path
) -> Handler:
    """`handler` with CORS for the tenant that the request names, and its faults as JSON."""
    return answers.guarded(handler, authority, tenant_of, _told)


def _told(fault: RemoteFault) -> Response:
    body: dict[str, Any] = {"code": fault.code, "message": str(fault)}
    if fault.operations:
        body["operations"] = fault.operations
    response = answer(body, fault.status)
    if fault.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


async def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object; {} where there is none. Raises TooLarge, Malformed."""
    body = await answers.json_body(request)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise Malformed("the body is a JSON object")
    return body
