"""From a request to a Grant, and whether a grant still holds.

Whoever comes is judged in this order: the tenant, the site (Origin), the token or ticket, what an
open tenant believes, what a tenant lets anonymous visitors do; then revocations and roles given by
hand. `reconsider` asks the last questions again for somebody who is already here.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from crdt_chat.config import Config
from crdt_chat.errors import Forbidden, Malformed, NotFound, RemoteFault, Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.access import sso, tokens
from crdt_chat.server.access.asked import Asked, cookie_name
from crdt_chat.server.access.keys import SERVER, SSO, TenantKey
from crdt_chat.server.access.origins import admitted, parse_domains
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.access.tenants import Tenant, Tenants
from crdt_chat.server.access.tickets import Tickets
from crdt_chat.server.access.tokens import ANONYMOUS, NAME_LIMIT, USER_LIMIT, is_clean
from crdt_chat.server.audit.denials import Denials

PAGE_LIMIT = 2_048
"""Characters of a page name."""

VISITOR, OPERATOR = "crdt-chat-visitor", "crdt-chat-operator"
"""Audiences of what this server signs for itself; no tenant's token has them."""

VISITOR_S = 365 * 24 * 3600.0
"""How long an anonymous visitor is known again after her last visit."""

SESSION_S = 12 * 3600.0
"""How long a legacy client may use the id that it was given instead of its sso."""

OPERATORS = ""
"""The tenant of operators' tokens: no page belongs to it."""

DEMO = "demo"


