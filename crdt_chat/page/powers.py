"""What each role may do: the one table that admission asks (design 3, shown in docs/security.md)."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits


class Powers(NamedTuple):
    """What somebody may do on a page; what is not named here depends on whose it is.

    writes: reply, react, flag, edit, delete and resolve what is one's own. annotates: start a
    discussion. resolves: anybody's discussion. moderates: delete, hide, restore and move anybody's,
    close and set the title.
    """

    writes: bool = False
    annotates: bool = False
    resolves: bool = False
    moderates: bool = False


POWERS: Final[Mapping[Role, Powers]] = {
    Role.VIEWER: Powers(),
    Role.COMMENTER: Powers(writes=True),
    Role.EDITOR: Powers(writes=True, annotates=True),
    Role.MODERATOR: Powers(writes=True, annotates=True, resolves=True, moderates=True),
    Role.ADMIN: Powers(writes=True, annotates=True, resolves=True, moderates=True),
}


def powers_of(role: Role, limits: PageLimits) -> Powers:
    """What a role may do on a page of a tenant with these settings: they only ever add to the table."""
    powers = POWERS[role]
    if powers.writes and not powers.moderates:
        if limits.commenters_annotate:
            powers = powers._replace(annotates=True)
        if limits.any_writer_resolves or (limits.editors_resolve and role >= Role.EDITOR):
            powers = powers._replace(resolves=True)
    return powers
