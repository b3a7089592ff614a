"""Whether a request was made on this very machine: its own people see /metrics without a token."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from crdt_chat.server.access.origins import LOCAL, is_local

FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of a request that came through a proxy: its loopback address is the proxy's."""


def is_direct_loopback(host: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request of this host was made on this machine, under a name of it, and by no proxy.

    The name, because any web site can let its own name mean 127.0.0.1 to a reader's browser (DNS
    rebinding); what she has here would be of its own origin then.
    """
    if host is None or not _is_loopback(host) or any(name in headers for name in FORWARDING):
        return False
    return is_local(_hostname(headers.get("host", LOCAL)))


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # a dual-stack socket sees 127.0.0.1 as ::ffff:127.0.0.1
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hostname(host: str) -> str:
    """The name in a Host header, "" for what is none (RFC 9110, 7.2)."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
