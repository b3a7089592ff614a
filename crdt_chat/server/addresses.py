"""How many sockets one network address has open, whatever they speak."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from crdt_chat.errors import TryLater
from crdt_chat.server.channel import Event


class Addresses:
    """The addresses of all sockets, at most `limit` of each."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._sockets: Counter[str] = Counter()

    @contextmanager
    def counted(self, scope: Event) -> Iterator[None]:
        """Count the socket of an ASGI scope for the length of the block."""
        address = _address(scope)
        self._sockets[address] += 1
        try:
            yield
        finally:
            self._sockets[address] -= 1
            if not self._sockets[address]:
                del self._sockets[address]

    def check(self, scope: Event) -> None:
        """Raises TryLater where a counted socket is one too many."""
        if self._sockets[_address(scope)] > self._limit:
            raise TryLater("too many connections from this address")


def _address(scope: Event) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
