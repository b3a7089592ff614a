"""/api/v1/tenants/{tenant}/erasures and /exports: for operators and the tenant's admins."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from crdt_chat.server.access.auth import Authority
from crdt_chat.server.api.answers import answer, guarded, json_object
from crdt_chat.server.api.callers import caller_of
from crdt_chat.server.api.routes import LOCAL, CallerOf
from crdt_chat.server.privacy.erasure import Erasure, Wanted
from crdt_chat.server.privacy.export import Export
from crdt_chat.server.web.answers import route

ERASURES = "/api/v1/tenants/{tenant}/erasures"
EXPORTS = "/api/v1/tenants/{tenant}/exports"


def routes(erasure: Erasure, export: Export, authority: Authority) -> list[BaseRoute]:
    """The route for the network, which needs an admin's token."""
    return _routes(
        erasure, export, authority, lambda request, tenant: caller_of(request, authority, tenant)
    )


def local_routes(erasure: Erasure, export: Export, authority: Authority) -> list[BaseRoute]:
    """The route for the local socket."""
    return _routes(erasure, export, authority, lambda _request, _tenant: LOCAL)


def _routes(
    erasure: Erasure, export: Export, authority: Authority, who: CallerOf
) -> list[BaseRoute]:
    async def erase(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        caller = who(request, tenant)
        return answer(await erasure.erase(caller, tenant, Wanted.parse(await json_object(request))))

    async def exported(request: Request) -> Response:
        tenant, user = request.path_params["tenant"], request.query_params.get("user")
        return answer(await export.of_user(who(request, tenant), tenant, user))

    return [
        route(ERASURES, ["POST"], guarded(erase, authority)),
        route(EXPORTS, ["GET"], guarded(exported, authority)),
    ]
