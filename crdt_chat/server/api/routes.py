"""The table of the JSON API. Every route names who may call it; tests/interop enumerates them."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from crdt_chat.errors import Malformed
from crdt_chat.server.admin.administration import Administration, Caller
from crdt_chat.server.admin.requested import wanted_audit
from crdt_chat.server.api.answers import answer, guarded, json_object, nothing, tenant_in_path
from crdt_chat.server.api.callers import caller_of
from crdt_chat.server.api.visits import Visits, tenant_in_query
from crdt_chat.server.web.answers import route

ROOT = "/api/v1"
LOCAL = Caller("operator", "local socket")
"""Whoever may open the socket file: its mode is 0600."""

CallerOf = Callable[[Request, str | None], Caller]
Verb = Callable[[Request, Caller], Awaitable[Response]]


def routes(administration: Administration) -> list[BaseRoute]:
    """All routes for the network; each admin's verb needs a token."""
    authority = administration.authority
    visits = Visits(authority)
    found: list[BaseRoute] = [
        route(f"{ROOT}/{name}", ["POST"], guarded(handler, authority, tenant_in_query))
        for name, handler in (("tickets", visits.ticket), ("visitors", visits.visitor))
    ]
    return found + _admin_routes(
        administration, lambda request, tenant: caller_of(request, authority, tenant)
    )


def local_routes(administration: Administration) -> list[BaseRoute]:
    """The admin's routes for the local socket: whoever reaches it is the operator."""
    verbs = _Verbs(administration)
    # Only who may read the file can make a copy of it, so only here can one be noted.
    backups = _route(administration, _local, "POST", f"{ROOT}/backups", verbs.note_backup)
    secret = _route(administration, _local, "POST", f"{ROOT}/operators/secret", verbs.renew_secret)
    return [*_admin_routes(administration, _local), backups, secret]


def _local(_request: Request, _tenant: str | None) -> Caller:
    return LOCAL


def _admin_routes(administration: Administration, who: CallerOf) -> list[BaseRoute]:
    verbs = _Verbs(administration)
    one = ROOT + "/tenants/{tenant}"
    table: list[tuple[str, str, Verb]] = [
        ("GET", f"{ROOT}/tenants", verbs.tenants),
        ("POST", f"{ROOT}/tenants", verbs.add),
        ("GET", one, verbs.show),
        ("PATCH", one, verbs.change),
        ("DELETE", one, verbs.remove),
        ("POST", f"{one}/keys", verbs.add_key),
        ("DELETE", one + "/keys/{key:path}", verbs.remove_key),
        ("POST", f"{one}/tokens", verbs.issue),
        ("GET", f"{one}/revocations", verbs.revocations),
        ("POST", f"{one}/revocations", verbs.revoke),
        ("DELETE", one + "/revocations/{number:int}", verbs.forgive),
        ("PUT", one + "/roles/{user:path}", verbs.set_role),
        ("DELETE", one + "/roles/{user:path}", verbs.unset_role),
        ("GET", f"{one}/audit", verbs.audit),
        ("GET", f"{ROOT}/audit", verbs.audit),
        ("POST", f"{ROOT}/operators/tokens", verbs.issue_operator),
        ("POST", f"{ROOT}/operators/revocations", verbs.revoke_operator),
    ]
    return [_route(administration, who, *row) for row in table]


def _route(
    administration: Administration, who: CallerOf, method: str, path: str, verb: Verb
) -> BaseRoute:
    async def handler(request: Request) -> Response:
        return await verb(request, who(request, tenant_in_path(request)))

    return route(path, [method], guarded(handler, administration.authority))


class _Verbs:
    def __init__(self, administration: Administration) -> None:
        self._do = administration

    async def tenants(self, _request: Request, caller: Caller) -> Response:
        return answer({"tenants": self._do.tenants(caller)})

    async def add(self, request: Request, caller: Caller) -> Response:
        body = await json_object(request)
        name = body.pop("name", None)
        return answer(await self._do.add(caller, name, body), 201)

    async def show(self, request: Request, caller: Caller) -> Response:
        return answer(self._do.show(caller, request.path_params["tenant"]))

    async def change(self, request: Request, caller: Caller) -> Response:
        body = await json_object(request)
        return answer(await self._do.change(caller, request.path_params["tenant"], body))

    async def remove(self, request: Request, caller: Caller) -> Response:
        await self._do.remove(caller, request.path_params["tenant"])
        return nothing()

    async def add_key(self, request: Request, caller: Caller) -> Response:
        body = await json_object(request)
        keys = await self._do.add_key(caller, request.path_params["tenant"], body)
        return answer({"keys": keys}, 201)

    async def remove_key(self, request: Request, caller: Caller) -> Response:
        names = request.path_params
        await self._do.remove_key(caller, names["tenant"], names["key"])
        return nothing()

    async def issue(self, request: Request, caller: Caller) -> Response:
        body, token_id = await json_object(request), self._do.authority.new_id()
        tenant = request.path_params["tenant"]
        return answer(await self._do.issue(caller, tenant, body, token_id), 201)

    async def issue_operator(self, request: Request, caller: Caller) -> Response:
        body, token_id = await json_object(request), self._do.authority.new_id()
        return answer(await self._do.issue_operator(caller, body, token_id), 201)

    async def revocations(self, request: Request, caller: Caller) -> Response:
        found = self._do.revocations(caller, request.path_params["tenant"])
        return answer({"revocations": found})

    async def revoke(self, request: Request, caller: Caller) -> Response:
        body = await json_object(request)
        return answer(await self._do.revoke(caller, request.path_params["tenant"], body), 201)

    async def revoke_operator(self, request: Request, caller: Caller) -> Response:
        caller.require_operator()
        return answer(await self._do.revoke(caller, "", await json_object(request)), 201)

    async def forgive(self, request: Request, caller: Caller) -> Response:
        names = request.path_params
        await self._do.forgive(caller, names["tenant"], names["number"])
        return nothing()

    async def set_role(self, request: Request, caller: Caller) -> Response:
        names, body = request.path_params, await json_object(request)
        if not isinstance(body.get("role"), str):
            raise Malformed("`role` is the name of a role")
        await self._do.set_role(caller, names["tenant"], names["user"], body["role"])
        return nothing()

    async def unset_role(self, request: Request, caller: Caller) -> Response:
        names = request.path_params
        await self._do.set_role(caller, names["tenant"], names["user"], None)
        return nothing()

    async def renew_secret(self, _request: Request, caller: Caller) -> Response:
        await self._do.renew_secret(caller)
        return nothing()

    async def note_backup(self, request: Request, caller: Caller) -> Response:
        await self._do.note_backup(caller, await json_object(request))
        return nothing()

    async def audit(self, request: Request, caller: Caller) -> Response:
        wanted = wanted_audit(request.query_params)
        found = await self._do.audit(caller, tenant_in_path(request), wanted)
        return answer({"entries": found})
