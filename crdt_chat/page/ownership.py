"""Whose a Yjs client id is (design 4, "Ownership"): nobody writes under another person's id."""

from collections.abc import Iterator, Mapping, Sequence

from crdt_chat.identity import Grant
from crdt_chat.page.layout import decode_user, is_name, user_of
from crdt_chat.page.powers import POWERS
from crdt_chat.page.update import Item, Struct
from crdt_chat.page.verdict import Json


def claim(
    found: Mapping[int, Sequence[Struct]], owners: Mapping[int, str], grant: Grant
) -> tuple[list[tuple[int, str]], set[int]]:
    """Sort the client ids of new structs: those that now become the sender's, those that are others'.

    "A Yjs client id belongs to the user of the first connection that announces it; an unannounced one
    (an earlier page load) to the user whom its values name." One whose values name nobody is taken this
    once, and stays nobody's. Of somebody who may only read, bare clocks of an id that the page has nothing of
    are nobody's either: they would say nothing, and stay on the page for ever. Where she has written before
    her role was lowered they are taken: what she had sent ahead of that, or writes later, hangs on them.
    """
    user, writes = grant.user, POWERS[grant.role].writes
    claimed: list[tuple[int, str]] = []
    foreign: set[int] = set()
    for client, structs in found.items():
        owner = owners.get(client)
        if not writes and not structs[0].clock and Item not in map(type, structs):
            foreign.add(client)
            continue
        if owner == user:
            continue
        named = set() if owner is not None else _makers(structs) or set(_named(structs, grant))
        if user in named:
            claimed.append((client, user))
        elif owner is not None or named:
            foreign.add(client)
    return claimed, foreign


def _makers(structs: Sequence[Struct]) -> set[str]:
    """Who made annotations or comments here: a new one names its creator beyond doubt.

    What is written over something else may keep another's name (a moderator's new anchor), so it says
    less; nobody makes something new in the name of somebody else and may keep the id.
    """
    creators = (
        value.get("creator")
        for struct in structs
        if isinstance(struct, Item) and struct.origin is None
        for value in struct.values or ()
        if type(value) is dict
    )
    return {name for name in creators if type(name) is str and name}


def _named(structs: Sequence[Struct], grant: Grant) -> Iterator[str]:
    """The users whom these structs give as their writers, by their values or their entries' names."""
    for struct in structs:
        if isinstance(struct, Item):
            if struct.root in ("reactions", "deleted") and is_name(struct.root, struct.name):
                yield decode_user(user_of(struct.name))
            for value in struct.values or ():
                if type(value) is dict:
                    yield from _writers(value, struct, grant)


def _writers(value: Mapping[str, Json], item: Item, grant: Grant) -> Iterator[str]:
    names = [value.get("by")]
    # A moderator's new anchor for somebody's annotation gives its creator, not the moderator.
    if item.origin is None or "target" not in value or not POWERS[grant.role].moderates:
        names.append(value.get("creator"))
    yield from (name for name in names if type(name) is str and name)
