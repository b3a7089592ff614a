"""The exact shape and size of each root's value (design 3); anything unknown is refused."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from crdt_chat.page.layout import is_comment_id, is_user
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Json


class Fault(NamedTuple):
    """Why a value is refused: `rule` is `shape` or `size`, `reason` a sentence for people."""

    rule: str
    reason: str


Check = Callable[[Json, PageLimits], str | None]
"""Says what is wrong with the kind of a value: a predicate like "must be a text", or None."""


class Property(NamedTuple):
    """One property of an object: its kind, the limit of its length by name, whether it may be missing."""

    check: Check
    limit: str | None = None
    optional: bool = False


def _text(value: Json, _limits: PageLimits) -> str | None:
    return None if type(value) is str else "must be a text"


def _user(value: Json, _limits: PageLimits) -> str | None:
    return None if type(value) is str and is_user(value) else "must be a user id"


def _whole(value: Json, _limits: PageLimits) -> str | None:
    """`1` and `1.0` are the same number to Yjs; true is none."""
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return None
    return "must be a whole number from 0 to 2^53 - 1"


def _flag(value: Json, _limits: PageLimits) -> str | None:
    return None if type(value) is bool else "must be true or false"


def _comment_id(value: Json, _limits: PageLimits) -> str | None:
    return None if type(value) is str and is_comment_id(value) else "must be a comment id"


_SELECTOR: Final[Mapping[str, Property]] = {
    "type": Property(_text, "title"),
    "exact": Property(_text, "quote", optional=True),
    "prefix": Property(_text, "context", optional=True),
    "suffix": Property(_text, "context", optional=True),
    "start": Property(_whole, optional=True),
    "end": Property(_whole, optional=True),
    "value": Property(_text, "url_id_with_range", optional=True),
}
"""W3C TextQuoteSelector, TextPositionSelector and CssSelector, and the legacy range as a `value`."""

_BROADCAST_ID: Final = Property(_text, "broadcast_id", optional=True)
_BY_AT: Final = {"by": Property(_user), "at": Property(_whole), "broadcastId": _BROADCAST_ID}
_TARGET: Final[Mapping[str, Property]] = {
    "source": Property(_text, "source", optional=True),
    "selector": Property(lambda value, limits: _check_selectors(value, limits)),
}
_OBJECTS: Final[Mapping[str, Mapping[str, Property]]] = {
    "annotations": {
        "creator": Property(_user),
        "created": Property(_whole),
        "target": Property(lambda value, limits: _check_target(value, limits)),
        "title": Property(_text, "title", optional=True),
        "urlIdWithRange": Property(_text, "url_id_with_range", optional=True),
        "broadcastId": _BROADCAST_ID,
    },
    "comments": {
        "creator": Property(_user),
        "created": Property(_whole),
        "body": Property(_text, "body"),
        "parent": Property(_comment_id, optional=True),
        "edited": Property(_whole, optional=True),
        "broadcastId": _BROADCAST_ID,
    },
    "resolved": _BY_AT | {"resolved": Property(_flag)},
    "reactions": {"at": Property(_whole), "broadcastId": _BROADCAST_ID},
    "deleted": _BY_AT,
    "closed": _BY_AT | {"closed": Property(_flag)},
}
_REQUIRED: Final = {
    id(kinds): tuple(name for name, kind in kinds.items() if not kind.optional)
    for kinds in (*_OBJECTS.values(), _TARGET, _SELECTOR)
}


def check(root: str, value: Json, limits: PageLimits) -> Fault | None:
    """What is wrong with a value of this root, shape before size; None for a good one."""
    if root == "page":
        what = _text(value, limits)
        oversize = _oversize("the title", value, "title", limits) if what is None else None
    else:
        what = _check_object(value, _OBJECTS[root], limits)
        oversize = _oversized(root, value, limits) if what is None else None
    if what is not None:
        return Fault("shape", f"The value {what}.")
    return None if oversize is None else Fault("size", oversize)


def _check_object(value: Json, kinds: Mapping[str, Property], limits: PageLimits) -> str | None:
    if type(value) is not dict:
        return "must be an object"
    for name, each in value.items():
        kind = kinds.get(name)
        if kind is None:
            return "has a property that is not known"
        wrong = kind.check(each, limits)
        if wrong is not None:
            return f"has a property {name} that {wrong}"
    for name in _REQUIRED[id(kinds)]:
        if name not in value:
            return f"lacks the property {name}"
    return None


def _check_target(value: Json, limits: PageLimits) -> str | None:
    return _check_object(value, _TARGET, limits)


def _check_selectors(value: Json, limits: PageLimits) -> str | None:
    if type(value) is not list:
        return "must be a list"
    for each in value:
        wrong = _check_object(each, _SELECTOR, limits)
        if wrong is not None:
            return f"holds a selector that {wrong}"
    return None


def _oversized(root: str, value: Mapping[str, Json], limits: PageLimits) -> str | None:
    """The first text of a well-shaped value that is too long, in code points."""
    found = _longest(value, _OBJECTS[root], limits)
    if root != "annotations" or found is not None:
        return found
    target = value["target"]
    if len(target["selector"]) > limits.selectors:
        return f"The target has more than {limits.selectors} selectors."
    found = _longest(target, _TARGET, limits)
    for selector in target["selector"]:
        found = found or _longest(selector, _SELECTOR, limits)
    return found


def _longest(
    value: Mapping[str, Json], kinds: Mapping[str, Property], limits: PageLimits
) -> str | None:
    for name, each in value.items():
        limit = kinds[name].limit
        if limit is not None:
            wrong = _oversize(f"The property {name}", each, limit, limits)
            if wrong is not None:
                return wrong
    return None


def _oversize(what: str, text: str, limit: str, limits: PageLimits) -> str | None:
    most = getattr(limits, limit)
    return f"{what} is longer than {most} characters." if len(text) > most else None
