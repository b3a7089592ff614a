"""Which web sites may use a tenant: the Origin of a request against the tenant's domains.

Any page that a reader has open can make her browser connect here with her cookies; only the
Origin header (RFC 6454) tells which page it was. Programs send none and have no cookies to abuse.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from crdt_chat.errors import CrdtChatError

ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?\Z")
PATTERN = re.compile(
    r"(?:(https?)://)?(\*\.)?([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}|\*))?/?\Z"
)
PORTS = {"https": 443, "http": 80}
ANYWHERE = "*"
LOCAL = "localhost"
DOMAINS_LIMIT = 100


class BadDomain(CrdtChatError):
    """A domain that can't be one; the message is one sentence for whoever named it."""


@dataclass(frozen=True, slots=True)
class Site:
    """A parsed Origin."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, origin: str) -> "Site | None":
        """The site of an Origin header; None for `null` and all that no browser sends."""
        match = ORIGIN.match(origin.lower()) if origin.isascii() and len(origin) < 300 else None
        if match is None or not _is_host(match[2]):
            return None
        scheme, port = match[1], int(match[3] or PORTS[match[1]])
        return cls(scheme, match[2], port) if port < 65_536 else None

    @property
    def local(self) -> bool:
        """Whether it is served from the visitor's own machine."""
        return is_local(self.host)


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain of a tenant.

    `example.org` is https there and at www.example.org; `*.example.org` every host below it;
    `http://...` and ports only where they are written out (`:*` any port); `localhost` any scheme
    and port of the visitor's machine; `*` every site.
    """

    text: str
    scheme: str
    host: str
    port: int | None
    below: bool = False

    @classmethod
    def parse(cls, text: str) -> "Domain":
        """The domain that this text means. Raises BadDomain."""
        said = text.strip().lower()
        if said in (ANYWHERE, LOCAL):
            return cls(said, "", said, None)
        match = PATTERN.match(_ascii(said))
        if match is None or not _is_host(match[3]) or (match[2] and "." not in match[3]):
            raise BadDomain(
                f"{text!r} is no domain: write example.org, *.example.org, "
                "http://intranet.example:8080, localhost or *"
            )
        scheme = match[1] or "https"
        port = None if match[4] == "*" else int(match[4] or PORTS[scheme])
        return cls(said, scheme, match[3], port, bool(match[2]))

    def admits(self, site: Site) -> bool:
        """Whether the site is this domain's."""
        if self.host == ANYWHERE:
            return True
        if self.host == LOCAL and not self.scheme:
            return site.local
        if site.scheme != self.scheme or self.port not in (None, site.port):
            return False
        if self.below:
            return site.host.endswith("." + self.host)
        return site.host in (self.host, "www." + self.host)


def parse_domains(texts: Iterable[str]) -> tuple[Domain, ...]:
    """The domains of a tenant. Raises BadDomain."""
    found = tuple(Domain.parse(text) for text in texts)
    if len(found) > DOMAINS_LIMIT:
        raise BadDomain(f"a tenant has at most {DOMAINS_LIMIT} domains")
    return found


def admitted(origins: Sequence[str], domains: Sequence[Domain], *, is_open: bool) -> bool:
    """Whether a request with these Origin headers may use a tenant with these domains.

    None is a program, one is a browser, more is neither. A closed tenant without domains takes no
    browser; an open one without domains takes any, and always those on the visitor's own machine.
    """
    if not origins:
        return True
    site = Site.of(origins[0]) if len(origins) == 1 else None
    if site is None:
        return is_open and not domains and len(origins) == 1
    if is_open and (not domains or site.local):
        return True
    return any(domain.admits(site) for domain in domains)


@lru_cache(maxsize=64)
def is_local(host: str) -> bool:
    """Whether this host name or address is the machine that asks."""
    if host == LOCAL or host.endswith("." + LOCAL):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    labels = host.split(".")
    return len(host) <= 253 and all(
        label and len(label) <= 63 and label[0] != "-" and label[-1] != "-" for label in labels
    )


def _ascii(text: str) -> str:
    """A name with other letters as browsers send it: xn--..."""
    if text.isascii():
        return text
    scheme, mark, rest = text.rpartition("://")
    star, rest = ("*.", rest[2:]) if rest.startswith("*.") else ("", rest)
    host, colon, port = rest.partition(":")
    try:
        return scheme + mark + star + host.encode("idna").decode() + colon + port
    except UnicodeError:
        return ""
