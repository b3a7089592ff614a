"""Who makes a legacy request: by token, signed `sso`, or what an open tenant believes.

On an open tenant query, simple `sso`, `/sub` token and cookie are believed. A closed tenant believes
what is signed: our tokens, secure SSO (legacy-protocol 9), or the userIdWS that we signed for either.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant
from crdt_chat.protocol.url_ids import user_of, user_token
from crdt_chat.server.access import sso
from crdt_chat.server.access.asked import Asked, asked_by
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.access.keys import SERVER
from crdt_chat.server.access.tenants import Tenant

COOKIE = "fastcomments.sid"
"""The session cookie of legacy clients: all that browser widgets know a visitor by."""

COOKIE_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person for the length of a request. session: a cookie to set, None if nothing is new.

    signed: what a closed tenant's visitor may show instead of her token or sso; cookie: the
    Set-Cookie of an anonymous one.
    """

    grant: Grant
    session: str | None = None
    signed: str | None = None
    cookie: str | None = None

    @property
    def token(self) -> str:
        """The userIdWS that makes `/sub` and the event log know this person again."""
        return self.signed or user_token(self.grant.user, self.grant.name)

    def remember(self, response: Response, *, secure: bool) -> None:
        """Set the session cookie, if this visitor came without one."""
        if self.cookie is not None:
            response.headers.append("set-cookie", self.cookie)
        if self.session is None:
            return
        # A widget on somebody's page is a third party here: only SameSite=None reaches us, and
        # browsers take that over TLS only.
        response.set_cookie(
            COOKIE,
            self.session,
            max_age=COOKIE_SECONDS,
            httponly=True,
            secure=secure,
            samesite="none" if secure else "lax",
        )


def visitor(
    connection: HTTPConnection, tenant: str, authority: Authority, new_id: Callable[[], str]
) -> Visitor:
    """Who asks for a page of `tenant`.

    Raises NotFound, Forbidden, Unauthorized or Malformed as Authority.grant does, Malformed for a
    broken sso.
    """
    asked = asked_by(connection.scope)
    found = authority.reached(tenant, asked)
    query = connection.query_params
    said = sso.parse(query["sso"]) if query.get("sso") and not query.get("user") else None
    if asked.token is None and isinstance(said, dict) and sso.is_signed(said):
        return _vouched(authority.signed_on(found, said), authority, asked)
    if found.settings.open and asked.token is None and asked.ticket is None:
        return _believed(connection, asked, said, tenant, authority, new_id)
    if asked.token is None and query.get("userIdWS"):
        asked = replace(asked, token=_signed(query["userIdWS"], found))
    return _vouched(authority.grant(tenant, asked), authority, asked)


def _signed(user_id: str, tenant: Tenant) -> str | None:
    """A userIdWS that may be one of ours; `anon` and its like only where visitors may come."""
    return None if user_id.count(".") != 2 and tenant.anonymous is not None else user_id


def _vouched(grant: Grant, authority: Authority, asked: Asked) -> Visitor:
    cookie = authority.cookie(grant, secure=asked.secure) if grant.key == SERVER else None
    return Visitor(grant, signed=authority.session(grant), cookie=cookie)


def _believed(
    connection: HTTPConnection,
    asked: Asked,
    sso_said: Any,
    tenant: str,
    authority: Authority,
    new_id: Callable[[], str],
) -> Visitor:
    """A visitor of an open tenant."""
    said = _said(connection.query_params, sso_said)
    session = None
    if said is None:
        session = connection.cookies.get(COOKIE)
        known = session is not None
        session = session or new_id()
        said = anonymous(session)
        session = None if known else session
    user, name = said
    return Visitor(authority.grant(tenant, replace(asked, user=user, name=name)), session)


def anonymous(session: str) -> tuple[str, str]:
    """(user id, name) of the visitor behind a session: the id is public, the session is not."""
    return f"anon:{hashlib.sha256(session.encode()).hexdigest()[:20]}", "Anonymous"


def _said(query: Mapping[str, str], said: Any) -> tuple[str, str] | None:
    """(user id, name) as the query gives it, None where it says nothing."""
    if query.get("user"):
        return query["user"], query.get("name") or query["user"]
    if query.get("sso"):
        return _sso(said)
    if query.get("userIdWS"):
        return user_of(query["userIdWS"])
    return None


def _sso(said: Any) -> tuple[str, str] | None:
    """(user id, name) of a simple `sso` parameter; its three published shapes (legacy-protocol 9).

    None for one without a user (login links only). Raises Malformed.
    """
    if isinstance(said, str):
        said = {"username": said}
    if not isinstance(said, dict):
        raise Malformed("sso must be a JSON object")
    person = said.get("simpleSSOUser", said)
    username = person.get("username") if isinstance(person, dict) else None
    if username is None:
        return None
    shown = person.get("displayName") or username
    if not (type(username) is type(shown) is str and username):
        # A number is no name: sso.parse leaves it as its digits.
        raise Malformed("sso.username must be a text")
    return username, shown
