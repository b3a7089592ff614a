"""Who may do what to which entry: the table of design 3 and the rules of design 4, one function each.

"Rules, the first that applies names the refusal": origin, role, root, key, shape, size, identity, fixed,
owner, bare, deleted, closed, limit, unknown. Of an existing annotation or comment, `owner` comes before
`fixed`; what hangs below an entity that nobody has seen is `unknown` whatever else holds.
"""

from collections.abc import Callable, Mapping
from typing import Final

from crdt_chat.page import values
from crdt_chat.page.draft import Draft
from crdt_chat.page.erasure import digest
from crdt_chat.page.hearing import Hearing
from crdt_chat.page.layout import PAGE, annotation_of, entity_of, is_name, is_root, user_of
from crdt_chat.page.ledger import past_in
from crdt_chat.page.values import Fault

Rule = Callable[[Hearing, Draft], Fault | None]

ORIGIN: Final = Fault("origin", "It builds on something that was refused.")
VIEWER: Final = Fault("role", "You may read this page, not write on it.")
ANNOTATES: Final = Fault("role", "You may reply here, but not start a discussion.")
MODERATES: Final = Fault("role", "Only a moderator may do that.")
NO_ROOT: Final = Fault("root", "This page has no such part.")
NO_NAME: Final = Fault("key", "That is no valid name for an entry.")
AHEAD: Final = Fault("shape", "It says that it was made in the future.")
DOUBLED: Final = Fault("shape", "An entry has one value, not several.")
NOT_YOU: Final = Fault("identity", "It is written in somebody else's name.")
FIXED: Final = Fault("fixed", "Who wrote it and when cannot be changed.")
OWNER: Final = Fault("owner", "It belongs to somebody else.")
BARE: Final = Fault("bare", "It was removed without saying who deleted it and when.")
DELETED: Final = Fault("deleted", "It has been deleted or hidden.")
CLOSED: Final = Fault("closed", "The discussion is closed.")
UNKNOWN: Final = Fault("unknown", "It belongs to a discussion that is not on this page.")
FULL: Final = Fault("limit", "The page is full.")


def judge(hearing: Hearing, draft: Draft) -> Fault | None:
    """The first rule that this draft breaks, or None. Raises Gap if something may still come."""
    if draft.burnt is not None:
        return ORIGIN
    if not hearing.powers.writes:
        return VIEWER
    # What the index has an entry of has a root and a good name.
    fault = _judge_name(draft) if draft.entry is None else None
    if fault is None:
        fault = _judge_role(hearing, draft)
    if fault is not None:
        return fault
    if draft.doubled:
        return DOUBLED
    if draft.effect == "write":
        return _judge_write(hearing, draft)
    if draft.effect == "remove":
        return _REMOVE[draft.root](hearing, draft)
    if draft.effect == "plant":
        return _judge_plant(hearing, draft)
    return None


def _judge_name(draft: Draft) -> Fault | None:
    if not is_root(draft.root):
        return NO_ROOT
    return None if is_name(draft.root, draft.name) else NO_NAME


def _judge_role(hearing: Hearing, draft: Draft) -> Fault | None:
    """What the sender's role may not do, whoever made the entry."""
    if draft.root in ("closed", "page"):
        return None if hearing.moderates or draft.effect == "none" else MODERATES
    if draft.root != "annotations" or draft.effect != "write" or hearing.powers.annotates:
        return None
    return ANNOTATES if hearing.past_of(draft.name) is None else None


def _judge_write(hearing: Hearing, draft: Draft) -> Fault | None:
    fault = values.check(draft.root, draft.after, hearing.limits)
    if fault is None:
        fault = _WRITE[draft.root](hearing, draft)
    erased = hearing.ledger.erased
    if fault is None and erased and not draft.live and digest(draft.root, draft.name) in erased:
        return DELETED
    # A full page must stay one that can be moderated.
    if fault is None and hearing.full and draft.root not in ("deleted", "closed"):
        return FULL
    return fault


