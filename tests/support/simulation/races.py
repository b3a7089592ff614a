"""Why an honest operation was refused: one of the races that design 4 names, or the test fails."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from crdt_chat.page.verdict import Json, Refusal, Verdict

from .archive import covered, entities_above
from .oracle import closed, encoded
from .tabs import Tab

if TYPE_CHECKING:
    from .room import SimRoom


def split(key: str) -> tuple[str, str]:
    """`root/name`."""
    root, _, name = key.partition("/")
    return root, name


def explain(refusal: Refusal, verdict: Verdict, tab: Tab, room: "SimRoom", before: set[str]) -> str:
    """The name of the race. Raises AssertionError for a refusal that no race explains.

    before: keys refused earlier to tabs of the same person or of the same browser.
    """
    root, name = split(refusal.key)
    page = room.content()
    limits = room.limits
    rule = refusal.rule
    known = before | {one.key for one in verdict.refusals}
    parents = {f"annotations/{name.split('/')[0]}", f"comments/{'/'.join(name.split('/')[:2])}"}
    builds = bool(known & (parents - {refusal.key}))
    reasons: dict[str, list[tuple[str, bool]]] = {
        "deleted": [
            ("written against a deletion", covered(root, name, page.get("deleted", {}))),
            ("written against a hiding", room.page.hidden("/".join(name.split("/")[:2]))),
            ("entry of an entity that is gone", root == "deleted"),
            ("written where a deletion was lifted", name not in page.get(root, {})),
        ],
        "closed": [("new against a close", closed(name, page))],
        "limit": [
            (
                "two at the limit",
                len(page.get("annotations", {})) >= limits.annotations
                or len(page.get("comments", {})) >= limits.comments,
            )
        ],
        "origin": [("builds on a refused operation", bool(before) or len(known) > 1)],
        "unknown": [
            ("builds on a refused operation", builds),
            ("another's unsent work in a shared browser", tab.shared),
            ("below an undone creation", tab.undid),
            ("close of what was restored before it was sent", root == "closed" and tab.restored),
            (
                "below what was made and deleted before it was sent",
                covered("comments", name, page.get("deleted", {})),
            ),
        ],
        "bare": [
            ("undo of a creation", tab.undid),
            ("restored before it was sent", tab.restored),
            ("removal below a refused deletion", any_deleted(verdict)),
            ("the entry lost to a restore in another tab", entry_lost(name, tab, verdict, page)),
            ("another's removal in a shared browser", tab.shared),
        ],
        "owner": [
            ("undo in a deleted thread", tab.undid),
            ("a role lost while offline", tab.demoted),
            ("another's removal in a shared browser", tab.shared),
        ],
        "identity": [
            ("undo over another's value", tab.undid),
            ("built on another's unsent work in a shared browser", tab.shared),
        ],
        "role": [
            ("a role lost while offline", tab.demoted),
            ("another's removal in a shared browser", tab.shared),
        ],
    }
    for race, holds in reasons.get(rule, []):
        if holds:
            return f"{rule}: {race}"
    raise AssertionError(
        f"{tab.name} is refused {refusal} for no reason; undid={tab.undid} restored={tab.restored}"
    )


def entry_lost(
    name: str, tab: Tab, verdict: Verdict, page: Mapping[str, Mapping[str, Json]]
) -> bool:
    """Whether the update brought the entry for this removal, and it lost to a newer removal of it."""
    mine = {f"{entity}/{encoded(tab.user)}" for entity in entities_above("comments", name)}
    brought = {entry for entry in mine if verdict.keys.get(f"deleted/{entry}") == "accepted"}
    return bool(brought) and not brought & page.get("deleted", {}).keys()


def any_deleted(verdict: Verdict) -> bool:
    """Whether a `deleted` entry was refused in the same update."""
    return any(split(refusal.key)[0] == "deleted" for refusal in verdict.refusals)
