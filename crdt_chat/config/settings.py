"""The settings themselves: what a server may be told, with default and unit, as frozen types."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from crdt_chat.page.limits import PageLimits

T = TypeVar("T")
KIB, MIB = 1024, 1024 * 1024
SERVED = PageLimits(clock_ahead_ms=5 * 60 * 1000)
"""How much a page may hold that a server serves, unless it is told otherwise."""

DEFAULT_DB = Path("crdt-chat.db")


def _setting(default: T, unit: str, about: str, over: str = "", choices: tuple[str, ...] = ()) -> T:
    metadata = {"unit": unit, "about": about, "over": over, "choices": choices}
    declared: Any = field(default=default, metadata=metadata)
    return declared  # type: ignore[no-any-return]  # dataclass() replaces the Field by its default


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server process (design 15); how much one page holds is PageLimits.

    `over` says what happens to what is beyond the limit.
    """

    first_batch_bytes: int = _setting(
        16 * MIB, "bytes", "first step 2 of a connection: an offline batch", "close 4413"
    )
    large_frames_bytes: int = _setting(
        64 * MIB,
        "bytes",
        "frames over `frame_bytes` in the process, until judged",
        "the rest wait unread",
    )
    large_frame_s: float = _setting(
        300.0, "s", "for a frame over `frame_bytes` to come in whole", "cut"
    )
    frame_bytes: int = _setting(1 * MIB, "bytes", "any later frame", "close 4413")
    unknown_client_ids: int = _setting(
        1_000, "ids", "ids in a peer's state vector or update that the page has not", "close 4400"
    )
    awareness_bytes: int = _setting(4 * KIB, "bytes", "one awareness state", "dropped")
    awareness_per_s: float = _setting(
        10.0, "changes/s", "awareness changes per connection", "newest kept, older dropped"
    )
    operations_per_s: float = _setting(
        100.0, "operations/s", "sustained per connection, per tenant", "read more slowly"
    )
    operations_burst: float = _setting(
        1_000.0, "operations", "burst per connection, per tenant", "read more slowly"
    )
    refusal_cost: float = _setting(10.0, "operations", "what one refused operation counts")
    rate_patience_s: float = _setting(60.0, "s", "reading slowly before giving up", "close 4529")
    outbox_bytes: int = _setting(
        1 * MIB,
        "bytes",
        "unsent per connection, one state frame exempt",
        "lagging: one merge later",
    )
    outbox_patience_s: float = _setting(60.0, "s", "lagging without any progress", "close 1013")
    state_frames_bytes: int = _setting(
        256 * MIB, "bytes", "state frames in flight in the process", "joiners wait"
    )
    connections_per_address: float = _setting(
        1_000.0, "connections", "from one network address", "close 1013"
    )
    connections_per_user: float = _setting(100.0, "connections", "of one user", "close 1013")
    connections_per_page: float = _setting(5_000.0, "connections", "on one page", "close 1013")
    commit_queue_updates: int = _setting(
        4_096, "updates", "waiting for a commit in the process", "sockets not read until it drains"
    )
    commit_queue_bytes: int = _setting(
        16 * MIB, "bytes", "waiting for a commit in the process", "sockets not read until it drains"
    )
    commit_interval_ms: float = _setting(
        20.0, "ms", "shortest time between frames of a page under load; idle pages wait for nothing"
    )
    slice_ms: float = _setting(50.0, "ms", "longest that one piece of work may hold the event loop")
    page_idle_s: float = _setting(60.0, "s", "an empty page stays in memory; longer while dirty")
    page_rest_s: float = _setting(
        60.0, "s", "a page that nobody writes to stays whole in memory; then as its packed state"
    )
    event_retention_days: float = _setting(
        30.0, "days", "event log, per tenant", "older cursors answer with resync"
    )
    history_retention_days: float = _setting(
        0.0, "days", "history below the snapshot, per tenant; 0 keeps all", "no time travel so far"
    )
    gap_patience_s: float = _setting(
        60.0, "s", "an update that lacks others' structs is asked for again", "judged as it is"
    )
    request_s: float = _setting(
        10.0, "s", "for the head of an HTTP request to come, and again for its body", "cut"
    )
    ping_s: float = _setting(20.0, "s", "between protocol pings")
    pong_s: float = _setting(5.0, "s", "for the answer to a ping", "lost: gone from presence")
    presence_grace_s: float = _setting(3.0, "s", "a lost socket's user stays present")
    presence_renewal_s: float = _setting(
        15.0, "s", "between combined renewals of awareness states to stock clients"
    )
    presence_list_users: int = _setting(
        50, "users", "listed in a presence frame", "count only; the list on request"
    )
    denied_named: int = _setting(
        20,
        "addresses",
        "refused logins that the audit log names each minute",
        "one entry for each of as many tenants, one for the rest",
    )
    moderation_entries: int = _setting(
        100,
        "entries",
        "flags, hidden and closed in a frame for moderators, each",
        "counted; the oldest flags and the newest others are told",
    )
    moderation_rulings: int = _setting(
        20,
        "entries",
        "decisions of moderators, with reasons, in a frame for moderators",
        "counted; the newest are told, `GET /moderation` tells all",
    )
    stop_s: float = _setting(5.0, "s", "a graceful stop", "the rest, never acknowledged, is cut")

    def lifted(self) -> "Limits":
        """These limits without rates and connection counts, for benchmarks; sizes stay."""
        return replace(
            self,
            awareness_per_s=math.inf,
            operations_per_s=math.inf,
            operations_burst=math.inf,
            connections_per_address=math.inf,
            connections_per_user=math.inf,
            connections_per_page=math.inf,
        )


