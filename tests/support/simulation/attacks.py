"""What must never get through, made with real replicas: every forbidden text begins with EVIL.

An attack is a list of transactions on the attacker's own replica, or raw bytes. All of them are
forbidden for whoever is offered them; `targets` are the keys that the gate must not accept.
"""

from collections.abc import Callable
from dataclasses import dataclass

from contents import Json
from yjs_peer import NAN, UNDEFINED, Operation

from crdt_chat.identity import Role

from .oracle import EVIL, closed, encoded
from .people import Desk, comment


@dataclass(frozen=True, slots=True)
class Attack:
    """Writes of one transaction after the other, or an update made by hand."""

    transactions: tuple[list[Operation], ...] = ()
    raw: bytes = b""


Plot = Callable[[Desk], Attack | None]
"""An attack, or None if there is nobody to harm."""


def evil(desk: Desk) -> str:
    """A forbidden text, never twice the same."""
    return f"{EVIL} {next(desk.fresh)}"


def foreign(desk: Desk, root: str) -> str | None:
    """Somebody else's live entity."""
    me = desk.grant.user
    return desk.pick([name for name, value in desk.entries(root).items() if value["creator"] != me])


def overwrite(desk: Desk, root: str) -> Attack | None:
    name = foreign(desk, root)
    if name is None or (root == "annotations" and desk.moderates):
        return None
    value = dict(desk.entries(root)[name])
    if root == "comments":
        value["body"] = evil(desk)
    else:
        value["title"] = evil(desk)
    if desk.rng.random() < 0.3:
        value["creator"] = desk.grant.user
    write: Operation = ("set", root, name, value)
    if desk.rng.random() < 0.3:
        return Attack(([write, ("delete", root, name)],))
    return Attack(([write],))


def overwrite_comment(desk: Desk) -> Attack | None:
    return overwrite(desk, "comments")


def overwrite_annotation(desk: Desk) -> Attack | None:
    return overwrite(desk, "annotations")


def forge_creator(desk: Desk) -> Attack | None:
    thread = desk.pick(list(desk.entries("annotations")))
    if thread is None:
        return None
    value = {"creator": "ghost", "created": desk.now, "body": evil(desk)}
    return Attack(([("set", "comments", f"{thread}/c{next(desk.fresh)}", value)],))


def forge_annotation(desk: Desk) -> Attack | None:
    value = {
        "creator": "ghost",
        "created": desk.now,
        "target": {"selector": [{"type": "TextQuoteSelector", "exact": evil(desk)}]},
    }
    return Attack(([("set", "annotations", f"a{next(desk.fresh)}", value)],))


def remove_barely(desk: Desk) -> Attack | None:
    root = desk.rng.choice(["annotations", "comments"])
    name = foreign(desk, root)
    return None if name is None else Attack(([("delete", root, name)],))


def remove_reaction(desk: Desk) -> Attack | None:
    mine = f"/{encoded(desk.grant.user)}"
    name = desk.pick([name for name in desk.entries("reactions") if not name.endswith(mine)])
    return None if name is None else Attack(([("delete", "reactions", name)],))


def delete_as(desk: Desk, user: str, by: str) -> Attack | None:
    root = desk.rng.choice(["annotations", "comments"])
    name = foreign(desk, root)
    if name is None:
        return None
    entry: Operation = (
        "set",
        "deleted",
        f"{name}/{encoded(user)}",
        {"by": by, "at": desk.now, "broadcastId": evil(desk)},
    )
    return Attack(([entry, ("delete", root, name)],))


def delete_foreign(desk: Desk) -> Attack | None:
    return None if desk.moderates else delete_as(desk, desk.grant.user, desk.grant.user)


def delete_as_victim(desk: Desk) -> Attack | None:
    return delete_as(desk, "ghost", desk.rng.choice(["ghost", desk.grant.user]))


def delete_for_victim(desk: Desk) -> Attack | None:
    return delete_as(desk, desk.grant.user, "ghost")


