"""What an administrator can change: each change is stored and audited first, then in force at once.

The JSON API, the local socket and the command line all call these verbs. A caller is an operator
(this whole server) or an admin of one tenant.
"""

import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import anyio

from crdt_chat.config import BadSetting, Config
from crdt_chat.errors import Forbidden, Malformed, NotFound, Restarting
from crdt_chat.server.access import tokens
from crdt_chat.server.access.auth import OPERATOR, OPERATORS, Authority
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.access.tenants import BadTenant, Tenant, TenantBody, Tenants, check_name
from crdt_chat.server.access.tickets import Tickets
from crdt_chat.server.access.tokens import USER_LIMIT
from crdt_chat.server.admin.requested import (
    is_text,
    public,
    wanted_grant,
    wanted_keys,
    wanted_revocation,
    wanted_role,
)
from crdt_chat.server.audit.denials import Denials
from crdt_chat.server.rooms.services import Clock, Ids
from store.protocol import Store
from store.tenants import AuditEntry, AuditWanted, RevocationRow, Trust

log = logging.getLogger(__name__)

KEY_FILES_S = 5.0
"""How often the JWKS files of the settings are looked at."""

ADMINS_OWN = frozenset({"title", "domains", "anonymous"})
"""What a tenant's own admin may set; limits, secrets and `open` are the operator's."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a change. tenant: the one that she is an admin of, None for an operator."""

    name: str
    address: str
    tenant: str | None = None

    def require(self, tenant: str) -> None:
        """Raises Forbidden unless this is an operator or an admin of the tenant."""
        if self.tenant not in (None, tenant):
            raise self.forbidden("only an admin of this tenant may do that")

    def require_operator(self) -> None:
        """Raises Forbidden for anybody but an operator."""
        if self.tenant is not None:
            raise self.forbidden("only an operator of this server may do that")

    def forbidden(self, message: str) -> Forbidden:
        """The fault of this caller, who is known by her token."""
        fault = Forbidden(message)
        fault.user = self.name
        return fault


async def open_authority(config: Config, store: Store, clock: Clock, ids: Ids) -> Authority:
    """The authority over the tenants of the settings and of the store. Raises BadSetting."""
    tenants, revocations = Tenants(config), Revocations()
    tenants.adopt(await store.trust.tenants())
    revocations.adopt(await store.trust.revocations(clock.now()), await store.trust.roles())
    secret = await store.trust.server_secret(ids.origin() + ids.origin())
    tickets = Tickets(clock.monotonic, lambda: ids.origin() + ids.origin())
    denials = Denials(config.limits.denied_named)
    return Authority(tenants, revocations, tickets, secret, clock.now, ids.text, denials)


