"""What a server may be told: Config, its Limits and tenants (settings), and `load` (sources)."""

from crdt_chat.config.settings import Config, KeySettings, Limits, TenantSettings
from crdt_chat.config.sources import BadSetting, Setting, load, settings, tenant_settings

__all__ = [
    "BadSetting",
    "Config",
    "KeySettings",
    "Limits",
    "Setting",
    "TenantSettings",
    "load",
    "settings",
    "tenant_settings",
]
