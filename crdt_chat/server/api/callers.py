"""Who calls the API: by the Authorization header alone, which no other web site can make us see."""

from starlette.requests import Request

from crdt_chat.errors import Forbidden, NotFound, RemoteFault, Unauthorized
from crdt_chat.identity import Role
from crdt_chat.server.access import tokens
from crdt_chat.server.access.asked import Asked, asked_by
from crdt_chat.server.access.auth import Authority, forbidden
from crdt_chat.server.access.keys import SERVER
from crdt_chat.server.admin.administration import Caller


def caller_of(request: Request, authority: Authority, tenant: str | None) -> Caller:
    """The operator, or admin of `tenant`, who sends this request.

    Raises Unauthorized without a token that holds, Forbidden for a token of lesser role.
    """
    asked = asked_by(request.scope)
    if asked.bearer is None:
        raise Unauthorized("this needs an admin's token in the Authorization header")
    if _is_operators(asked.bearer):
        return _operator(asked, authority)
    if tenant is None:
        raise Forbidden("only an operator of this server may do that")
    try:
        grant = authority.grant(tenant, asked)
    except NotFound:
        # Who has no token of a tenant is not told whether it exists.
        raise Unauthorized("the token is not signed by a key of this tenant") from None
    if grant.key is None or grant.role < Role.ADMIN:
        raise forbidden(grant, "only an admin of this tenant may do that")
    return Caller(grant.user, asked.address, tenant)


def is_operator(authority: Authority, request: Request) -> bool:
    """Whether a request carries an operator's token that holds."""
    try:
        return caller_of(request, authority, None).tenant is None
    except RemoteFault as fault:
        authority.denied(None, "" if request.client is None else request.client.host, fault)
        return False


def operator_of(asked: Asked, authority: Authority) -> str | None:
    """The operator who asks, None if this is no operator's token. Raises Unauthorized, Forbidden."""
    if asked.bearer is None or not _is_operators(asked.bearer):
        return None
    return _operator(asked, authority).name


def _is_operators(token: str) -> bool:
    return tokens.kid_of(token) == SERVER


def _operator(asked: Asked, authority: Authority) -> Caller:
    if asked.origins:
        raise Forbidden("an operator's token is not for web sites")
    assert asked.bearer is not None  # noqa: S101  # caller_of has looked
    return Caller(authority.operator(asked.bearer).user, asked.address)