class Administration:
    """The verbs. Each raises Forbidden, NotFound, or Malformed with a sentence for the caller."""

    def __init__(self, authority: Authority, guard: Guard, trust: Trust) -> None:
        self.authority = authority
        self.trust = trust
        self._guard = guard
        # One change at a time: what is checked must still be so when it is stored.
        self._changing = anyio.Lock()

    # Tenants

    def tenants(self, caller: Caller) -> list[dict[str, Any]]:
        """All tenants, without secrets."""
        caller.require_operator()
        names = self.authority.config.tenant_names()
        return [self._find(name).shown() for name in names]

    def show(self, caller: Caller, name: str) -> dict[str, Any]:
        """One tenant, without secrets."""
        caller.require(name)
        return self._find(name).shown()

    async def add(
        self, caller: Caller, name: object, wanted: Mapping[str, object]
    ) -> dict[str, Any]:
        """Add a closed tenant (or an open one, if `wanted` says so)."""
        caller.require_operator()
        async with self._changing:
            try:
                tenant = check_name(name)
                body = TenantBody().changed(wanted)
                self._addable(tenant)
                self.authority.tenants.check(tenant, body)
            except BadTenant as error:
                raise Malformed(str(error)) from None
            entry = self._entry(caller, tenant, "tenant.add", tenant, dict(public(wanted)))
            if not await self.trust.put_tenant(tenant, body.text(), entry, new=True):
                raise Malformed(f"there is a tenant {tenant} already")
            self._in_force(tenant, body)
        return self._find(tenant).shown()

    def _addable(self, name: str) -> None:
        if self.authority.tenants.in_settings(name):
            raise BadTenant(f"the tenant {name} is in the settings file: change it there")
        if name in self.authority.tenants.bodies:
            raise BadTenant(f"there is a tenant {name} already")

    async def change(
        self, caller: Caller, name: str, wanted: Mapping[str, object]
    ) -> dict[str, Any]:
        """Change some of a tenant's settings; null takes one back."""
        caller.require(name)
        if caller.tenant is not None and not wanted.keys() <= ADMINS_OWN:
            raise caller.forbidden("only an operator of this server may set that")
        detail = dict(public(wanted))
        await self._change(caller, name, "tenant.set", name, detail, lambda b: b.changed(wanted))
        return self._find(name).shown()

    async def remove(self, caller: Caller, name: str) -> None:
        """Remove a tenant: everybody is disconnected, its pages stay in the file, unreachable."""
        caller.require_operator()
        async with self._changing:
            self._body(name)
            entry = self._entry(caller, name, "tenant.remove", name, {})
            await self.trust.remove_tenant(name, entry)
            self.authority.tenants.drop(name)
            self.authority.revocations.drop_tenant(name)
            self._guard.review(name)

    # Keys

    async def add_key(
        self, caller: Caller, name: str, said: Mapping[str, object]
    ) -> list[dict[str, Any]]:
        """Add a key (`id`, `algorithm`, `secret` or `public_key`) or all keys of a `jwks`."""
        caller.require(name)
        keys = wanted_keys(said)
        ids = {"keys": [key.kid for key in keys]}
        await self._change(caller, name, "key.add", name, ids, lambda b: b.with_keys(keys))
        shown: list[dict[str, Any]] = self._find(name).shown()["keys"]
        return shown

    async def remove_key(self, caller: Caller, name: str, kid: str) -> None:
        """Remove a key: whoever came with a token of it is disconnected."""
        caller.require(name)
        if kid not in self._body(name).keys:
            raise NotFound("the tenant has no such key")
        await self._change(caller, name, "key.remove", kid, {}, lambda b: b.without_key(kid))

    # Tokens

    async def issue(
        self, caller: Caller, name: str, said: Mapping[str, object], token_id: str
    ) -> dict[str, Any]:
        """A token of this tenant, signed with its newest secret. token_id becomes its `jti`."""
        caller.require(name)
        tenant = self._find(name)
        key = next((key for key in reversed(list(tenant.keys.values())) if key.signs), None)
        if key is None:
            raise Malformed(
                "the tenant has no secret to sign with: add one, or sign with your private key"
            )
        grant = wanted_grant(name, said, token_id, self.authority.now() // 1000)
        claims = tokens.claims_of(grant, self.authority.config.audience)
        detail = {"role": grant.role.name.lower(), "pages": list(grant.pages), "id": token_id}
        await self.trust.note([self._entry(caller, name, "token.issue", grant.user, detail)])
        return {"token": tokens.sign(claims, key), "id": token_id, "expires": grant.expires}

    async def issue_operator(
        self, caller: Caller, said: Mapping[str, object], token_id: str
    ) -> dict[str, Any]:
        """A token for the whole API of this server, for one operator named `user`."""
        caller.require_operator()
        grant = wanted_grant(
            OPERATORS,
            {**said, "pages": ["*"], "role": "admin"},
            token_id,
            self.authority.now() // 1000,
        )
        await self.trust.note(
            [self._entry(caller, OPERATORS, "token.operator", grant.user, {"id": token_id})]
        )
        token = self.authority.sign_own(grant, audience=OPERATOR)
        return {"token": token, "id": token_id, "expires": grant.expires}

    # Revocations and roles

    async def revoke(self, caller: Caller, name: str, said: Mapping[str, object]) -> dict[str, Any]:
        """Revoke a `token` by its id, all that a `user` was given so far, or the whole tenant's."""
        caller.require(name)
        self._require_known(name)
        row = wanted_revocation(name, said, self.authority.now())
        entry = self._entry(caller, name, f"revoke.{row.kind}", row.subject, {"reason": row.reason})
        async with self._changing:
            row = replace(row, id=await self.trust.revoke(row, entry))
            self.authority.revocations.add(row)
            self._guard.review(name)
        return _shown(row)

    def revocations(self, caller: Caller, name: str) -> list[dict[str, Any]]:
        """A tenant's revocations."""
        caller.require(name)
        self._require_known(name)
        return [_shown(row) for row in self.authority.revocations.of(name)]

    async def forgive(self, caller: Caller, name: str, number: int) -> None:
        """Take a revocation back."""
        caller.require(name)
        entry = self._entry(caller, name, "revoke.undo", str(number), {})
        async with self._changing:
            known = any(row.id == number for row in self.authority.revocations.of(name))
            if not known or not await self.trust.forgive(name, number, entry):
                raise NotFound("there is no such revocation")
            self.authority.revocations.drop(number)

    async def set_role(self, caller: Caller, name: str, user: str, role: object) -> None:
        """Give somebody a role whatever her token says; None lets the token decide again."""
        caller.require(name)
        self._find(name)
        if not is_text(user, USER_LIMIT):
            raise Malformed("that is no user id")
        chosen = None if role is None else wanted_role(role)
        said = None if chosen is None else chosen.name.lower()
        entry = self._entry(caller, name, "role", user, {"role": said})
        async with self._changing:
            await self.trust.put_role(name, user, said, entry)
            roles = self.authority.revocations.roles
            roles.pop((name, user), None)
            if chosen is not None:
                roles[name, user] = chosen
            self._guard.review(name)

    # Audit

    async def audit(
        self, caller: Caller, name: str | None, wanted: AuditWanted
    ) -> list[dict[str, Any]]:
        """What was changed, oldest first: of one tenant, or (operators) of all."""
        if name is None:
            caller.require_operator()
        else:
            caller.require(name)
        rows = await self.trust.audit(name, wanted)
        return [asdict(row) | {"detail": json.loads(row.detail)} for row in rows]

    async def renew_secret(self, caller: Caller) -> None:
        """A new secret of this server: operators', visitors' and sessions' tokens end with the old.

        Everybody who is connected has to come again: what the old one signed may say anything.
        """
        caller.require_operator()
        entry = self._entry(caller, OPERATORS, "secret.renew", OPERATORS, {})
        async with self._changing:
            fresh = secrets.token_bytes(32)
            self.authority.renew(await self.trust.server_secret(fresh, renewal=entry))
            self.authority.tickets.clear()
            self._guard.dismiss(Restarting("show again who you are"))

    async def note_backup(self, caller: Caller, said: Mapping[str, object]) -> None:
        """A copy of the database was made by whoever may read its file."""
        caller.require_operator()
        file, size = said.get("file"), said.get("bytes")
        if not isinstance(file, str) or not isinstance(size, int):
            raise Malformed("`file` is the name of the copy, `bytes` its size")
        entry = self._entry(caller, OPERATORS, "backup", file, {"bytes": size})
        await self.trust.note([entry])

    async def follow_key_files(self) -> None:
        """Read the JWKS files of the settings again when they change."""
        known = self.authority.tenants.key_files()
        while known:
            await anyio.sleep(KEY_FILES_S)
            found = await anyio.to_thread.run_sync(self.authority.tenants.key_files)
            if found != known:
                known = found
                self._reread()

    def _reread(self) -> None:
        try:
            self.authority.tenants.reread()
        except BadSetting as error:
            # Half-written, perhaps: the keys read before stay until a change can be read.
            log.warning("a JWKS file was not taken over", extra={"reason": str(error)})
        else:
            self._guard.review()

    # Below

    async def _change(
        self,
        caller: Caller,
        name: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any],
        change: Any,
    ) -> None:
        async with self._changing:
            try:
                body = change(self._body(name))
                self.authority.tenants.check(name, body)
            except BadTenant as error:
                raise Malformed(str(error)) from None
            entry = self._entry(caller, name, action, subject, detail)
            await self.trust.put_tenant(name, body.text(), entry, new=False)
            self._in_force(name, body)

    def _in_force(self, name: str, body: TenantBody) -> None:
        self.authority.tenants.put(name, body)
        self._guard.review(name)

    def _find(self, name: str) -> Tenant:
        return self.authority.tenant(name)

    def _require_known(self, name: str) -> None:
        if name != OPERATORS:
            self._find(name)

    def _body(self, name: str) -> TenantBody:
        body = self.authority.tenants.bodies.get(name)
        if body is None:
            self._find(name)
            raise Malformed(f"the tenant {name} is in the settings: change it there")
        return body

    def _entry(
        self, caller: Caller, tenant: str, action: str, subject: str, detail: Mapping[str, Any]
    ) -> AuditEntry:
        now, text = self.authority.now(), json.dumps(detail)
        return AuditEntry(now, caller.name, caller.address, tenant, action, subject, text)


def _shown(row: RevocationRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "at": row.at,
        "until": row.until,
        "reason": row.reason,
    }
