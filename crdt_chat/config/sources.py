"""Where settings come from: flag > CRDT_CHAT_* variable > TOML file > default.

The only module that reads the environment. In the file `port` and its like stand at the top, limits
in `[limits]` and `[page]`, what is per tenant in `[tenants.NAME]` and `[tenants.NAME.page]`. What
cannot be used is refused in one sentence that names its source, and never silently ignored.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any

from crdt_chat.config.convert import convert
from crdt_chat.config.settings import (
    SERVED,
    Config,
    KeySettings,
    Limits,
    TenantSettings,
    tenant_defaults,
)
from crdt_chat.errors import CrdtChatError
from crdt_chat.page.limits import PageLimits

PREFIX = "CRDT_CHAT_"
LIMITS = PREFIX + "LIMITS"
TenantTable = tuple[str, dict[str, Any]]


class BadSetting(CrdtChatError):
    """A setting that cannot be used; the message is one sentence for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `name` as in the file (`limits.frame_bytes`), `env` its environment variable."""

    name: str
    kind: type
    default: Any
    unit: str
    about: str
    over: str = ""
    choices: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """The environment variable of this setting: CRDT_CHAT_LIMITS is short for limits_off."""
        return LIMITS if self.name == "limits_off" else PREFIX + _env_tail(self.name)


PAGE_ABOUT = {
    "body": ("characters", "text of a comment"),
    "quote": ("characters", "`exact` of a quote selector"),
    "context": ("characters", "`prefix` and `suffix` of a quote selector, each"),
    "title": ("characters", "title of an annotation or page"),
    "broadcast_id": ("characters", "a broadcastId"),
    "source": ("characters", "`source` of a target"),
    "url_id_with_range": ("characters", "legacy urlIdWithRange"),
    "selectors": ("selectors", "selectors of one target"),
    "annotations": ("annotations", "live annotations of a page"),
    "comments": ("comments", "live comments of a page"),
    "reactions_per_user": ("reactions", "of one user on one comment"),
    "state": ("bytes", "encoded document of a page"),
    "commenters_annotate": ("bool", "commenters may start discussions, not only reply"),
    "editors_resolve": ("bool", "editors may resolve anybody's discussion"),
    "any_writer_resolves": ("bool", "commenters and editors may resolve anybody's discussion"),
    "clock_ahead_ms": ("ms", "how far a peer's time stamps may be ahead of ours"),
}


ROLES = ("", "viewer", "commenter", "editor")
TENANT_ONLY = (
    Setting("open", bool, False, "bool", "anybody may read and write"),
    Setting("domains", tuple, (), "names", "web sites that may use it"),
    Setting(
        "anonymous", str, "", "role", "of visitors without a token; none: not let in", "", ROLES
    ),
    Setting(
        "jwks", str, "", "path", "a JWKS file with its public keys, read again when it changes"
    ),
    Setting("sso_secret", str, "", "text", "API secret of legacy secure SSO"),
)
"""What only a tenant has."""


def settings() -> Iterator[Setting]:
    """Every setting of a server, in the order of the documentation."""
    for prefix, owner in (("", Config), ("limits.", Limits)):
        for item in fields(owner):
            if item.metadata:
                yield Setting(prefix + item.name, _kind(item), item.default, **item.metadata)
    for item in fields(PageLimits):
        unit, about = PAGE_ABOUT.get(item.name, ("", item.name))
        default = getattr(SERVED, item.name)
        yield Setting("page." + item.name, _kind(item), default, unit, about)


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Config:
    """The configuration in force.

    flags: setting name to value, as the command line read them (None: not given). environ: None
    reads the process environment. file: a TOML file; else the one that CRDT_CHAT_CONFIG names.
    Raises BadSetting with one sentence that names the source, the setting and what would be right.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(PREFIX + "CONFIG")
    chosen = file or (Path(named) if named else None)
    known = {setting.name: setting for setting in settings()}
    tenants, values = _from_file(chosen, known) if chosen else ([], {})
    values |= _from_environment(environ, known)
    for name, value in (flags or {}).items():
        if name not in known:
            raise BadSetting(f"the setting {name} is unknown{_hint(name, known)}")
        if value is not None:
            values[name] = _convert(known[name], value, _flag(name))
    return _build(values, tenants)


def _flag(name: str) -> str:
    if name == "open_tenants":
        return "--open-tenant"
    return f"--set {name}" if "." in name else "--" + name.replace("_", "-")


def _limits_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise BadSetting(f"{LIMITS} must be on or off, not {text!r}")
    return text == "off"


def _env_tail(name: str) -> str:
    return name.upper().replace(".", "_")


def _kind(item: "Field[Any]") -> type:
    return Path if isinstance(item.default, Path) else type(item.default)


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Setting]) -> dict[str, Any]:
    by_env = {setting.env: setting for setting in known.values()}
    values = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name == PREFIX + "CONFIG":
            continue
        if name not in by_env:
            raise BadSetting(f"the environment variable {name} is unknown{_hint(name, by_env)}")
        setting = by_env[name]
        values[setting.name] = (
            _limits_off(text) if name == LIMITS else _convert(setting, text, name)
        )
    return values


