"""What becomes of a refused key (design 4): tomb, put or GC, so that rollback mends its sender if it can.

*tomb*: its structs stay as deleted units. *put*: the same, and the server writes the old value after
them. *GC*: their clocks are burnt, and what builds on them is refused, too.
"""

from crdt_chat.page.draft import Draft
from crdt_chat.page.hearing import Hearing
from crdt_chat.page.layout import PAGE, entity_of, is_name, is_root
from crdt_chat.page.ledger import ENTITY_ROOTS
from crdt_chat.page.rules import may_empty, may_write


def repair(hearing: Hearing, draft: Draft) -> None:
    """Choose the fate of a refused draft, and whether that mends its sender.

    "tomb, if its writer may empty it and nothing lives there; put, if something lives there and she may
    write it (or may empty it and only removed); otherwise GC. Fresh annotation and comment ids, invalid
    names and unknown entities are always GC."
    """
    root, name = draft.root, draft.name
    if draft.burnt is not None:
        _burn(draft, mended=draft.burnt.mended)
    elif not draft.live and _is_nobodys(hearing, draft):
        _burn(draft, mended=True)
    elif draft.swept:
        draft.fate = "tomb"
    elif not draft.live:
        if not may_empty(hearing, root, name):
            _burn(draft, mended=False)
        elif draft.entry is None and hearing.full:
            _burn(draft, mended=True)  # a tomb would keep the name for ever, on a page that is full
        else:
            draft.fate = "tomb"
    elif may_write(hearing, root, name) or (
        draft.effect == "remove" and may_empty(hearing, root, name)
    ):
        draft.fate = "put"
    else:
        _burn(draft, mended=False)


def _is_nobodys(hearing: Hearing, draft: Draft) -> bool:
    """Whether nobody else can have this entry, whatever rule refused it."""
    root, name = draft.root, draft.name
    if draft.entry is not None:
        return draft.refusal is not None and draft.refusal.rule == "unknown"
    if root in ENTITY_ROOTS or not is_root(root) or not is_name(root, name):
        return True
    if root == "page" or name == PAGE:
        return False
    return hearing.past_of(entity_of(root, name)) is None


def _burn(draft: Draft, *, mended: bool) -> None:
    draft.fate = "gc"
    draft.mended = mended
