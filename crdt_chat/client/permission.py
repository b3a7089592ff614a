"""What the page's rules would refuse for sure, refused before it is written (design 4, rules).

"Our clients run the same rules locally, so refusals are rare": an operation refused by the server
costs a round trip, and may cost the document.
"""

from crdt_chat.client.errors import Refused
from crdt_chat.client.peer import Peer
from crdt_chat.client.replica import Operation
from crdt_chat.identity import Role
from crdt_chat.page import values
from crdt_chat.page.layout import is_name
from crdt_chat.page.powers import powers_of

_UNKNOWN = Role.ADMIN
"""Before the first hello only the server knows the role: let it judge."""

_FOREIGN = ("owner", "This is somebody else's.")
_MODERATORS = ("role", "Only moderators may do this.")


def check(operations: list[Operation], peer: Peer) -> None:
    """Raises Refused, with nothing written, if one of these is not this person's to make."""
    try:
        role = Role.parse(peer.role)
    except ValueError:
        role = _UNKNOWN
    for operation in operations:
        rule = _rule(operation, role, peer)
        if rule is not None:
            root, name, value = operation
            raise Refused(f"{root}/{name}", *rule, value=value)


def _rule(operation: Operation, role: Role, peer: Peer) -> tuple[str, str] | None:
    root, name, value = operation
    if not is_name(root, name):
        return "key", "That is no valid name for an entry."
    fault = values.check(root, value, peer.limits) if value is not None else None
    if fault is not None:
        return fault
    powers = powers_of(role, peer.limits)
    if not powers.writes or (root == "annotations" and value is not None and not powers.annotates):
        return "role", f"As {role.name.lower()} you may not do this."
    if powers.moderates or root == "reactions":
        return None
    if root in ("closed", "page"):
        return _MODERATORS
    if root == "deleted":
        return _owned(name.rpartition("/")[0], peer)
    if root == "comments" and value is None:
        # "Whoever may delete an annotation may then remove the comments below it."
        return _owned(name, peer) and _owned(name.partition("/")[0], peer)
    # A tenant may let any writer resolve: that is the server's to know.
    return None if root == "resolved" else _owned(name, peer)


def _owned(entity: str, peer: Peer) -> tuple[str, str] | None:
    """None where this annotation or comment is new or this person's own."""
    root = "comments" if "/" in entity else "annotations"
    value = peer.mirror.value(root, entity)
    creator = value.get("creator") if isinstance(value, dict) else peer.user.id
    return None if creator == peer.user.id else _FOREIGN
