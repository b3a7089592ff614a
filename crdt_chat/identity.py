"""Who asks, and for which page: PageKey, Role and Grant. Pure values; nothing here checks a token."""

import enum
from dataclasses import dataclass


class Role(enum.IntEnum):
    """What a person may do on a page, each role including the ones below it (design 3 and 11)."""

    VIEWER = 0
    COMMENTER = 1
    EDITOR = 2
    MODERATOR = 3
    ADMIN = 4

    @classmethod
    def parse(cls, text: str) -> "Role":
        """The role of this lower-case name. Raises ValueError for any other text."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"no such role: {text!r}") from None


@dataclass(frozen=True, slots=True)
class PageKey:
    """A page of a tenant. Never joined into one string: `a:b`+`c` is not `a`+`b:c`."""

    tenant: str
    page: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What one connection or request may do: the outcome of authentication, believed from then on.

    `pages` are glob patterns over page names (empty: no page); `expires` and `issued` are in
    seconds since the epoch, None for never and unknown. key names what vouched for it (the id of a
    tenant's key; None: an open tenant believed it), token is the token's own id: both are what a
    revocation may name.
    """

    tenant: str
    user: str
    name: str
    role: Role
    avatar: str | None = None
    pages: tuple[str, ...] = ("*",)
    expires: float | None = None
    issued: float | None = None
    key: str | None = None
    token: str | None = None

    def covers(self, key: PageKey) -> bool:
        """Whether this grant is for `key`'s tenant and one of its page patterns matches."""
        return key.tenant == self.tenant and any(
            pattern == "*" or _matches(key.page, pattern) for pattern in self.pages
        )


def _matches(page: str, pattern: str) -> bool:
    """Whether a page's name is of this pattern: `*` is any text, all else stands for itself.

    Not fnmatch: a token for the page `what?` would open `whats`, too, and one for `[x]` the page `x`.
    """
    first, *others = pattern.split("*")
    if not others:
        return page == pattern
    *between, last = others
    at, end = len(first), len(page) - len(last)
    if at > end or not (page.startswith(first) and page.endswith(last)):
        return False
    for part in between:
        at = page.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
