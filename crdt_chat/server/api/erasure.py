"""POST /api/v1/tenants/{tenant}/erasures: for operators and the tenant's admins."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from crdt_chat.server.administration import Caller
from crdt_chat.server.api.answers import answer, guarded, json_object
from crdt_chat.server.api.callers import caller_of
from crdt_chat.server.api.routes import LOCAL, CallerOf, tenant_in_path
from crdt_chat.server.auth import Authority
from crdt_chat.server.erasure import Erasure, Wanted

PATH = "/api/v1/tenants/{tenant}/erasures"


def routes(verb: Erasure, authority: Authority) -> list[BaseRoute]:
    """The route for the network, which needs an admin's token."""
    return _routes(verb, authority, lambda request, tenant: caller_of(request, authority, tenant))


def local_routes(verb: Erasure, authority: Authority) -> list[BaseRoute]:
    """The route for the local socket."""
    return _routes(verb, authority, lambda _request, _tenant: LOCAL)


def _routes(verb: Erasure, authority: Authority, who: CallerOf) -> list[BaseRoute]:
    async def erase(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        caller: Caller = who(request, tenant)
        return answer(await verb.erase(caller, tenant, Wanted.parse(await json_object(request))))

    handler = guarded(erase, authority, tenant_in_path)
    return [Route(PATH, handler, methods=["POST", "OPTIONS"], name=f"POST {PATH}")]
