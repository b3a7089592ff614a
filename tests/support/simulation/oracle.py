"""A second opinion on every change that the gate let through: design 3's table, written anew.

It knows nothing of items, origins or repairs: it sees who changed which key from what to what, and
fails if that person may not. It shares no code with crdt_chat.page.
"""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Change, Json

from .archive import covered

EVIL = "EVIL"
"""Every forbidden text begins with this; it must appear in nothing that leaves or is kept."""

SHAPES: Mapping[str, tuple[set[str], set[str]]] = {
    "annotations": (
        {"creator", "created", "target"},
        {"title", "urlIdWithRange", "broadcastId"},
    ),
    "comments": ({"creator", "created", "body"}, {"parent", "edited", "broadcastId"}),
    "resolved": ({"by", "at", "resolved"}, {"broadcastId"}),
    "reactions": ({"at"}, {"broadcastId"}),
    "deleted": ({"by", "at"}, {"broadcastId"}),
    "closed": ({"by", "at", "closed"}, {"broadcastId"}),
    "page": (set(), set()),
}
"""Required and optional properties of each root's values."""


def encoded(user: str) -> str:
    """A user id inside a key, as encodeURIComponent writes it."""
    return quote(user, safe="!'()*-._~")


class Oracle:
    """Judges changes after the fact. `past` remembers (creator, created) of everything seen."""

    def __init__(self, limits: PageLimits) -> None:
        self.limits = limits
        self.past: dict[str, tuple[str, int]] = {}

    def check(
        self,
        grant: Grant,
        changes: Iterable[Change],
        page: Mapping[str, Mapping[str, Json]],
    ) -> None:
        """Fail if `grant` may not have made one of `changes`; `page` is the content after them."""
        # Entities first: what hangs on them in the same update is judged by their creators.
        for change in sorted(changes, key=lambda change: list(SHAPES).index(change.root)):
            about = f"{grant.user} ({grant.role.name}): {change}"
            assert grant.role > Role.VIEWER, f"a viewer wrote: {about}"
            if change.after is not None and change.root != "page":
                self._shape(change, about)
            judge = getattr(self, f"_{change.root}")
            judge(grant, change, page, about)
            assert EVIL not in json.dumps(change.after), f"forbidden text went in: {about}"

    def _shape(self, change: Change, about: str) -> None:
        required, optional = SHAPES[change.root]
        names = set(change.after)
        assert required <= names <= required | optional, f"wrong shape: {about}"

    def _entity(self, grant: Grant, change: Change, page: Mapping[str, Json], about: str) -> None:
        entries = page.get("deleted", {})
        if change.after is None:
            gone = covered(change.root, change.name, entries)
            assert gone, f"removed without an entry: {about}"
            return
        now = (change.after["creator"], change.after["created"])
        past = self.past.setdefault(change.name, now)
        assert now == past, f"creator or created changed: {about}"
        standing = {entry.rpartition("/")[0] for entry in entries}
        assert change.name not in standing, f"written though deleted: {about}"
        if change.before is None and grant.role < Role.MODERATOR:
            assert not closed(change.name, page), f"new though closed: {about}"

    def _annotations(
        self, grant: Grant, change: Change, page: Mapping[str, Json], about: str
    ) -> None:
        new = change.name not in self.past
        self._entity(grant, change, page, about)
        if change.after is None:
            return
        own = change.after["creator"] == grant.user
        assert own or grant.role >= Role.MODERATOR, f"another's annotation: {about}"
        assert not new or grant.role >= Role.EDITOR, f"a commenter annotated: {about}"

    def _comments(self, grant: Grant, change: Change, page: Mapping[str, Json], about: str) -> None:
        self._entity(grant, change, page, about)
        if change.after is None:
            return
        assert change.after["creator"] == grant.user, f"another's comment: {about}"
        assert len(change.after["body"]) <= self.limits.body, f"too long: {about}"

    def _resolved(self, grant: Grant, change: Change, page: Mapping[str, Json], about: str) -> None:
        if change.after is None and covered("resolved", change.name, page.get("deleted", {})):
            return
        assert change.name in self.past, f"nobody ever saw that annotation: {about}"
        creator = self.past[change.name][0]
        allowed = grant.role >= Role.MODERATOR or creator == grant.user
        assert allowed or self.limits.any_writer_resolves, f"may not resolve: {about}"
        assert change.after is None or change.after["by"] == grant.user, f"as another: {about}"

    def _reactions(
        self, grant: Grant, change: Change, page: Mapping[str, Json], about: str
    ) -> None:
        if change.after is None and covered("reactions", change.name, page.get("deleted", {})):
            return
        assert change.name.endswith(f"/{encoded(grant.user)}"), f"another's reaction: {about}"
        if change.before is None and grant.role < Role.MODERATOR:
            assert not closed(change.name, page), f"new though closed: {about}"

    def _deleted(self, grant: Grant, change: Change, page: Mapping[str, Json], about: str) -> None:
        entity, _, user = change.name.rpartition("/")
        moderator = grant.role >= Role.MODERATOR
        if change.after is None:
            assert moderator or user == encoded(grant.user), f"another's entry: {about}"
            return
        assert user == encoded(grant.user), f"an entry in another's name: {about}"
        assert change.after["by"] == grant.user, f"an entry in another's name: {about}"
        creator = self.past.get(entity, (grant.user, 0))[0]
        assert moderator or creator == grant.user, f"may not delete: {about}"

    def _closed(self, grant: Grant, change: Change, page: Mapping[str, Json], about: str) -> None:
        assert grant.role >= Role.MODERATOR, f"may not close: {about}"
        assert change.after is None or change.after["by"] == grant.user, f"as another: {about}"

    def _page(self, grant: Grant, change: Change, page: Mapping[str, Json], about: str) -> None:
        assert grant.role >= Role.MODERATOR, f"may not set the page's facts: {about}"


def closed(name: str, page: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether the thread of this key or the whole page is closed."""
    entries = page.get("closed", {})
    return any(
        entries.get(entity, {}).get("closed", False) for entity in ("page", name.split("/")[0])
    )