def _judge_plant(hearing: Hearing, draft: Draft) -> Fault | None:
    """A tombstone where nothing lives: it would outdo what the entry's own people write elsewhere."""
    if may_empty(hearing, draft.root, draft.name):
        return FULL if hearing.full and draft.entry is None else None
    entity = entity_of(draft.root, draft.name)
    known = hearing.creator(entity) is not None or hearing.seen(entity)
    return OWNER if known else UNKNOWN


def _write_annotation(hearing: Hearing, draft: Draft) -> Fault | None:
    fault = _judge_entity(hearing, draft, moderators=True)
    if fault is not None or draft.live or draft.swept:
        return fault
    if hearing.removed(draft.name):
        return DELETED
    if hearing.is_closed(draft.name):
        return CLOSED
    return FULL if hearing.annotations >= hearing.limits.annotations else None


def _write_comment(hearing: Hearing, draft: Draft) -> Fault | None:
    fault = _judge_entity(hearing, draft, moderators=False)
    if fault is not None or draft.live:
        return fault
    if not hearing.seen(annotation_of(draft.name)):
        return UNKNOWN
    if draft.swept:
        return None
    known = draft.name in hearing.ledger.gone
    if hearing.removed(draft.name) if known else hearing.stands(draft.name):
        return DELETED
    if hearing.is_closed(draft.name):
        return CLOSED
    return FULL if hearing.comments >= hearing.limits.comments else None


def _judge_entity(hearing: Hearing, draft: Draft, *, moderators: bool) -> Fault | None:
    """Creator and `created` of an annotation or comment: the sender's, and for ever the same.

    What is new must not be made later than clocks differ; any past will do.
    """
    value = draft.after
    past = past_in(draft.before) if draft.live else hearing.past_of(draft.name)
    if past is None and value["created"] > hearing.latest:
        return AHEAD
    creator = hearing.creator(draft.name) if past is None else past.creator
    trusted = hearing.past or (moderators and hearing.moderates and past is not None)
    if creator is not None and creator != hearing.user and not trusted:
        return OWNER
    if past is not None:
        return None if (value["creator"], value["created"]) == past else FIXED
    return None if hearing.past or value["creator"] == hearing.user else NOT_YOU


def _write_resolved(hearing: Hearing, draft: Draft) -> Fault | None:
    if draft.after["by"] != hearing.user and not hearing.past:
        return NOT_YOU
    if not hearing.seen(draft.name):
        return UNKNOWN
    if not _may_resolve(hearing, draft.name):
        return OWNER
    return _judge_below(hearing, draft, "annotations", draft.name)


def _write_reaction(hearing: Hearing, draft: Draft) -> Fault | None:
    if user_of(draft.name) != hearing.encoded and not hearing.past:
        return NOT_YOU
    comment = entity_of("reactions", draft.name)
    if not hearing.seen(comment):
        return UNKNOWN
    fault = _judge_below(hearing, draft, "comments", comment)
    if fault is not None or draft.live or draft.swept:
        return fault
    most = hearing.limits.reactions_per_user
    return FULL if hearing.reactions(draft.name) >= most else None


def _judge_below(hearing: Hearing, draft: Draft, root: str, entity: str) -> Fault | None:
    """A fact about an annotation or comment: what is removed stays so, what is closed gets nothing new."""
    if draft.live or draft.swept:
        return None
    if not hearing.lives(root, entity) and hearing.removed(entity):
        return DELETED
    return CLOSED if hearing.is_closed(entity) else None


def _write_deleted(hearing: Hearing, draft: Draft) -> Fault | None:
    mine = user_of(draft.name) == hearing.encoded and draft.after["by"] == hearing.user
    if not mine and not hearing.past:
        return NOT_YOU
    entity = entity_of("deleted", draft.name)
    if hearing.creator(entity) is None and not hearing.seen(entity):
        return UNKNOWN
    return None if hearing.may_delete(entity) else OWNER


