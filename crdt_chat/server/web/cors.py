"""CORS to match what the Authority lets in: a site that may use a tenant may also read its answers."""

from starlette.requests import Request

from crdt_chat.server.access.asked import asked_by
from crdt_chat.server.access.auth import Authority

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = "authorization, content-type, accept"
PREFLIGHT_SECONDS = "600"


def cors(request: Request, authority: Authority, tenant: str | None) -> dict[str, str]:
    """The headers for an answer about this tenant (None: about no tenant, so for no site).

    Legacy browsers send credentials and a content type with every GET, so each one is preflighted.
    """
    headers = {"vary": "Origin"}
    origin = request.headers.get("origin")
    found = None if tenant is None else authority.tenants.find(tenant)
    if origin is None or found is None or not authority.welcomes(found, asked_by(request.scope)):
        return headers
    headers["access-control-allow-origin"] = origin
    headers["access-control-allow-credentials"] = "true"
    if request.method == "OPTIONS":
        headers["access-control-allow-methods"] = METHODS
        headers["access-control-allow-headers"] = HEADERS
        headers["access-control-max-age"] = PREFLIGHT_SECONDS
    return headers