@dataclass(frozen=True, slots=True)
class KeySettings:
    """A key of a tenant as the settings file gives it; material is a secret or a public PEM key."""

    kid: str
    algorithm: str
    material: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """What may differ per tenant: who may come, page limits, rates and retention.

    domains are the sites that may use it, anonymous the role of visitors without a token ("" for
    none), jwks a file of public keys, sso_secret that of legacy secure SSO ("" for none).
    """

    name: str
    open: bool = False
    domains: tuple[str, ...] = ()
    anonymous: str = ""
    jwks: str = ""
    sso_secret: str = field(default="", repr=False)
    keys: tuple[KeySettings, ...] = ()
    page: PageLimits = SERVED
    operations_per_s: float = 100.0
    operations_burst: float = 1_000.0
    event_retention_days: float = 30.0
    history_retention_days: float = 0.0


def tenant_defaults(name: str, limits: Limits, page: PageLimits) -> TenantSettings:
    """What a tenant has that overrides nothing: the process-wide values."""
    return TenantSettings(
        name,
        page=page,
        operations_per_s=limits.operations_per_s,
        operations_burst=limits.operations_burst,
        event_retention_days=limits.event_retention_days,
        history_retention_days=limits.history_retention_days,
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All that a server is told from outside. Build it with `load`, or by hand in a test."""

    host: str = _setting("127.0.0.1", "address", "where to listen")
    port: int = _setting(8700, "port", "where to listen; 0 takes a free one")
    db: Path = field(
        default=DEFAULT_DB,
        metadata={"unit": "path", "about": "the SQLite file; its lock lies beside it"},
    )
    open_tenants: tuple[str, ...] = _setting(
        (), "names", "tenants where anybody may read and write; separated by commas"
    )
    demo: bool = _setting(False, "bool", "open the tenant `demo` and bring its sample page")
    limits_off: bool = _setting(
        False, "bool", "lift rates and connection counts, never sizes; for benchmarks"
    )
    log_level: str = _setting(
        "info", "level", "least severe line written", choices=("debug", "info", "warning", "error")
    )
    log_json: bool = _setting(False, "bool", "one JSON object per line instead of text")
    tls_cert: str = _setting("", "path", "certificate chain (PEM) to serve https and wss with")
    tls_key: str = _setting("", "path", "private key (PEM) of `tls_cert`")
    proxies: tuple[str, ...] = _setting(
        (), "names", "addresses or networks whose X-Forwarded-For and -Proto are believed"
    )
    audience: str = _setting("crdt-chat", "text", "the `aud` that a token must name")
    limits: Limits = field(default_factory=Limits)
    page: PageLimits = SERVED
    tenants: tuple[TenantSettings, ...] = ()
    registered: Mapping[str, TenantSettings] = field(default_factory=dict, repr=False)
    """Tenants that the database holds, kept up to date by the server (server/access/tenants.py)."""

    def tenant(self, name: str) -> TenantSettings | None:
        """The settings in force for tenant `name`; None: there is no such tenant."""
        known = next((tenant for tenant in self.tenants if tenant.name == name), None)
        known = known or self.registered.get(name)
        is_open = name in self.open_tenants or (self.demo and name == "demo")
        if known is None and not is_open:
            return None
        known = known or tenant_defaults(name, self.limits, self.page)
        if self.limits_off:
            return replace(
                known,
                operations_per_s=math.inf,
                operations_burst=math.inf,
                open=known.open or is_open,
            )
        return replace(known, open=True) if is_open else known

    def tenant_names(self) -> tuple[str, ...]:
        """Every tenant there is, in the order in which they were named."""
        named = (*self.open_tenants, *(["demo"] if self.demo else []))
        listed = (tenant.name for tenant in self.tenants)
        return tuple(dict.fromkeys((*named, *listed, *self.registered)))

    def limits_in_force(self) -> Limits:
        """The process limits, with rates lifted where `limits_off` says so."""
        return self.limits.lifted() if self.limits_off else self.limits
