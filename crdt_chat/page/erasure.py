"""What is left of a page's content when a person, an annotation or all of it is erased (design 7).

Pure: from what is kept of a page to what may stay, and to the digests of the names that nobody may
write again. The rewritten page has one fresh client id, since a Y.Doc never forgets the text of a key.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from crdt_chat.page.layout import (
    annotation_of,
    deleted_name,
    encode_user,
    entity_of,
    user_of,
)
from crdt_chat.page.ledger import ENTITY_ROOTS
from crdt_chat.page.update import Item, encode
from crdt_chat.page.verdict import Change, Json

Entries: TypeAlias = dict[tuple[str, str], Json]
"""Values by root and name."""

_Test: TypeAlias = Callable[[str, str, Json], bool]

ERASED: Final = "erased"
"""The user id under which what an erased person did to others' content stays in force."""

_LETTER: Final = r"[0-9A-Za-z_\u00c0-\u058f\u10a0-\u10ff\u1e00-\u1fff]"
"""What makes another word of an id that it touches, as in store/moderation.py: letters of scripts that put
spaces between words, and nothing on names (Chinese and Japanese do not, Korean, Arabic and Hebrew do).
"""

_MENTION: Final = re.compile(r"@\[([^\]\n]*)\]\(([^)\n]*)\)")


@dataclass(slots=True)
class Kept:
    """All content of a page: live, held (with who hid it), archived.

    entities: (name, creator, created) of the annotations and comments that are not live, at least.
    """

    live: Entries = field(default_factory=dict)
    archived: Entries = field(default_factory=dict)
    held: dict[str, Json] = field(default_factory=dict)
    entities: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """Those of all annotations and comments that there ever were."""
        live = {name for root, name in self.live if root in ENTITY_ROOTS}
        return live.union([name for name, *_ in self.entities])


def digest(root: str, name: str) -> str:
    """What stays of an erased name, so that it is known again without being told."""
    return hashlib.sha256(f"{root}/{name}".encode()).hexdigest()[:32]


def whole(entries: Entries, client: int) -> bytes:
    """The one update that is this content, every entry written once under one client id."""
    items = [
        Item(client, clock, 1, None, root, name, (value,))
        for clock, ((root, name), value) in enumerate(entries.items())
    ]
    return encode({client: items} if items else {}, {})


def changes(before: Entries, after: Entries) -> list[Change]:
    """What the erasure changed, without a word of what was erased."""
    gone = [Change(*key, {}, None) for key in before if key not in after]
    new = [
        Change(*key, {} if key in before else None, value)
        for key, value in after.items()
        if before.get(key) != value
    ]
    return [*gone, *new]


def without_all(kept: Kept) -> tuple[Kept, set[str]]:
    """A page without anything; and the digests of all its names."""
    return Kept(), _digests(kept, lambda _root, _name, _value: True)


def without_entity(kept: Kept, entity: str) -> tuple[Kept, set[str]]:
    """The page without an annotation or comment and all below it; and the digests of their names."""
    return _filtered(kept, {entity}, lambda _root, _name, _value: False)


def without_user(kept: Kept, user: str) -> tuple[Kept, set[str]]:
    """The page without what a person wrote, and without her name in what others wrote.

    Her annotations go with their threads, as when she deletes them. What she did to others' content
    (deleted, resolved, closed, hid) stays in force, as done by nobody in particular.
    """
    encoded = encode_user(user)
    made = {name for name, creator, _ in kept.entities if creator == user}

    def is_hers(root: str, name: str, value: Json) -> bool:
        if root == "reactions":
            return user_of(name) == encoded
        return root in ENTITY_ROOTS and value.get("creator") == user

    for entries in (kept.live, kept.archived):
        made |= {name for (root, name), value in entries.items()
                 if root in ENTITY_ROOTS and is_hers(root, name, value)}  # fmt: skip
    left, digests = _filtered(kept, made, is_hers)
    return _unnamed(left, user), digests


