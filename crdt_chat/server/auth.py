"""From a request to a Grant; an open tenant believes the query parameters `user` and `name`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crdt_chat.config import Config
from crdt_chat.errors import Malformed, NotFound, Unauthorized
from crdt_chat.identity import Grant, PageKey, Role

USER_LIMIT, NAME_LIMIT, PAGE_LIMIT = 255, 200, 2_048
"""Characters of a user id (design 3), of a display name, and of a page name."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Authority:
    """Decides who asks. new_id makes the id of a visitor who brings none."""

    config: Config
    new_id: Callable[[], str]

    def grant(self, tenant: str, query: Mapping[str, str]) -> Grant:
        """The grant of whoever asks for a page of `tenant` with these query parameters.

        Raises NotFound for an unknown tenant, Unauthorized where the tenant is not open, Malformed
        for a user id or name that cannot be one.
        """
        settings = self.config.tenant(tenant)
        if settings is None:
            raise NotFound("there is no such tenant here")
        if not settings.open:
            raise Unauthorized("this tenant needs a token")
        user = query.get("user") or f"anon-{self.new_id()}"
        name = query.get("name") or user
        if len(user) > USER_LIMIT or CONTROL.search(user):
            raise Malformed("a user id has 1 to 255 characters, none of them control characters")
        if len(name) > NAME_LIMIT or CONTROL.search(name):
            raise Malformed("a name has at most 200 characters, none of them control characters")
        return Grant(tenant, user, name, Role.EDITOR)


def page_key(tenant: str, page: str) -> PageKey:
    """The key of a page as a request names it. Raises NotFound for a name that cannot be one."""
    if not page or len(page) > PAGE_LIMIT or CONTROL.search(page):
        raise NotFound("a page name has 1 to 2,048 characters, none of them control characters")
    return PageKey(tenant, page)
