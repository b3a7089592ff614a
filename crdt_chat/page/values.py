"""The exact shape and size of each root's value (design 3); anything unknown is refused."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from crdt_chat.page.layout import is_comment_id, is_user
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Json


class Fault(NamedTuple):
    """Why a key is refused: `rule` is a rule name of design 4, `reason` a sentence for people."""

    rule: str
    reason: str


Check: TypeAlias = Callable[[str, Json, PageLimits], Fault | None]
Property: TypeAlias = tuple[type, str | None, Check | None]
"""One property of an object: its Python type, the limit of its length by name, and a closer look.

A plain tuple, which is taken apart in a third of the time of a named one.
"""


class Shape(NamedTuple):
    """The properties that an object may have, and those that it must have."""

    properties: Mapping[str, Property]
    required: frozenset[str]


def _shape(required: Mapping[str, Property], **optional: Property) -> Shape:
    return Shape({**required, **optional}, frozenset(required))


def _check_user(name: str, value: Json, _limits: PageLimits) -> Fault | None:
    return None if is_user(value) else Fault("shape", f"The property {name} must be a user id.")


def _check_whole(name: str, value: Json, _limits: PageLimits) -> Fault | None:
    if 0 <= value <= MAX_INTEGER:
        return None
    return Fault("shape", f"The property {name} must be a whole number from 0 to 2^53 - 1.")


def _check_comment_id(name: str, value: Json, _limits: PageLimits) -> Fault | None:
    return (
        None
        if is_comment_id(value)
        else Fault("shape", f"The property {name} must be a comment id.")
    )


def _check_target(_name: str, value: Json, limits: PageLimits) -> Fault | None:
    return _check_object(value, _TARGET, limits)


def _check_selectors(_name: str, value: Json, limits: PageLimits) -> Fault | None:
    faults = [fault for each in value if (fault := _check_object(each, _SELECTOR, limits))]
    if len(value) > limits.selectors:
        faults.append(Fault("size", f"The target has more than {limits.selectors} selectors."))
    return min(faults, key=lambda fault: fault.rule) if faults else None


def _text(limit: str) -> Property:
    return str, limit, None


_USER: Final[Property] = (str, None, _check_user)
_WHOLE: Final[Property] = (int, None, _check_whole)
_FLAG: Final[Property] = (bool, None, None)
_BROADCAST_ID: Final = _text("broadcast_id")

_SELECTOR: Final = _shape(
    {"type": _text("title")},
    exact=_text("quote"),
    prefix=_text("context"),
    suffix=_text("context"),
    start=_WHOLE,
    end=_WHOLE,
    value=_text("url_id_with_range"),
)
"""W3C TextQuoteSelector, TextPositionSelector and CssSelector, and the legacy range as a `value`."""

_TARGET: Final = _shape({"selector": (list, None, _check_selectors)}, source=_text("source"))
_MADE: Final = {"creator": _USER, "created": _WHOLE}
_DONE: Final = {"by": _USER, "at": _WHOLE}
_SHAPES: Final[Mapping[str, Shape]] = {
    "annotations": _shape(
        {**_MADE, "target": (dict, None, _check_target)},
        title=_text("title"),
        urlIdWithRange=_text("url_id_with_range"),
        broadcastId=_BROADCAST_ID,
    ),
    "comments": _shape(
        {**_MADE, "body": _text("body")},
        parent=(str, None, _check_comment_id),
        edited=_WHOLE,
        broadcastId=_BROADCAST_ID,
    ),
    "resolved": _shape({**_DONE, "resolved": _FLAG}, broadcastId=_BROADCAST_ID),
    "reactions": _shape({"at": _WHOLE}, broadcastId=_BROADCAST_ID),
    "deleted": _shape(_DONE, broadcastId=_BROADCAST_ID),
    "closed": _shape({**_DONE, "closed": _FLAG}, broadcastId=_BROADCAST_ID),
}


def check(root: str, value: Json, limits: PageLimits) -> Fault | None:
    """What is wrong with a value of this root, shape before size; None for a good one."""
    if root != "page":
        return _check_object(value, _SHAPES[root], limits)
    if type(value) is not str:
        return Fault("shape", "The title must be a text.")
    return _too_long("title", limits.title) if len(value) > limits.title else None


def _too_long(name: str, most: int) -> Fault:
    return Fault("size", f"The property {name} is longer than {most} characters.")


def _check_object(value: Json, shape: Shape, limits: PageLimits) -> Fault | None:
    if type(value) is not dict:
        return Fault("shape", "The value must be an object.")
    oversize: Fault | None = None
    properties, required = shape
    for name, each in value.items():
        property_ = properties.get(name)
        if property_ is None:
            return Fault("shape", "The value has a property that is not known.")
        kind, limit, look = property_
        if type(each) is not kind:
            return Fault("shape", f"The property {name} is of the wrong kind.")
        if limit is not None:
            if len(value[name]) > getattr(limits, limit):
                oversize = oversize or _too_long(name, getattr(limits, limit))
        elif look is not None:
            fault = look(name, each, limits)
            if fault is not None and fault.rule == "shape":
                return fault
            oversize = oversize or fault
    if not required <= value.keys():
        missing = ", ".join(sorted(required - value.keys()))
        return Fault("shape", f"The value lacks {missing}.")
    return oversize