def _from_file(
    path: Path, known: Mapping[str, Setting]
) -> tuple[list[TenantTable], dict[str, Any]]:
    import tomllib  # lazily: --help needs no parser

    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSetting(f"cannot read the settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"the settings file {path} is not TOML: {error}") from error
    tenants = [
        (name, _tenant_table(name, body, path, known))
        for name, body in _table(table.pop("tenants", {}), path, "tenants").items()
    ]
    return tenants, _settings_in(table, path, known, "")


def _tenant_table(
    name: str, body: object, path: Path, known: Mapping[str, Setting]
) -> dict[str, Any]:
    where = f"tenants.{name}"
    table = dict(_table(body, path, where))
    keys = _table(table.pop("keys", {}), path, f"{where}.keys")
    values = _settings_in(table, path, _per_tenant(known), where)
    if keys:
        values["keys"] = tuple(
            _key(kid, key, path, f"{where}.keys.{kid}") for kid, key in keys.items()
        )
    return values


def _key(kid: str, body: object, path: Path, where: str) -> KeySettings:
    table = _table(body, path, where)
    wrong = table.keys() - {"algorithm", "secret", "public_key"}
    material = [table[name] for name in ("secret", "public_key") if name in table]
    algorithm = table.get("algorithm", "HS256")
    if wrong or len(material) != 1 or not all(isinstance(it, str) for it in (*material, algorithm)):
        raise BadSetting(
            f"{path}: {where} has an `algorithm` and either a `secret` or a `public_key` (PEM)"
        )
    return KeySettings(kid, str(algorithm), str(material[0]))


def _table(value: object, path: Path, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadSetting(f"{path}: {where} is a table: write [{where}]")
    return value


def _settings_in(
    table: object, path: Path, known: Mapping[str, Setting], where: str
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in _table(table, path, where).items():
        if any(name.startswith(key + ".") for name in known):
            inner = _table(value, path, f"{where}.{key}".lstrip("."))
            flat: dict[str, object] = {f"{key}.{name}": item for name, item in inner.items()}
        else:
            flat = {key: value}
        for name, item in flat.items():
            full = f"{where}.{name}".lstrip(".")
            if name not in known:
                raise BadSetting(f"{path}: the setting {full} is unknown{_hint(name, known)}")
            values[name] = _convert(known[name], item, f"{path}: {full}")
    return values


def _per_tenant(known: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings that `[tenants.NAME]` may hold, under the names that they have there."""
    own = {item.name for item in fields(TenantSettings)}
    inside = {
        name.removeprefix("limits."): setting
        for name, setting in known.items()
        if name.startswith("page.") or name.removeprefix("limits.") in own
    }
    return inside | {setting.name: setting for setting in TENANT_ONLY}


def _build(values: Mapping[str, Any], tenants: list[TenantTable]) -> Config:
    parts: dict[str, dict[str, Any]] = {"": {}, "limits": {}, "page": {}}
    for name, value in values.items():
        group, _, rest = name.rpartition(".")
        parts[group][rest] = value
    limits, page = Limits(**parts["limits"]), replace(SERVED, **parts["page"])
    return Config(
        **parts[""],
        limits=limits,
        page=page,
        tenants=tuple(_tenant(name, table, limits, page) for name, table in tenants),
    )


def tenant_settings(name: str, values: Mapping[str, object], config: Config) -> TenantSettings:
    """The settings of a tenant that the database holds: `values` by the names of `[tenants.NAME]`.

    Limits of a page are written `page.body`. Raises BadSetting.
    """
    known = _per_tenant({setting.name: setting for setting in settings()})
    table: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known or key == "jwks":
            raise BadSetting(f"the setting {key} is unknown for a tenant{_hint(key, known)}")
        table[key] = _convert(known[key], value, key)
    return _tenant(name, table, config.limits, config.page)


def _tenant(
    name: str, table: Mapping[str, Any], limits: Limits, page: PageLimits
) -> TenantSettings:
    own = {key: value for key, value in table.items() if "." not in key}
    inner = {key.removeprefix("page."): value for key, value in table.items() if "." in key}
    return replace(tenant_defaults(name, limits, page), page=replace(page, **inner), **own)


def _convert(setting: Setting, value: object, source: str) -> Any:
    """`value` as the type of `setting`; `source` begins the sentence if it cannot be."""
    try:
        converted = convert(setting.kind, setting.unit, value)
    except ValueError as error:
        raise BadSetting(f"{source} must be {error}") from None
    if setting.choices and converted not in setting.choices:
        named = ", ".join(filter(None, setting.choices))
        raise BadSetting(f"{source} must be one of {named}, not {value!r}")
    if setting.name == "port" and converted > 65_535:
        raise BadSetting(f"{source} must be a port from 0 to 65535, not {value!r}")
    return converted


def _hint(name: str, known: Iterable[str]) -> str:
    import difflib  # lazily: only a mistake pays for it

    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else "; `crdt-chat settings` lists them all"