def _write_closed(hearing: Hearing, draft: Draft) -> Fault | None:
    if draft.after["by"] != hearing.user and not hearing.past:
        return NOT_YOU
    return None if draft.name == PAGE or hearing.seen(draft.name) else UNKNOWN


def _moderate(_hearing: Hearing, _draft: Draft) -> Fault | None:
    return None  # the role was all that counts


def _remove_entity(hearing: Hearing, draft: Draft) -> Fault | None:
    if _hides(hearing, draft.name):
        return None
    if not may_empty(hearing, draft.root, draft.name):
        return OWNER
    return None if _has_deletion(hearing, draft.name) else BARE


def _remove_resolved(hearing: Hearing, draft: Draft) -> Fault | None:
    return None if may_empty(hearing, "resolved", draft.name) else OWNER


def _remove_reaction(hearing: Hearing, draft: Draft) -> Fault | None:
    if user_of(draft.name) == hearing.encoded:
        return None
    if not may_empty(hearing, "reactions", draft.name):
        return OWNER
    comment = entity_of("reactions", draft.name)
    return None if _hides(hearing, comment) or _has_deletion(hearing, comment) else BARE


def _hides(hearing: Hearing, entity: str) -> bool:
    """Whether a moderator hides this annotation or comment with this very write."""
    hides = hearing.hides
    return hearing.moderates and (entity in hides or annotation_of(entity) in hides)


def _has_deletion(hearing: Hearing, entity: str) -> bool:
    """Whether a deletion covers this annotation or comment that the sender herself may make."""
    return any(
        hearing.has_entry(each) and hearing.may_delete(each)
        for each in {entity, annotation_of(entity)}
    )


def _remove_deleted(hearing: Hearing, draft: Draft) -> Fault | None:
    return None if may_empty(hearing, "deleted", draft.name) else OWNER


def _may_resolve(hearing: Hearing, annotation: str) -> bool:
    return hearing.powers.resolves or hearing.past or hearing.may_delete(annotation)


def may_empty(hearing: Hearing, root: str, name: str) -> bool:
    """Whether the sender is one of those who may remove what is there, given a deletion where one is due."""
    if not hearing.powers.writes:
        return False
    if hearing.moderates:
        return True
    if root in ("closed", "page"):
        return False
    entity = entity_of(root, name)
    if root == "deleted":
        # One's own entry for what was made and deleted offline can be lifted, too: it never was here.
        unseen = (
            hearing.past_of(entity) is None and hearing.content.index.entry(root, name) is not None
        )
        return user_of(name) == hearing.encoded and (unseen or hearing.may_delete(entity))
    if root == "reactions" and user_of(name) == hearing.encoded:
        return True
    if root == "resolved" and _may_resolve(hearing, name):
        return True
    return hearing.may_delete(entity) or hearing.may_delete(annotation_of(entity))


def may_write(hearing: Hearing, root: str, name: str) -> bool:
    """Whether the sender is one of those who may write a new value over what is there."""
    if not hearing.powers.writes:
        return False
    if root == "annotations":
        return hearing.may_delete(name)
    if root == "comments":
        return hearing.creator(name) == hearing.user
    if root == "resolved":
        return _may_resolve(hearing, name)
    if root == "reactions":
        return user_of(name) == hearing.encoded
    if root == "deleted":
        return user_of(name) == hearing.encoded and hearing.may_delete(entity_of(root, name))
    return hearing.moderates


_WRITE: Final[Mapping[str, Rule]] = {
    "annotations": _write_annotation,
    "comments": _write_comment,
    "resolved": _write_resolved,
    "reactions": _write_reaction,
    "deleted": _write_deleted,
    "closed": _write_closed,
    "page": _moderate,
}
_REMOVE: Final[Mapping[str, Rule]] = {
    "annotations": _remove_entity,
    "comments": _remove_entity,
    "resolved": _remove_resolved,
    "reactions": _remove_reaction,
    "deleted": _remove_deleted,
    "closed": _moderate,
    "page": _moderate,
}