def delete_in_the_shade(desk: Desk) -> Attack | None:
    mine, theirs = desk.pick(desk.own("comments")), foreign(desk, "comments")
    if mine is None or theirs is None or desk.moderates:
        return None
    entry = {"by": desk.grant.user, "at": desk.now}
    return Attack(
        (
            [
                ("set", "deleted", f"{mine}/{encoded(desk.grant.user)}", entry),
                ("delete", "comments", mine),
                ("delete", "comments", theirs),
            ],
        )
    )


BAD: tuple[dict[str, Json], ...] = (
    {"evil": EVIL},
    {"body": [EVIL]},
    {"body": None, "broadcastId": EVIL},
    {"body": UNDEFINED, "broadcastId": EVIL},
    {"created": NAN, "body": EVIL},
    {"created": -1, "body": EVIL},
    {"created": 1.5, "body": EVIL},
    {"parent": 7, "body": EVIL},
    {"parent": "../x", "body": EVIL},
    {"broadcastId": EVIL * 100},
    {"edited": "now", "body": EVIL},
    {"body": f"{EVIL} " + "x" * 10_000},
    {"body": {"$any": "bytes", "value": "RVZJTA=="}},
    {"nested": {"deep": [[[EVIL]]]}},
)
"""What makes the value of a comment a bad one."""


def bad_value(desk: Desk) -> Attack | None:
    thread = desk.pick(list(desk.entries("annotations")))
    if thread is None:
        return None
    mine = desk.pick(desk.own("comments"))
    name = f"{thread}/c{next(desk.fresh)}" if mine is None or desk.rng.random() < 0.5 else mine
    value = desk.entries("comments").get(name) or comment(desk, body=EVIL)
    return Attack(([("set", "comments", name, value | desk.rng.choice(BAD))],))


def no_object(desk: Desk) -> Attack | None:
    thread = desk.pick(list(desk.entries("annotations")))
    if thread is None:
        return None
    value = desk.rng.choice([EVIL, [EVIL], None, 7, True, UNDEFINED, {}])
    return Attack(([("set", "comments", f"{thread}/c{next(desk.fresh)}", value)],))


def change_the_past(desk: Desk) -> Attack | None:
    name = desk.pick([name for name in desk.own("comments") if name in desk.known])
    if name is None:
        return None
    # What the server has never seen has no past yet: that would be a new comment.
    change = desk.rng.choice([{"creator": "ghost"}, {"created": desk.now + 1}])
    value = desk.entries("comments")[name] | {"body": evil(desk)} | change
    return Attack(([("set", "comments", name, value)],))


def react_as_another(desk: Desk) -> Attack | None:
    name = desk.pick(list(desk.entries("comments")))
    if name is None:
        return None
    alias = "%" + desk.grant.user[0].encode().hex() + desk.grant.user[1:]
    emoji = desk.rng.choice(["👍", "x", "👍👍👍👍👍👍👍👍👍👍"])
    user = desk.rng.choice(["ghost", alias])
    key = f"{name}/{emoji}/{user}"
    return Attack(([("set", "reactions", key, {"at": desk.now, "broadcastId": evil(desk)})],))


def play_moderator(desk: Desk) -> Attack | None:
    if desk.moderates:
        return None
    me, now = desk.grant.user, desk.now
    thread = desk.pick(
        [name for name, value in desk.entries("annotations").items() if value["creator"] != me]
    )
    writes: list[Operation] = [
        ("set", "page", "title", evil(desk)),
        ("set", "closed", "page", {"by": me, "at": now, "closed": False, "broadcastId": EVIL}),
    ]
    if thread is not None:
        flag = {"by": me, "at": now, "resolved": True, "broadcastId": evil(desk)}
        shut = {"by": me, "at": now, "closed": True, "broadcastId": evil(desk)}
        writes += [("set", "resolved", thread, flag), ("set", "closed", thread, shut)]
    return Attack(([desk.rng.choice(writes)],))


