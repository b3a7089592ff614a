"""The order in which the keys of one update are judged: first what others depend on (design 4)."""

from crdt_chat.page.draft import Draft
from crdt_chat.page.hearing import Hearing
from crdt_chat.page.repair import repair
from crdt_chat.page.rules import judge


def judge_all(hearing: Hearing) -> None:
    """Judge every draft, those first that others depend on, and choose the repair of the refused ones.

    Nothing is applied: if it raises Gap, nothing has happened.
    """
    drafts = list(hearing.arrival.drafts.values())
    if len(drafts) > 1:
        drafts.sort(key=lambda draft: _rank(hearing, draft))
    refused = False
    for draft in drafts:
        if draft.live and draft.effect != "none":
            hearing.recall(draft)
        draft.refusal = judge(hearing, draft)
        if draft.refusal is None:
            hearing.accept(draft)
        else:
            refused = True
        draft.judged = True
    if refused:
        _repair_all(hearing)


def _repair_all(hearing: Hearing) -> None:
    arrival = hearing.arrival
    arrival.refused = [draft for draft in arrival.drafts.values() if draft.refusal is not None]
    for draft in arrival.refused:
        repair(hearing, draft)


def _rank(hearing: Hearing, draft: Draft) -> int:
    """Deletions of what is known, removals, annotations, comments, deletions of these, the rest: a limit
    counts what is left after the removals of the same update.
    """
    if draft.root == "deleted":
        known = (
            draft.effect != "write" or hearing.past_of(draft.name.rpartition("/")[0]) is not None
        )
        return 0 if known else 4
    if draft.root in ("annotations", "comments"):
        if draft.effect != "write":
            return 1
        return 2 if draft.root == "annotations" else 3
    return 5 if draft.effect != "write" else 6
