"""What design 3 says of every root, operation and role, on what is eve's own and on what is ada's.

Written from the design: nothing here looks at how the gate comes to its verdict. What is there before
(`live-ada`, `gone-eve` ...) is made by tests/unit/page/test_role_matrix.py.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from handmade import annotation, comment, entry

from crdt_chat.identity import Role
from crdt_chat.page.verdict import Json

Key = tuple[str, str]
EVIL = "EVIL"


class Cell(NamedTuple):
    """What eve does, and what becomes of it: rule "" is accepted; `gone` goes with it."""

    writes: list[tuple[str, str, Json]]
    rules: list[str]
    repair: str
    gone: tuple[Key, ...] = ()


def entities(role: Role, thread: str, user: str) -> Iterator[Cell]:
    """Annotations and comments: `user` made them."""
    mine = user == "eve"
    moderates = role >= Role.MODERATOR
    viewer = role == Role.VIEWER
    for root, name in (("annotations", thread), ("comments", f"{thread}/c")):
        make: Callable[..., dict[str, Any]] = annotation if root == "annotations" else comment
        created = 1 if root == "annotations" else 2
        value = make(user, created=created, broadcastId=EVIL)
        may_edit = mine or (moderates and root == "annotations")
        may_delete = mine or moderates
        owner = "role" if viewer else "owner"
        away = "reset" if viewer or not may_delete else "rollback"
        # over what lives
        good = may_edit and not viewer
        yield Cell([(root, name, value)], ["" if good else owner], "none" if good else "reset")
        for past in ({"created": created + 1}, {"creator": "zoe"}):
            rule = "fixed" if good else owner
            yield Cell([(root, name, value | past)], [rule], "rollback" if good else "reset")
        # bare, and with an entry
        rule = "role" if viewer else "bare" if may_delete else "owner"
        yield Cell([(root, name, None)], [rule], away)
        entered = ("deleted", f"{name}/eve", entry("eve", broadcastId=EVIL))
        deletes = may_delete and not viewer
        yield Cell(
            [entered, (root, name, None)],
            ["", ""] if deletes else [owner, owner],
            "none" if deletes else "reset",
        )
        yield Cell(
            [entered], [""] if deletes else [owner], "none" if deletes else "reset", ((root, name),)
        )
        # what is deleted, by its maker or by a moderator, stays so
        maker = thread.split("-")[1]
        for gone in ("gone", "taken"):
            other = f"{gone}-{maker}" if root == "annotations" else f"{thread}/{gone}"
            rule = "deleted" if may_edit else "owner"
            yield Cell([(root, other, value)], ["role" if viewer else rule], away)


def fresh(role: Role) -> Iterator[Cell]:
    """What is new: annotations, comments, reactions, names that are none."""
    viewer, moderates = role == Role.VIEWER, role >= Role.MODERATOR
    annotates = role >= Role.EDITOR
    for creator in ("eve", "ada"):
        own = creator == "eve"
        new = annotation(creator, broadcastId=EVIL)
        rule = "role" if not annotates else "" if own else "identity"
        yield Cell([("annotations", "new", new)], [rule], "rollback" if rule else "none")
        for thread in ("live-ada", "live-eve", "gone-ada", "shut-ada"):
            said = comment(creator, broadcastId=EVIL)
            rule = "role" if viewer else "" if own else "identity"
            if not rule and thread == "shut-ada" and not moderates:
                rule = "closed"
            repair = "rollback" if rule else "none"
            yield Cell([("comments", f"{thread}/new", said)], [rule], repair)
    for name in ("page", "__proto__", "x y", "a" * 65, "-a", "a/b", ""):
        rule = "role" if viewer else "key"
        bad = annotation("eve", broadcastId=EVIL)
        yield Cell([("annotations", name, bad)], [rule], "rollback")
    yield Cell([("else", "x", EVIL)], ["role" if viewer else "root"], "rollback")
    yield Cell([("page", "else", EVIL)], ["role" if viewer else "key"], "rollback")


def facts(role: Role, user: str) -> Iterator[Cell]:
    """Facts about what `user` made."""
    mine = user == "eve"
    moderates = role >= Role.MODERATOR
    viewer = role == Role.VIEWER
    may_delete = mine or moderates
    live, shut = f"live-{user}", f"shut-{user}"

    def refused(rule: str, *, mends: bool) -> tuple[list[str], str]:
        if viewer:
            return ["role"], "reset"
        return ([rule], "rollback" if mends else "reset") if rule else ([""], "none")

    for name, lives in ((live, True), (f"bare-{user}", False)):
        value = entry("eve", resolved=False, broadcastId=EVIL)
        rule = "" if may_delete else "owner"
        yield Cell([("resolved", name, value)], *refused(rule, mends=False))
        forged = value | {"by": "ada"}
        yield Cell([("resolved", name, forged)], *refused("identity", mends=may_delete))
        if lives:
            yield Cell([("resolved", name, None)], *refused(rule, mends=False))
    said = entry("eve", resolved=True, broadcastId=EVIL)
    rule = "closed" if mine else "owner"
    yield Cell([("resolved", shut, said)], *refused("" if moderates else rule, mends=mine))
    rule = "deleted" if may_delete else "owner"
    yield Cell([("resolved", f"gone-{user}", said)], *refused(rule, mends=may_delete))

    like = {"at": 1, "broadcastId": EVIL}
    yield Cell([("reactions", f"{live}/c/🎉/eve", like)], *refused("", mends=True))
    yield Cell([("reactions", f"{live}/gone/🎉/eve", like)], *refused("deleted", mends=True))
    rule = "" if moderates else "closed"
    yield Cell([("reactions", f"{shut}/c/🎉/eve", like)], *refused(rule, mends=True))
    for other in ("ada", "%65ve"):
        key = f"{live}/c/🎉/{other}"
        yield Cell([("reactions", key, like)], *refused("identity", mends=may_delete))
    own = f"{live}/c/👍/{user}"
    yield Cell([("reactions", own, like)], *refused("" if mine else "identity", mends=False))
    rule = "" if mine else "bare" if moderates else "owner"
    yield Cell([("reactions", own, None)], *refused(rule, mends=moderates))

    for other in (live, f"{live}/c"):
        for by, under in (("ada", "ada"), ("ada", "eve"), ("eve", "ada")):
            value = entry(by, broadcastId=EVIL)
            name = f"{other}/{under}"
            mends = moderates or (mine and under == "eve")
            yield Cell([("deleted", name, value)], *refused("identity", mends=mends))
    for other in (f"gone-{user}", f"{live}/gone"):
        rule = "" if may_delete else "owner"
        yield Cell([("deleted", f"{other}/{user}", None)], *refused(rule, mends=False))
        value = entry("eve", at=9, broadcastId=EVIL)
        rule = "" if mine else "identity"
        yield Cell([("deleted", f"{other}/{user}", value)], *refused(rule, mends=False))
    for other in (f"taken-{user}", f"{live}/taken"):
        rule = "" if moderates else "owner"
        yield Cell([("deleted", f"{other}/mod", None)], *refused(rule, mends=False))

    for name in ("page", live, shut):
        value = entry("eve", closed=True, broadcastId=EVIL)
        rule = "" if moderates else "role"
        yield Cell([("closed", name, value)], *refused(rule, mends=False))
        forged = value | {"by": "ada"}
        rule = "identity" if moderates else "role"
        yield Cell([("closed", name, forged)], *refused(rule, mends=moderates))
        if name == shut:
            rule = "" if moderates else "role"
            yield Cell([("closed", name, None)], *refused(rule, mends=False))


def others_below(role: Role) -> Iterator[Cell]:
    """What somebody else wrote below eve's own thread."""
    viewer, moderates = role == Role.VIEWER, role >= Role.MODERATOR
    answer = "live-eve/ada"
    owner, reset = "role" if viewer else "owner", "reset"
    edited = comment("ada", broadcastId=EVIL)
    yield Cell([("comments", answer, edited)], [owner], reset)
    rule, repair = ("role", reset) if viewer else ("bare", "rollback")
    yield Cell([("comments", answer, None)], [rule], repair)
    yield Cell([("reactions", "live-eve/c/👍/ada", None)], [rule], repair)
    entered = ("deleted", f"{answer}/eve", entry("eve", broadcastId=EVIL))
    rule, repair = (owner, reset) if not moderates else ("", "none")
    yield Cell(
        [entered, ("comments", answer, None)], [rule, rule if rule != "owner" else "bare"], repair
    )
    thread = [
        ("deleted", "live-eve/eve", entry("eve", broadcastId=EVIL)),
        ("annotations", "live-eve", None),
        ("comments", "live-eve/c", None),
        ("comments", answer, None),
        ("reactions", "live-eve/c/👍/ada", None),
        ("reactions", "live-eve/c/👍/eve", None),
        ("resolved", "live-eve", None),
    ]
    yield Cell(thread, ["role" if viewer else ""] * len(thread), "reset" if viewer else "none")
    too_far = [
        *thread[:2],
        ("closed", "shut-eve", None),
        ("deleted", "live-eve/taken/mod", None),
    ]
    rules = ["role"] * 4 if viewer else ["", "", "role", "owner"]
    if not moderates:
        yield Cell(too_far, rules, "reset")


def title(role: Role) -> Iterator[Cell]:
    moderates = role >= Role.MODERATOR
    rules, repair = ([""], "none") if moderates else (["role"], "reset")
    yield Cell([("page", "title", EVIL)], rules, repair)
    yield Cell([("page", "title", None)], rules, repair)


def cells(role: Role) -> Iterator[Cell]:
    for user in ("eve", "ada"):
        yield from entities(role, f"live-{user}", user)
        yield from facts(role, user)
    yield from fresh(role)
    yield from others_below(role)
    yield from title(role)
