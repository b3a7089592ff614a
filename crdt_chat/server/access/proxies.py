"""What a named proxy says of the client behind it; nobody else's X-Forwarded-* is believed."""

import ipaddress
from collections.abc import Iterable

from crdt_chat.config import BadSetting
from crdt_chat.server.sockets.channel import Event

SECURE = {"http": "https", "ws": "wss"}


class Proxies:
    """The proxies that an operator has named, as addresses or networks. Raises BadSetting."""

    def __init__(self, named: Iterable[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(text, strict=False) for text in named]
        except ValueError as error:
            raise BadSetting(f"proxies must be addresses or networks: {error}") from None

    def seen_through(self, scope: Event) -> Event:
        """The scope with the client's own address and scheme, where a named proxy tells them."""
        client = scope.get("client")
        if not self._networks or not client or not self._names(client[0]):
            return scope
        found = dict(scope)
        address = self._client(_values(scope, b"x-forwarded-for"))
        if address is not None:
            found["client"] = (address, 0)
        proto = _values(scope, b"x-forwarded-proto")
        if proto and proto[-1].lower() in ("https", "wss"):
            found["scheme"] = SECURE.get(scope["scheme"], scope["scheme"])
        return found

    def _names(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        # a dual-stack socket sees 10.0.0.1 as ::ffff:10.0.0.1
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._networks)

    def _client(self, hops: list[str]) -> str | None:
        """The last hop that is no named proxy: what stands before it, anybody may have written."""
        for hop in reversed(hops):
            if not self._names(hop):
                try:
                    return str(ipaddress.ip_address(hop))
                except ValueError:
                    return None
        return None


def _values(scope: Event, name: bytes) -> list[str]:
    """All values of a header that may be given several times, in order."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [part.strip() for line in lines for part in line.split(",") if part.strip()]