def by_user(entries: Entries, user: str) -> Entries:
    """What a user made or did, of these entries."""
    encoded = encode_user(user)

    def is_hers(root: str, name: str, value: Json) -> bool:
        if root in ("reactions", "deleted") and user_of(name) == encoded:
            return True
        return isinstance(value, dict) and user in (value.get("creator"), value.get("by"))

    return {key: value for key, value in entries.items() if is_hers(*key, value)}


def mentions(entries: Entries, user: str) -> set[str]:
    """The names of the comments that mention a user."""
    named = (user, encode_user(user))
    return {
        name
        for (root, name), value in entries.items()
        if root == "comments" and any(who in named for _, who in _MENTION.findall(value["body"]))
    }


def _everything(kept: Kept) -> Iterable[tuple[str, str, Json]]:
    for entries in (kept.live, kept.archived):
        yield from ((*key, value) for key, value in entries.items())
    for value in kept.held.values():
        yield from (tuple(entry) for entry in value["content"])


def _filtered(kept: Kept, gone: set[str], is_gone: _Test) -> tuple[Kept, set[str]]:
    """Without these entities, what is below them, and what the test says."""

    def test(root: str, name: str, value: Json) -> bool:
        above = {annotation_of(name), entity_of(root, name)}
        return not gone.isdisjoint(above) or is_gone(root, name, value)

    def left(entries: Entries) -> Entries:
        return {key: value for key, value in entries.items() if not test(*key, value)}

    held = {}
    for name, value in kept.held.items():
        content = [entry for entry in value["content"] if not test(*entry)]
        if gone.isdisjoint({name, annotation_of(name)}) and content:
            held[name] = {**value, "content": content}
    entities = [row for row in kept.entities if gone.isdisjoint({row[0], annotation_of(row[0])})]
    return Kept(left(kept.live), left(kept.archived), held, entities), _digests(kept, test)


def _digests(kept: Kept, test: _Test) -> set[str]:
    found = {
        digest(root, name) for root, name, value in _everything(kept) if test(root, name, value)
    }
    left = {(root, name) for root, name, value in _everything(kept) if not test(root, name, value)}
    for name, creator, created in kept.entities:
        root = "comments" if "/" in name else "annotations"
        value = {"creator": creator, "created": created}
        if (root, name) not in left and test(root, name, value):
            found.add(digest(root, name))
    return found


def _unnamed(kept: Kept, user: str) -> Kept:
    """Nobody in particular where the user is named; reasons that she gave, or that name her, go."""
    named = re.compile(rf"(?<!{_LETTER}){re.escape(user)}(?!{_LETTER})").search
    held = {
        name: {
            **value,
            "by": ERASED if value["by"] == user else value["by"],
            "reason": "" if value["by"] == user or named(value["reason"]) else value["reason"],
            "content": [_anonymous(*entry, user=user) for entry in value["content"]],
        }
        for name, value in kept.held.items()
    }
    return Kept(_unnamed_in(kept.live, user), _unnamed_in(kept.archived, user), held, kept.entities)


def _unnamed_in(entries: Entries, user: str) -> Entries:
    found: Entries = {}
    for key, value in entries.items():
        root, name, said = _anonymous(*key, value, user=user)
        found[root, name] = said
    return found


def _anonymous(root: str, name: str, value: Json, *, user: str) -> tuple[str, str, Json]:
    """An entry that does not name the user: as maker of a fact, or mentioned in a body."""
    if root == "deleted" and user_of(name) == encode_user(user):
        name = deleted_name(entity_of(root, name), ERASED)
    if isinstance(value, dict):
        value = dict(value)
        if value.get("by") == user:
            value["by"] = ERASED
        if isinstance(value.get("body"), str):
            value["body"] = _MENTION.sub(lambda found: _mention(found, user), value["body"])
    return root, name, value


def _mention(found: re.Match[str], user: str) -> str:
    return f"@[{ERASED}]({ERASED})" if found[2] in (user, encode_user(user)) else found[0]
