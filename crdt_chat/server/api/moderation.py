"""/api/v1/tenants/{tenant}/moderation and /flags: for readers and moderators with their own tokens.

The page stands in the query (GET) or the body (POST): its name may be anything.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from crdt_chat.errors import Malformed, NotFound, Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.access.asked import asked_by
from crdt_chat.server.access.auth import Authority, page_key
from crdt_chat.server.api.answers import answer, guarded, json_object, nothing
from crdt_chat.server.api.callers import operator_of
from crdt_chat.server.moderation import moderation
from crdt_chat.server.web.answers import route

ROOT = "/api/v1/tenants/{tenant}"
OPERATOR = "operator"
"""Who acts through the local socket, as the page shows it."""

GrantOf = Callable[[Request, str], Grant]


def routes(verbs: moderation.Moderation, authority: Authority) -> list[BaseRoute]:
    """The routes for the network: whoever asks shows a token of the tenant, or an operator's."""
    return _routes(verbs, authority, lambda request, tenant: grant_of(request, authority, tenant))


def local_routes(verbs: moderation.Moderation, authority: Authority) -> list[BaseRoute]:
    """The routes for the local socket."""

    def operators(_request: Request, tenant: str) -> Grant:
        authority.tenant(tenant)
        return operators_grant(tenant, OPERATOR)

    return _routes(verbs, authority, operators)


def operators_grant(tenant: str, name: str) -> Grant:
    """The grant of an operator for one tenant: an admin of all its pages."""
    return Grant(tenant, name, name, Role.ADMIN)


def grant_of(request: Request, authority: Authority, tenant: str) -> Grant:
    """Whoever sends this request. Raises Unauthorized, Forbidden, as auth.Authority.grant does."""
    asked = asked_by(request.scope)
    operator = operator_of(asked, authority)
    if operator is not None:
        authority.tenant(tenant)
        return operators_grant(tenant, operator)
    try:
        settings = authority.tenant(tenant).settings
        if asked.bearer is None and not settings.open:
            # A cookie would let any web site ask in her name.
            raise Unauthorized("this needs a token in the Authorization header")
        return authority.grant(tenant, asked)
    except NotFound:
        raise Unauthorized("the token is not signed by a key of this tenant") from None


def _routes(verbs: moderation.Moderation, authority: Authority, who: GrantOf) -> list[BaseRoute]:
    async def flag(request: Request) -> Response:
        grant, key, asked = await _said(request, who, "flag")
        await verbs.flag(key, grant, asked)
        return nothing()

    async def act(request: Request) -> Response:
        grant, key, asked = await _said(request, who, None)
        await verbs.act(key, grant, asked)
        return nothing()

    async def overview(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        grant = who(request, tenant)
        page = request.query_params.get("page")
        if page is None:
            return answer(await verbs.flagged(tenant, grant))
        return answer(await verbs.overview(_key(tenant, page), grant))

    return [
        route(f"{ROOT}/flags", ["POST"], guarded(flag, authority)),
        route(f"{ROOT}/moderation", ["POST"], guarded(act, authority)),
        route(f"{ROOT}/moderation", ["GET"], guarded(overview, authority)),
    ]


async def _said(
    request: Request, who: GrantOf, action: str | None
) -> tuple[Grant, PageKey, moderation.Request]:
    tenant = request.path_params["tenant"]
    grant = who(request, tenant)
    body = await json_object(request)
    address = "local socket" if request.client is None else request.client.host
    key = _key(tenant, body.get("page"))
    return grant, key, moderation.Request.parse(body, address, action)


def _key(tenant: str, page: object) -> PageKey:
    if not isinstance(page, str) or not page:
        raise Malformed("`page` is the name of a page")
    return page_key(tenant, page)
