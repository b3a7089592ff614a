"""What legacy clients are told: text-chat events, chat objects and answers, in their own JSON.

A commit's changes become one event per gesture (gestures.py); every event carries the whole chat,
so that it may arrive twice (an upsert by `_id`, never a delta). The one module with camelCase.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from crdt_chat.errors import RemoteFault
from crdt_chat.identity import Grant, Role
from crdt_chat.page.json_text import as_text
from crdt_chat.page.verdict import Json
from crdt_chat.protocol.gestures import Attributed, Gesture, Lifetimes, Look, gestures

__all__ = ["Attributed", "TextChatEvent", "conversations", "events", "fault", "frame"]

Below = Callable[[str, str], Iterable[str]]
"""(root, annotation id) -> the names in that root that lie below the annotation."""

CHAT = "chat"
"""The key of the chat in an event: real traffic has never been seen (legacy-protocol 4.4)."""

CSS_SELECTOR, RANGE_SELECTOR, COMMENT_SELECTOR = "CssSelector", "RangySelector", "LegacyComment"
"""Selector types that carry a legacy anchor: the root element, the Rangy range inside it, and the
comment that the chat was made from (its id in the legacy thread), each as `value`."""

ANCHOR_KEYS = {
    CSS_SELECTOR: "selector",
    RANGE_SELECTOR: "range",
    COMMENT_SELECTOR: "createdFromCommentId",
}

QUOTE_KEYS = ("exact", "prefix", "suffix", "start", "end")
"""What other selectors say, shown under its own name."""

EXCERPT = 500
"""Code points of the first comment that a chat shows; the whole thread has its own endpoint."""


class TextChatEvent(NamedTuple):
    """One event of a commit: `body` is its JSON object without `timestamp`, `entity` the chat."""

    type: str
    broadcast_id: str
    user: str
    entity: str
    body: str


def events(
    page: str,
    changes: Sequence[Attributed],
    look: Look,
    new_broadcast_id: Callable[[], str],
    below: Below | None = None,
) -> list[TextChatEvent]:
    """The events that a commit's changes mean, in order: one per (annotation, broadcastId, person).

    Added, restored or unhidden = new-text-chat; deleted or hidden = deleted-text-chat; all else on
    an annotation that is there = updated-text-chat (design 10). page: its name. `look` and `below`
    read the page as it is after the changes.
    """
    latest = {(change.root, change.name): change.after for change, *_ in changes}

    def known(root: str, name: str) -> Json:
        # Most of what an event shows is in the commit itself: the document is asked for the rest.
        return latest[root, name] if (root, name) in latest else look(root, name)

    lifetimes = Lifetimes(changes, known)
    found = []
    for gesture in gestures(changes, new_broadcast_id):
        told = _chat_of(page, gesture, lifetimes, known, below)
        if told is None:
            continue
        kind = f"{gesture.effect}-text-chat"
        body = {
            "type": kind,
            "broadcastId": gesture.broadcast_id,
            "userId": gesture.actor,
            CHAT: told,
        }
        found.append(
            TextChatEvent(
                kind, gesture.broadcast_id, gesture.actor, gesture.annotation, dumps(body)
            )
        )
    return found


def _chat_of(
    page: str, gesture: Gesture, lifetimes: Lifetimes, look: Look, below: Below | None
) -> dict[str, Json] | None:
    """The chat an event shows; None where nothing is to be told: an update of what is gone."""
    value = lifetimes.latest(gesture)
    if gesture.effect == "deleted":
        return gone(page, gesture.annotation, value)
    if value is None:
        return None
    first = gesture.comments if gesture.effect == "new" else ()
    return chat(page, gesture.annotation, value, look, below, first)


def chat(
    page: str,
    annotation: str,
    value: Mapping[str, Json],
    look: Look,
    below: Below | None = None,
    comments: Iterable[str] | None = None,
) -> dict[str, Json]:
    """The chat object of an annotation: the keys of the documented list, and ours beside them.

    page: its name. comments: the first comments' ids, where there is no `below` to tell them. One
    shape for list and events.
    """
    found: dict[str, Json] = {
        "_id": annotation,
        "urlId": thread_url_id(page, annotation, value),
        "range": "",
        "selector": "",
        **_thread(annotation, look, below, comments),
        **_anchor(value),
        "userId": value["creator"],
        "created": value["created"],
    }
    if value.get("title"):
        found["pageTitle"] = value["title"]
    for root, key in (("resolved", "isResolved"), ("closed", "isClosed")):
        fact = look(root, annotation)
        found[key] = fact is not None and fact[root]
    return found


def _anchor(value: Mapping[str, Json]) -> dict[str, Json]:
    """Where it hangs: the legacy anchor, and what W3C selectors say."""
    found: dict[str, Json] = {}
    for selector in value["target"]["selector"]:
        key = ANCHOR_KEYS.get(selector["type"])
        if key is not None:
            found[key] = selector.get("value", "")
        else:
            found |= {key: selector[key] for key in QUOTE_KEYS if key in selector}
    return found


def _thread(
    annotation: str,
    look: Look,
    below: Below | None,
    comments: Iterable[str] | None,
) -> dict[str, Json]:
    """The comment it was made from, if it is there, and how many there are."""
    if below is not None:
        comments = [name.split("/", 1)[1] for name in below("comments", annotation)]
    found = []
    for comment in comments or ():
        said = look("comments", f"{annotation}/{comment}")
        if said is not None:
            found.append((said["created"], comment, said["body"]))
    thread: dict[str, Json] = {"commentCount": len(found)} if below is not None else {}
    first = min(found, default=None)
    if first is None:
        return thread
    body = first[2] if len(first[2]) <= EXCERPT else first[2][: EXCERPT - 1] + "…"
    return thread | {"createdFromCommentId": first[1], "comment": body}


def gone(page: str, annotation: str, value: Mapping[str, Json] | None) -> dict[str, Json]:
    """The chat object of an annotation that is not there any more: its ids, none of its content."""
    return {"_id": annotation, "urlId": thread_url_id(page, annotation, value or {})}


def thread_url_id(page: str, annotation: str, value: Mapping[str, Json]) -> str:
    """The urlId of an annotation's own thread: the client's urlIdWithRange, else one of ours."""
    known = value.get("urlIdWithRange")
    return known if isinstance(known, str) and known else f"{page}:{annotation}"


def dumps(body: Json) -> str:
    """JSON for legacy clients: compact, `%` escaped: one SDK percent-decodes whole frames."""
    return as_text(body).replace("%", "\\u0025")


def frame(timestamp: int, body: str) -> str:
    """The text frame of an event: one JSON object. timestamp: ms, as the store assigned it."""
    return f'{{"timestamp":{timestamp},{body[1:]}'


def presence(now: int, count: int, joined: Sequence[str] = (), left: Sequence[str] = ()) -> str:
    """The `p-u` frame: `count` users are here; an id is never in both lists (legacy-protocol 6)."""
    body: dict[str, Json] = {"type": "p-u", "ts": now, "sc": count}
    arrived = [user for user in dict.fromkeys(joined) if user not in left]
    departed = [user for user in dict.fromkeys(left) if user not in joined]
    body |= {"uj": arrived} if arrived else {}
    body |= {"ul": departed} if departed else {}
    return dumps(body)


def log_entry(
    tenant: str, page: str, timestamp: int, broadcast_id: str, body: str
) -> dict[str, Json]:
    """One entry of the event log: six strings, no more (strict SDK models)."""
    created = datetime.fromtimestamp(timestamp / 1000, UTC)
    return {
        "_id": f"{timestamp}",
        "createdAt": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenantId": tenant,
        "urlId": page,
        "broadcastId": broadcast_id,
        "data": frame(timestamp, body),
    }


def refreshed(body: str, current: Callable[[str], Mapping[str, Json] | None]) -> str:
    """A logged event as it may be told today: with the chat as `current` gives it by id.

    What has been deleted, hidden or edited since must not come back out of the log.
    """
    event: dict[str, Any] = json.loads(body)
    told = event[CHAT]
    if not event["type"].startswith("deleted"):
        event[CHAT] = current(told["_id"]) or {
            "_id": told["_id"],
            "urlId": told["urlId"],
            "range": "",
            "selector": "",
        }
    return dumps(event)


def conversations(
    chats: Sequence[Mapping[str, Json]], page: str, grant: Grant, tokens: tuple[str, str]
) -> dict[str, Json]:
    """The answer to a listing. tokens: urlIdWS and userIdWS, as `/sub` takes them."""
    url_id_ws, user_id_ws = tokens
    return {
        "status": "success",
        "user": session_user(grant),
        "conversations": list(chats),
        "urlIdClean": page,
        "isSiteAdmin": grant.role >= Role.MODERATOR,
        "tenantIdWS": grant.tenant,
        "urlIdWS": url_id_ws,
        "userIdWS": user_id_ws,
    }


def session_user(grant: Grant) -> dict[str, Json]:
    """The person a request is made for, as legacy clients know her."""
    anonymous = grant.user.startswith("anon:")
    found: dict[str, Json] = {
        "id": grant.user,
        "username": grant.name,
        "displayName": grant.name,
        "displayLabel": "",
        "websiteUrl": "",
        "badges": [],
        "groupIds": None,
        "authorized": not anonymous,
        "isAnonSession": anonymous,
        "hasBlockedUsers": False,
        "needsTOS": False,
    }
    return found | ({"avatarSrc": grant.avatar} if grant.avatar else {})


def fault(error: RemoteFault) -> dict[str, Json]:
    """The body of a refusal: both published shapes in one (legacy-protocol 3.4), and ours beside."""
    reason = str(error) or error.code
    body: dict[str, Json] = {"status": "failed", "code": error.code, "reason": reason}
    body["message"] = reason
    if error.operations:
        body["operations"] = list(error.operations)
    return body
