"""Which page of which server: `ws://host`, `demo/my-article` and a user make a URL (design 5)."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from crdt_chat.identity import PageKey
from crdt_chat.page.layout import is_user

CAPABILITIES = "crdt-chat.1,moderation.1"
"""Asks the server for its control frames (design 5), those for moderators too; stock servers ignore it."""

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """One page as one person sees it: the server's base URL, the page and who asks."""

    base: str
    key: PageKey
    user: str
    name: str

    @classmethod
    def parse(cls, url: str, page: str, user: str, name: str | None = None) -> "Address":
        """The address of `page`, a text whose first slash ends the tenant.

        `url` is the server's, with the scheme ws, wss, http or https; it may have a path (a proxy's
        prefix), but no query. Raises ValueError for anything else, and for an empty user.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"not the address of a server: {url!r} (say ws://host:port)")
        tenant, slash, name_of_page = page.partition("/")
        if not (tenant and slash and name_of_page):
            raise ValueError(f"not a page: {page!r} (say tenant/page)")
        if not is_user(user):
            raise ValueError(
                f"not a user id: {user!r} (1 to 255 characters: whose notes are these?)"
            )
        base = f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"
        return cls(base, PageKey(tenant, name_of_page), user, name or user)

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine (then no HTTP proxy is asked)."""
        host = urlsplit(self.base).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")

    def url(self, epoch: int | None) -> str:
        """The WebSocket URL; `epoch` is that of the document held, None before the first hello."""
        query = {"user": self.user, "name": self.name, "caps": CAPABILITIES}
        if epoch is not None:
            query["epoch"] = str(epoch)
        path = f"/ws/{quote(self.key.tenant, safe='')}/{quote(self.key.page, safe='')}"
        return f"{self.base}{path}?{urlencode(query)}"
