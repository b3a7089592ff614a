"""Every tenant there is: those of the settings, and those of the database, which change live.

What a tenant of the database is, is one JSON object (TenantBody): few rows, always read whole. The
settings win where both name a tenant, so that an operator with a file is never overruled.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from crdt_chat.config import BadSetting, Config, TenantSettings, tenant_settings
from crdt_chat.errors import CrdtChatError
from crdt_chat.identity import Role
from crdt_chat.server.access.keys import BadKey, TenantKey, checked, keys_of_jwks
from crdt_chat.server.access.origins import BadDomain, Domain, parse_domains
from crdt_chat.server.access.tokens import is_clean
from store.tenants import TenantRow

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
"""What a tenant of the database may be called: no two of them look alike in a URL or a log."""

KEYS_LIMIT, TITLE_LIMIT, SECRET_LIMIT = 20, 200, 1_000


class BadTenant(CrdtChatError):
    """A tenant that can't be; the message is one sentence for whoever described it."""


@dataclass(frozen=True, slots=True)
class TenantBody:
    """What the database says of a tenant. settings are by the names of `[tenants.NAME]`."""

    title: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, TenantKey] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "TenantBody":
        """The body as `text` wrote it. Raises BadTenant, BadKey."""
        try:
            said = json.loads(text)
            keys = {kid: checked(kid, *pair) for kid, pair in said["keys"].items()}
            return cls(said["title"], said["settings"], keys)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadTenant("what the database says of the tenant can't be read") from None

    def text(self) -> str:
        """The JSON that `parse` reads."""
        keys = {kid: [key.algorithm, key.material] for kid, key in self.keys.items()}
        body = {"title": self.title, "settings": dict(self.settings), "keys": keys}
        return json.dumps(body)

    def changed(self, wanted: Mapping[str, object]) -> "TenantBody":
        """This with `title` and settings replaced; None or "" takes one back. Raises BadTenant."""
        settings = dict(self.settings)
        title: object = self.title
        for name, value in wanted.items():
            if name == "title":
                title = value or ""
            elif value is None or value in ("", []):
                settings.pop(name, None)
            else:
                settings[name] = value
        # Operators' terminals show it: no escape sequences.
        if not isinstance(title, str) or len(title) > TITLE_LIMIT or not is_clean(title):
            raise BadTenant(
                f"a title is at most {TITLE_LIMIT} characters, none of them control characters"
            )
        return replace(self, title=title, settings=settings)

    def with_keys(self, keys: Iterable[TenantKey]) -> "TenantBody":
        """This with more keys. Raises BadTenant for an id that is taken, or too many."""
        found = dict(self.keys)
        for key in keys:
            if key.kid in found:
                raise BadTenant(f"the tenant has a key {key.kid!r} already")
            found[key.kid] = key
        if len(found) > KEYS_LIMIT:
            raise BadTenant(f"a tenant has at most {KEYS_LIMIT} keys: remove old ones first")
        return replace(self, keys=found)

    def without_key(self, kid: str) -> "TenantBody":
        """This without one key. Raises BadTenant if there is no such key."""
        if kid not in self.keys:
            raise BadTenant(f"the tenant has no key {kid!r}")
        return replace(self, keys={name: key for name, key in self.keys.items() if name != kid})


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as it is in force."""

    settings: TenantSettings
    domains: tuple[Domain, ...]
    keys: Mapping[str, TenantKey]
    anonymous: Role | None
    title: str = ""
    stored: bool = False

    @classmethod
    def of(cls, settings: TenantSettings, body: TenantBody | None = None) -> "Tenant":
        """The tenant with these settings. Raises BadKey, BadDomain, OSError for a JWKS file."""
        keys = {key.kid: checked(key.kid, key.algorithm, key.material) for key in settings.keys}
        if settings.jwks:
            keys |= keys_of_jwks(Path(settings.jwks).read_text("utf-8"))
        if len(settings.sso_secret) > SECRET_LIMIT:
            raise BadKey(f"an SSO secret has at most {SECRET_LIMIT:,} characters")
        return cls(
            settings,
            parse_domains(settings.domains),
            keys if body is None else {**keys, **body.keys},
            Role.parse(settings.anonymous) if settings.anonymous else None,
            "" if body is None else body.title,
            stored=body is not None,
        )

    def shown(self) -> dict[str, Any]:
        """What may be told of it: no secret is in it."""
        settings = self.settings
        return {
            "name": settings.name,
            "title": self.title,
            "open": settings.open,
            "domains": [domain.text for domain in self.domains],
            "anonymous": settings.anonymous or None,
            "sso": bool(settings.sso_secret),
            "keys": [{"id": key.kid, "algorithm": key.algorithm} for key in self.keys.values()],
            "limits": {
                "operations_per_s": settings.operations_per_s,
                "operations_burst": settings.operations_burst,
                "event_retention_days": settings.event_retention_days,
                "history_retention_days": settings.history_retention_days,
                **{f"page.{name}": value for name, value in asdict(settings.page).items()},
            },
            "source": "database" if self.stored else "settings",
        }


class Tenants:
    """Tenant by name. `config` is the one to ask from now on: it knows those of the database."""

    def __init__(self, config: Config) -> None:
        """Parse the tenants of the settings. Raises BadSetting with one sentence."""
        self._registered: dict[str, TenantSettings] = {}
        self._parsed: dict[str, Tenant] = {}
        self._found: dict[str, Tenant] = {}
        self._found_for = config
        self.bodies: dict[str, TenantBody] = {}
        self.config = replace(config, registered=self._registered)
        self._read_files()

    def _read_files(self) -> None:
        # All of them or none: a file that can't be read must not leave half of a change in force.
        fresh = {settings.name: _of_settings(settings) for settings in self.config.tenants}
        self._parsed |= fresh
        self._found.clear()

    def find(self, name: str) -> Tenant | None:
        """The tenant in force under this name, None if there is none."""
        if self._found_for is not self.config:
            self._found, self._found_for = {}, self.config
        found = self._found.get(name)
        if found is not None:
            return found
        settings = self.config.tenant(name)
        if settings is None:
            return None
        parsed = self._parsed.get(name)
        found = Tenant.of(settings) if parsed is None else replace(parsed, settings=settings)
        self._found[name] = found
        return found

    def in_settings(self, name: str) -> bool:
        """Whether the settings describe it, so that the database can't."""
        return any(settings.name == name for settings in self.config.tenants)

    def adopt(self, rows: Iterable[TenantRow]) -> None:
        """Take over what the database says; a tenant that can't be read is not served."""
        for row in rows:
            try:
                self.put(row.name, _body(row))
            except CrdtChatError as error:
                # One damaged row must not keep the others from being served.
                log.warning(
                    "a tenant is not served", extra={"tenant": row.name, "reason": str(error)}
                )

    def check(self, name: str, body: TenantBody) -> Tenant:
        """The tenant that this body would make. Raises BadTenant."""
        try:
            settings = tenant_settings(name, body.settings, self.config)
            return Tenant.of(settings, body)
        except (BadSetting, BadDomain, BadKey) as error:
            raise BadTenant(str(error)) from None

    def put(self, name: str, body: TenantBody) -> None:
        """A tenant of the database is this from now on. Raises BadTenant."""
        tenant = self.check(name, body)
        if self.in_settings(name):
            log.warning("the settings overrule the database", extra={"tenant": name})
            return
        self.bodies[name] = body
        self._registered[name] = tenant.settings
        self._parsed[name] = tenant
        self._found.pop(name, None)

    def drop(self, name: str) -> None:
        """A tenant of the database is no more."""
        self.bodies.pop(name, None)
        self._found.pop(name, None)
        if self._registered.pop(name, None) is not None:
            del self._parsed[name]

    def key_files(self) -> dict[str, int]:
        """When (ns) each JWKS file of the settings was changed last; 0 for one that is gone."""
        return {
            tenant.jwks: _changed(Path(tenant.jwks))
            for tenant in self.config.tenants
            if tenant.jwks
        }

    def reread(self) -> None:
        """Read the JWKS files again. Raises BadSetting; the keys stay as they were then."""
        self._read_files()


def check_name(name: object) -> str:
    """A name for a new tenant. Raises BadTenant."""
    if not isinstance(name, str) or NAME.match(name) is None:
        raise BadTenant("a tenant's name has 1 to 64 of A-Z a-z 0-9 _ -, and begins with no sign")
    return name


def _body(row: TenantRow) -> TenantBody:
    if row.body is None:
        raise BadTenant("its row in the database is damaged")
    return TenantBody.parse(row.body)


def _of_settings(settings: TenantSettings) -> Tenant:
    try:
        return Tenant.of(settings)
    except (BadKey, BadDomain) as error:
        raise BadSetting(f"tenants.{settings.name}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"tenants.{settings.name}: cannot read {settings.jwks}") from error


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