@dataclass(slots=True)
class Authority:
    """Decides who asks.

    secret: this server's own, 32 bytes or more. now: ms since the epoch. new_id makes the id of a
    visitor who brings none. denials: who was refused, for the audit log.
    """

    tenants: Tenants
    revocations: Revocations
    tickets: Tickets
    secret: bytes = field(repr=False)
    now: Callable[[], int]
    new_id: Callable[[], str]
    denials: Denials
    _own_keys: Mapping[str, TenantKey] = field(init=False, repr=False)

    def renew(self, secret: bytes) -> None:
        """From now on this is the server's secret: nothing that the old one signed is good."""
        self.secret = secret
        self.__post_init__()

    def __post_init__(self) -> None:
        # derived, so that no other use of the secret can be mistaken for a token
        derived = hmac.new(self.secret, b"tokens", hashlib.sha256).hexdigest()
        self._own_keys = {SERVER: TenantKey(SERVER, "HS256", derived)}

    @property
    def config(self) -> Config:
        """The settings in force, with the tenants of the database."""
        return self.tenants.config

    def tenant(self, name: str) -> Tenant:
        """The tenant of this name. Raises NotFound."""
        found = self.tenants.find(name)
        if found is None:
            raise NotFound("there is no such tenant here")
        return found

    def denied(self, tenant: str | None, address: str, fault: RemoteFault) -> None:
        """Count for the audit log who is told 401 or 403, as far as it is about who she is.

        tenant: as she named it. Refused operations are counted elsewhere (refusals.py).
        """
        if isinstance(fault, Unauthorized | Forbidden) and not fault.operations:
            known = tenant if tenant and self.tenants.find(tenant) else OPERATORS
            self.denials.note(known, address, fault.user, str(fault))

    def grant(self, tenant: str, asked: Asked, page: str | None = None) -> Grant:
        """The grant of whoever asks for a page of `tenant` (None: for no page in particular).

        Raises NotFound for an unknown tenant, Forbidden for a foreign site, Unauthorized where the
        tenant is closed to this visitor, Malformed for a user id or name that can't be one.
        """
        found = self.reached(tenant, asked)
        return self.reconsider(self._judge(found, asked, page))

    def reached(self, name: str, asked: Asked) -> Tenant:
        """The tenant, if this request may come near it at all. Raises NotFound, Forbidden."""
        found = self.tenant(name)
        if self._is_demo(name) and not asked.local:
            # Open to all who run it, so not to all who can reach this machine.
            raise NotFound("there is no such tenant here")
        if not self.welcomes(found, asked):
            raise Forbidden("this web site may not use this tenant")
        return found

    def welcomes(self, tenant: Tenant, asked: Asked) -> bool:
        """Whether a request from its site (CORS, WebSocket) may use the tenant."""
        domains = tenant.domains
        if not domains and self._is_demo(tenant.settings.name):
            # Any web site can make a reader's browser connect to her own machine.
            domains = parse_domains(["localhost"])
        return admitted(asked.origins, domains, is_open=tenant.settings.open)

    def _is_demo(self, name: str) -> bool:
        """Whether this is the demo, and nobody has said that others may see it."""
        config = self.tenants.config
        return name == DEMO and config.demo and DEMO not in config.open_tenants

    def _judge(self, tenant: Tenant, asked: Asked, page: str | None) -> Grant:
        name, is_open = tenant.settings.name, tenant.settings.open
        if asked.token is not None and (tenant.keys or not is_open or self._is_own(asked.token)):
            return self.read(asked.token, tenant)
        if asked.ticket is not None:
            return self.tickets.redeem(asked.ticket, name, page)
        if is_open:
            return self._believed(name, asked)
        return self._visitor(tenant, asked)

    def _is_own(self, token: str) -> bool:
        """Whether this server says to have signed it; an open tenant ignores what others signed."""
        try:
            return tokens.kid_of(token) == SERVER
        except Unauthorized:
            return False

    def read(self, token: str, tenant: Tenant) -> Grant:
        """What a token grants on the tenant, whatever was revoked. Raises Unauthorized."""
        name, now = tenant.settings.name, self.now() / 1000
        if tokens.kid_of(token) == SERVER:
            return tokens.read(token, self._own_keys, name, VISITOR, now)
        return tokens.read(token, tenant.keys, name, self.tenants.config.audience, now)

    def operator(self, token: str) -> Grant:
        """What an operator's token grants. Raises Unauthorized."""
        grant = tokens.read(token, self._own_keys, OPERATORS, OPERATOR, self.now() / 1000)
        try:
            return self.revocations.apply(grant)
        except Unauthorized as fault:
            fault.user = grant.user
            raise

    def _believed(self, tenant: str, asked: Asked) -> Grant:
        """An open tenant believes who somebody says to be."""
        user = asked.user or f"anon-{self.new_id()}"
        name = asked.name or user
        if len(user) > USER_LIMIT or not is_clean(user):
            raise Malformed("a user id has 1 to 255 characters, none of them control characters")
        return Grant(tenant, user, _display_name(name), Role.EDITOR)

    def _visitor(self, tenant: Tenant, asked: Asked) -> Grant:
        """An anonymous visitor: known again by the cookie that we signed, or new."""
        if tenant.anonymous is None:
            raise Unauthorized("this tenant needs a token")
        cookie = asked.cookies.get(cookie_name(tenant.settings.name))
        name = _display_name(asked.name or "Anonymous")
        if cookie is not None:
            try:
                known = self.read(cookie, tenant)
                return replace(known, name=name, expires=self.now() / 1000 + VISITOR_S)
            except Unauthorized:
                # Too old, or signed before the server's secret changed: she is somebody new.
                pass
        return self.new_visitor(tenant.settings.name, name)

    def new_visitor(self, tenant: str, name: str) -> Grant:
        """Somebody nobody knows, under an id that she did not choose."""
        now = self.now() / 1000
        user = f"{ANONYMOUS}{self.new_id()}"
        return Grant(
            tenant, user, name, Role.VIEWER, expires=now + VISITOR_S, issued=now, key=SERVER
        )

    def reconsider(self, grant: Grant) -> Grant:
        """The grant as it holds now: its role may have changed. Raises Unauthorized."""
        tenant = self.tenants.find(grant.tenant)
        if tenant is None:
            raise Unauthorized("this tenant is not served any more")
        if grant.expires is not None and grant.expires * 1000 <= self.now():
            raise Unauthorized("the token has expired")
        try:
            return self.revocations.apply(self._vouched(grant, tenant))
        except Unauthorized as fault:
            fault.user = vouched_user(grant)
            raise

    def _vouched(self, grant: Grant, tenant: Tenant) -> Grant:
        """The grant, if what vouched for it still does."""
        if grant.key == SERVER:
            role = Role.EDITOR if tenant.settings.open else tenant.anonymous
            if role is None:
                raise Unauthorized("this tenant needs a token")
            return replace(grant, role=role)
        if grant.key is None:
            holds = tenant.settings.open
        elif grant.key.startswith(f"{SSO}:"):
            secret = tenant.settings.sso_secret
            holds = bool(secret) and grant.key == sso.key_name(secret)
        else:
            holds = grant.key in tenant.keys
        if not holds:
            raise Unauthorized("this tenant needs a token of today's keys")
        return grant

    def signed_on(self, tenant: Tenant, said: Mapping[str, object]) -> Grant:
        """The grant of a legacy secure SSO (as sso.parse gave it). Raises Unauthorized."""
        secret = tenant.settings.sso_secret
        if not secret:
            raise Unauthorized("signed sso is not set up for this tenant")
        return self.reconsider(sso.verify(said, secret, tenant.settings.name, self.now()))

    def sign_own(self, grant: Grant, *, audience: str = VISITOR) -> str:
        """A token of this server's for somebody whom it knows; the grant must expire."""
        claims = tokens.claims_of(grant, audience)
        if grant.key not in (None, SERVER):
            claims["vouched"] = grant.key
        return tokens.sign(claims, self._own_keys[SERVER])

    def cookie(self, grant: Grant, *, secure: bool) -> str:
        """The Set-Cookie that makes an anonymous visitor known again."""
        # In a widget on somebody's page we are a third party: only SameSite=None reaches us there,
        # and browsers take that over TLS only. The Origin check stands in for SameSite.
        site = "SameSite=None; Secure" if secure else "SameSite=Lax"
        name, value = cookie_name(grant.tenant), self.sign_own(grant)
        return f"{name}={value}; Path=/; Max-Age={VISITOR_S:.0f}; HttpOnly; {site}"

    def session(self, grant: Grant) -> str:
        """What a legacy client may show instead of its sso or token for half a day."""
        until = self.now() / 1000 + SESSION_S
        return self.sign_own(replace(grant, expires=min(grant.expires or until, until)))


def page_key(tenant: str, page: str) -> PageKey:
    """The key of a page as a request names it. Raises NotFound for a name that cannot be one."""
    if not 0 < len(page) <= PAGE_LIMIT or not is_clean(page):
        raise NotFound("a page name has 1 to 2,048 characters, none of them control characters")
    return PageKey(tenant, page)


def covered(grant: Grant, key: PageKey) -> PageKey:
    """The page, if the grant is for it. Raises Forbidden."""
    if not grant.covers(key):
        raise forbidden(grant, "your token is not for this page")
    return key


def vouched_user(grant: Grant) -> str:
    """Whose grant it is; "" for what an open tenant believed: there anybody may say any name."""
    believed = grant.key in (None, SERVER) and not grant.user.startswith(ANONYMOUS)
    return "" if believed else grant.user


def forbidden(grant: Grant, message: str) -> Forbidden:
    """The fault of somebody whose grant does not allow this."""
    fault = Forbidden(message)
    fault.user = vouched_user(grant)
    return fault


def _display_name(name: str) -> str:
    if len(name) > NAME_LIMIT or not is_clean(name):
        raise Malformed("a name has at most 200 characters, none of them control characters")
    return name
