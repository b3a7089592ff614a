"""Which changes of an update are moderation: what only somebody with power over others' words can do."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crdt_chat.page.layout import encode_user, entity_of, user_of
from crdt_chat.page.ledger import ENTITY_ROOTS
from crdt_chat.page.verdict import Change


class Ruling(NamedTuple):
    """What was done (`close`, `reopen`, `delete`, `restore`, `move`, `title`), to which entry."""

    action: str
    entity: str


def rulings(changes: Sequence[Change], actor: str) -> Iterator[Ruling]:
    """What `actor` did by these changes of one update to what is not hers, or to the page."""
    removed = _removed(changes)
    for root, name, before, after in changes:
        if root == "closed":
            closes = after is not None and after["closed"]
            yield Ruling("close" if closes else "reopen", name)
        elif root == "deleted" and after is None:
            if user_of(name) != encode_user(actor):
                yield Ruling("restore", entity_of(root, name))
        elif root == "deleted" and before is None:
            entity = entity_of(root, name)
            if removed.get(entity, actor) != actor:
                yield Ruling("delete", entity)
        elif root == "page":
            yield Ruling("title", name)
        elif root == "annotations" and None not in (before, after) and after["creator"] != actor:
            yield Ruling("move", name)


def _removed(changes: Sequence[Change]) -> dict[str, object]:
    """Whose the annotations and comments are that these changes took away."""
    return {
        change.name: change.before["creator"]
        for change in changes
        if change.root in ENTITY_ROOTS and change.after is None and change.before is not None
    }