def undo_moderation(desk: Desk) -> Attack | None:
    if desk.moderates:
        return None
    mine = encoded(desk.grant.user)
    keys = [("closed", name) for name in desk.entries("closed")]
    keys += [("page", name) for name in desk.entries("page")]
    keys += [
        ("deleted", name) for name in desk.entries("deleted") if name.rpartition("/")[2] != mine
    ]
    if not keys:
        return None
    return Attack(([("delete", *desk.rng.choice(sorted(keys)))],))


def revive(desk: Desk) -> Attack | None:
    """Write what was deleted again, below a standing entry."""
    entries = [name for name in desk.entries("deleted") if name.count("/") == 2]
    entry = desk.pick(entries)
    if entry is None:
        return None
    name = entry.rpartition("/")[0]
    if name not in desk.known:
        return None  # what was made and deleted before anybody saw it is nobody's
    return Attack(([("set", "comments", name, comment(desk, body=evil(desk)))],))


def bad_name(desk: Desk) -> Attack | None:
    value = comment(desk, body=evil(desk))
    thread = desk.pick(list(desk.entries("annotations"))) or "a0"
    keys: list[tuple[str, str]] = [
        ("EVILroot", "x"),
        ("__proto__", EVIL),
        ("annotations", "page"),
        ("annotations", f"{EVIL} space"),
        ("comments", EVIL),
        ("comments", f"{thread}/{EVIL}/x"),
        ("comments", f"{thread}/" + EVIL * 17),
        ("comments", "__proto__/constructor"),
        ("reactions", f"{thread}/{EVIL}"),
        ("deleted", EVIL),
        ("closed", f"{EVIL}/x"),
        ("page", f"{EVIL}\n"),
    ]
    return Attack(([("set", *desk.rng.choice(keys), value)],))


def speak_when_closed(desk: Desk) -> Attack | None:
    shut = [name for name in desk.entries("annotations") if closed(name, desk.view)]
    name = desk.pick(shut)
    if name is None or desk.moderates:
        return None
    # No forbidden words: if it is open again by then, this is a comment like any other.
    value = comment(desk)
    return Attack(([("set", "comments", f"{name}/c{next(desk.fresh)}", value)],))


def speak_as_viewer(desk: Desk) -> Attack | None:
    if desk.grant.role > Role.VIEWER:
        return None
    thread = desk.pick(list(desk.entries("annotations"))) or "a0"
    value = comment(desk, body=evil(desk))
    return Attack(([("set", "comments", f"{thread}/c{next(desk.fresh)}", value)],))


def annotate_as_commenter(desk: Desk) -> Attack | None:
    if desk.grant.role >= Role.EDITOR:
        return None
    value = {
        "creator": desk.grant.user,
        "created": desk.now,
        "target": {"selector": [{"type": "TextQuoteSelector", "exact": evil(desk)}]},
    }
    return Attack(([("set", "annotations", f"a{next(desk.fresh)}", value)],))


def mixed(desk: Desk) -> Attack | None:
    """Two attacks in one transaction."""
    parts = [plot(desk) for plot in desk.rng.sample(PLOTS[:-1], 2)]
    writes = [
        operation
        for part in parts
        if part is not None
        for operations in part.transactions
        for operation in operations
    ]
    return Attack((writes,)) if writes else None


PLOTS: tuple[Plot, ...] = (
    overwrite_comment,
    overwrite_annotation,
    forge_creator,
    forge_annotation,
    remove_barely,
    remove_reaction,
    delete_foreign,
    delete_as_victim,
    delete_for_victim,
    delete_in_the_shade,
    bad_value,
    no_object,
    change_the_past,
    react_as_another,
    play_moderator,
    undo_moderation,
    revive,
    bad_name,
    speak_when_closed,
    speak_as_viewer,
    annotate_as_commenter,
    mixed,
)


def plot(desk: Desk) -> tuple[str, Attack] | None:
    """A random attack that makes sense for this person on this page, with its name."""
    for chosen in desk.rng.sample(PLOTS, len(PLOTS)):
        attack = chosen(desk)
        if attack is not None:
            return chosen.__name__, attack
    return None
