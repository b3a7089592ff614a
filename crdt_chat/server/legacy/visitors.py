"""Who makes a legacy request, by query, `sso`, `/sub` token or cookie; the Authority decides.

All of these are believed on an open tenant only; what the Authority refuses stays refused.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.responses import Response

from crdt_chat.errors import Malformed, Unauthorized
from crdt_chat.identity import Grant
from crdt_chat.protocol.url_ids import user_of, user_token
from crdt_chat.server.auth import Authority

COOKIE = "fastcomments.sid"
"""The session cookie of legacy clients: all that browser widgets know a visitor by."""

COOKIE_SECONDS = 365 * 24 * 3600
SSO_LIMIT = 16_384
"""Characters of the `sso` parameter."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person for the length of a request. session: a cookie to set, None if nothing is new."""

    grant: Grant
    session: str | None = None

    @property
    def token(self) -> str:
        """The userIdWS that makes `/sub` and the event log know this person again."""
        return user_token(self.grant.user, self.grant.name)

    def remember(self, response: Response, *, secure: bool) -> None:
        """Set the session cookie, if this visitor came without one."""
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

    Raises NotFound, Unauthorized or Malformed as Authority.grant does, Malformed for a broken sso.
    """
    said = _said(connection.query_params)
    session = None
    if said is None:
        session = connection.cookies.get(COOKIE)
        known = session is not None
        session = session or new_id()
        said = anonymous(session)
        session = None if known else session
    user, name = said
    grant = authority.grant(tenant, {"user": user, "name": name})
    return Visitor(grant, session)


def anonymous(session: str) -> tuple[str, str]:
    """(user id, name) of the visitor behind a session: the id is public, the session is not."""
    return f"anon:{hashlib.sha256(session.encode()).hexdigest()[:20]}", "Anonymous"


def _said(query: Mapping[str, str]) -> tuple[str, str] | None:
    """(user id, name) as the query gives it, None where it says nothing."""
    if query.get("user"):
        return query["user"], query.get("name") or query["user"]
    if query.get("sso"):
        return _sso(query["sso"])
    if query.get("userIdWS"):
        return user_of(query["userIdWS"])
    return None


def _sso(text: str) -> tuple[str, str] | None:
    """(user id, name) of a simple `sso` parameter; its three published shapes (legacy-protocol 9).

    None for one without a user (login links only). Raises Unauthorized for a signed one: that needs
    the tenant's secret. Raises Malformed.
    """
    if len(text) > SSO_LIMIT:
        raise Malformed("sso is too long")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("sso must be JSON") from None
    if isinstance(said, str):
        said = {"username": said}
    if not isinstance(said, dict):
        raise Malformed("sso must be a JSON object")
    if said.get("userDataJSONBase64"):
        raise Unauthorized("signed sso is not set up for this tenant")
    person = said.get("simpleSSOUser", said)
    username = person.get("username") if isinstance(person, dict) else None
    if username is None:
        return None
    shown = person.get("displayName") or username
    if not isinstance(username, str) or not isinstance(shown, str) or not username:
        raise Malformed("sso.username must be a text")
    return username, shown
