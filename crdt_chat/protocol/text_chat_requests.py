"""What legacy clients ask for: POST and DELETE bodies read into operations on the page (pure)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant
from crdt_chat.page.layout import deleted_name
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Json
from crdt_chat.protocol.text_chat import COMMENT_SELECTOR, CSS_SELECTOR, RANGE_SELECTOR
from crdt_chat.protocol.url_ids import cleaned

Operation = tuple[str, str, Json]
"""(root, name, value); None removes."""

MAX_RANGE = 1_000
"""Characters of a serialized range; also the limit of a CSS selector."""

POSITION = re.compile(r"(\d{1,9}(?:/\d{1,9})*)?:(\d{1,9})\Z")
RANGE = re.compile(r"([^,{|]*),([^,{|]*)(?:\{[0-9A-Za-z]{1,16}\})?\Z")
"""Rangy's serializer: leaf-first index path, offset, CRC-32 in hex (legacy-protocol 8)."""


@dataclass(frozen=True, slots=True)
class Creation:
    """A POST to /comment-collab-chats, read and checked. broadcast_id "": the server gives one."""

    page: str
    url_id_with_range: str
    page_title: str
    selector: str
    range: str
    created_from: str
    broadcast_id: str
    quote: str = ""
    prefix: str = ""
    suffix: str = ""


def creation(body: Json, limits: PageLimits) -> Creation:
    """The creation that a POST body asks for. Raises Malformed naming the first wrong field.

    `exact`, `prefix` and `suffix` are ours, optional: with the quote other clients can anchor too.
    """
    fields = _object(body)
    serialized = _text(fields, "range", MAX_RANGE)
    if not all(_is_range(part) for part in serialized.split("|")):
        raise Malformed("range must read start,end{checksum}, each a path and an offset")
    return Creation(
        page=cleaned(_text(fields, "urlId", limits.url_id_with_range)),
        url_id_with_range=_text(fields, "urlIdWithRange", limits.url_id_with_range),
        page_title=_text(fields, "pageTitle", 10_000, blank=True)[: limits.title],
        selector=_text(fields, "selector", MAX_RANGE),
        range=serialized,
        created_from=_text(fields, "createdFromCommentId", 255, blank=True),
        broadcast_id=broadcast_id(fields, limits),
        quote=_text(fields, "exact", limits.quote, blank=True, optional=True),
        prefix=_text(fields, "prefix", limits.context, blank=True, optional=True),
        suffix=_text(fields, "suffix", limits.context, blank=True, optional=True),
    )


def broadcast_id(fields: Mapping[str, Json], limits: PageLimits) -> str:
    """The broadcastId of a body or query, "" where it has none. Raises Malformed for no text."""
    return _text(fields, "broadcastId", limits.broadcast_id, blank=True, optional=True)


def deletion_body(body: Json) -> Mapping[str, Json]:
    """The fields of a DELETE body; some stacks drop it, then it is empty. Raises Malformed."""
    return {} if body is None else _object(body)


def _object(body: Json) -> Mapping[str, Json]:
    if not isinstance(body, dict):
        raise Malformed("the body must be a JSON object")
    return body


def _text(
    fields: Mapping[str, Json],
    name: str,
    limit: int,
    *,
    blank: bool = False,
    optional: bool = False,
) -> str:
    value = fields.get(name)
    if value is None and optional:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # a custom urlId may be a number
    if not isinstance(value, str):
        raise Malformed(f"{name} is required and must be a text")
    if not value and not blank:
        raise Malformed(f"{name} must not be empty")
    if len(value) > limit:
        raise Malformed(f"{name} must have at most {limit} characters")
    return value


def _is_range(text: str) -> bool:
    """Whether this is one serialized range that does not end before it starts."""
    matched = RANGE.match(text)
    if matched is None:
        return False
    start, end = POSITION.match(matched[1]), POSITION.match(matched[2])
    if start is None or end is None:
        return False
    return start[1] != end[1] or int(start[2]) <= int(end[2])


def create(asked: Creation, annotation: str, grant: Grant, now: int) -> list[Operation]:
    """The operations that make this annotation, in the name of the grant's user. now: ms."""
    value: dict[str, Json] = {
        "creator": grant.user,
        "created": now,
        "target": {"selector": _selectors(asked)},
        "urlIdWithRange": asked.url_id_with_range,
    }
    if asked.page_title:
        value["title"] = asked.page_title
    if asked.broadcast_id:
        value["broadcastId"] = asked.broadcast_id
    return [("annotations", annotation, value)]


def _selectors(asked: Creation) -> list[dict[str, Json]]:
    selectors: list[dict[str, Json]] = []
    if asked.quote:
        quoted = {"type": "TextQuoteSelector", "exact": asked.quote}
        context = {"prefix": asked.prefix, "suffix": asked.suffix}
        selectors.append(quoted | {key: text for key, text in context.items() if text})
    selectors.append({"type": CSS_SELECTOR, "value": asked.selector})
    selectors.append({"type": RANGE_SELECTOR, "value": asked.range})
    if asked.created_from:
        selectors.append({"type": COMMENT_SELECTOR, "value": asked.created_from})
    return selectors


def delete(
    annotation: str, grant: Grant, now: int, said_id: str, below: Iterable[tuple[str, str]]
) -> list[Operation]:
    """The operations that delete an annotation: the entry, and the removal of it and of its thread.

    The entry says who, when and under which broadcastId (design 3). now: ms. below: root and name
    of everything that hangs on the annotation.
    """
    entry: dict[str, Json] = {"by": grant.user, "at": now}
    if said_id:
        entry["broadcastId"] = said_id
    removals: list[Operation] = [(root, name, None) for root, name in below]
    return [
        ("deleted", deleted_name(annotation, grant.user), entry),
        ("annotations", annotation, None),
        *removals,
    ]
