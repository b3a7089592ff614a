"""POST /api/v1/tickets and /api/v1/visitors: what a web page fetches before it opens a socket."""

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.errors import Malformed
from crdt_chat.server.access.asked import asked_by
from crdt_chat.server.access.auth import Authority, covered, page_key
from crdt_chat.server.access.keys import SERVER
from crdt_chat.server.access.tickets import LIFETIME_S
from crdt_chat.server.api.answers import answer, json_object


@dataclass(frozen=True, slots=True)
class Visits:
    """The two endpoints. The tenant stands in the query, so that a preflight names it, too."""

    authority: Authority

    async def ticket(self, request: Request) -> Response:
        """A one-time ticket `?ticket=` for whoever may come anyway; `page` binds it to one page."""
        tenant = tenant_in_query(request) or ""
        asked = replace(asked_by(request.scope), ticket=None)
        grant = self.authority.grant(tenant, asked)
        page = (await json_object(request)).get("page")
        if page is not None:
            if not isinstance(page, str):
                raise Malformed("`page` is text")
            covered(grant, page_key(tenant, page))
        ticket = self.authority.tickets.issue(grant, page)
        return answer({"ticket": ticket, "seconds": LIFETIME_S}, 201)

    async def visitor(self, request: Request) -> Response:
        """A token for a visitor without one, where the tenant lets such people in.

        Who brings the cookie or the token of an earlier visit is the same visitor again.
        """
        tenant = tenant_in_query(request) or ""
        asked = asked_by(request.scope)
        grant = self.authority.grant(tenant, asked)
        if grant.key != SERVER:
            raise Malformed("this visitor is known already and needs no visitor's token")
        token = self.authority.sign_own(grant)
        body = {"token": token, "user": grant.user, "name": grant.name, "expires": grant.expires}
        response = answer(body, 201)
        cookie = self.authority.cookie(grant, secure=asked.secure)
        response.headers.append("set-cookie", cookie)
        return response


def tenant_in_query(request: Request) -> str | None:
    """The tenant that `?tenant=` names."""
    return request.query_params.get("tenant")
