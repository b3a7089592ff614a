"""How many sockets one network address has open, whatever they speak, and what counts as one."""

from collections import Counter
from ipaddress import IPv6Address

from crdt_chat.errors import TryLater
from crdt_chat.server.sockets.channel import Event


class Addresses:
    """The addresses of all sockets, at most `limit` of each."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._sockets: Counter[str] = Counter()

    def counted(self, scope: Event) -> "Counted":
        """Count the socket of an ASGI scope for the length of a block."""
        return Counted(self._sockets, _address(scope))

    def check(self, scope: Event) -> None:
        """Raises TryLater where a counted socket is one too many."""
        if self._sockets[_address(scope)] > self._limit:
            raise TryLater("too many connections from this address")


class Counted:
    """One socket of an address. A class: a generator's context manager takes 500 bytes while it waits."""

    __slots__ = ("_address", "_sockets")

    def __init__(self, sockets: Counter[str], address: str) -> None:
        self._sockets = sockets
        self._address = address

    def __enter__(self) -> None:
        self._sockets[self._address] += 1

    def __exit__(self, *_error: object) -> None:
        self._sockets[self._address] -= 1
        if not self._sockets[self._address]:
            del self._sockets[self._address]


def _address(scope: Event) -> str:
    client = scope.get("client")
    return place_of(str(client[0])) if client else ""


def place_of(address: str) -> str:
    """What is counted as one address: of IPv6 the /64, all of which one machine has (RFC 4291, 2.5.1)."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"
