"""How notes look in a notebook cell: plain HTML, every text of other people escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from crdt_chat.client.ids import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_chat.client.model import Annotation, Comment, Status, User

_CARD = "border-left:3px solid #c9a227;padding:.2em .8em;margin:.4em 0;max-width:44em"
_QUIET = "opacity:.65;font-size:.9em"
_SHOWN = 5


def comment(item: Comment) -> str:
    """One comment: who, when, what, and the reactions to it."""
    edited = " · edited" if item.edited is not None else ""
    reactions = " ".join(
        f"{escape(emoji)}&nbsp;{len(users)}" for emoji, users in sorted(item.reactions.items())
    )
    return (
        f"<div style='margin:.3em 0'><b>{escape(item.creator)}</b> "
        f"<span style='{_QUIET}'>{_when(item.created)}{edited}</span>"
        f"<div style='white-space:pre-wrap'>{escape(item.body)}</div>"
        + (f"<div style='{_QUIET}'>{reactions}</div>" if reactions else "")
        + "</div>"
    )


def annotation(item: Annotation) -> str:
    """The quotation in its context, then the thread."""
    state = "".join(
        f" <span style='{_QUIET}'>{word}</span>"
        for word, holds in (("resolved", item.resolved), ("closed", item.closed))
        if holds
    )
    quote = (
        f"<span style='{_QUIET}'>{escape(item.prefix)}</span>"
        f"<mark>{escape(item.exact)}</mark>"
        f"<span style='{_QUIET}'>{escape(item.suffix)}</span>{state}"
    )
    return f"<div style='{_CARD}'>{quote}{''.join(map(comment, item.comments))}</div>"


def page(
    title: str, status: Status, users: Sequence[User], annotations: Sequence[Annotation]
) -> str:
    """The page at a glance: what it holds, who is there, and its last few threads."""
    comments = sum(len(item.comments) for item in annotations)
    people = ", ".join(escape(user.name) for user in users[:_SHOWN])
    if len(users) > _SHOWN:
        people += f" and {len(users) - _SHOWN} more"
    here = f"{_count(len(users), 'person')} here: {people}" if users else "nobody else to be seen"
    held = f"{_count(len(annotations), 'annotation')} · {_count(comments, 'comment')}"
    head = (
        f"<div><b>{escape(title)}</b> <span style='{_QUIET}'>{status} · "
        f"{held} · {here}</span></div>"
    )
    rest = len(annotations) - _SHOWN
    more = f"<div style='{_QUIET}'>and {rest} earlier</div>" if rest > 0 else ""
    return head + "".join(map(annotation, annotations[-_SHOWN:])) + more


def link(url: str, state: str) -> str:
    """A link that opens in a tab of its own, and the state of what it leads to."""
    shown = escape(url)
    return (
        f"<a href='{shown}' target='_blank' rel='noopener'>{shown}</a> "
        f"<span style='{_QUIET}'>{escape(state)}</span>"
    )


def _when(milliseconds: int) -> str:
    return f"{moment(milliseconds):%Y-%m-%d %H:%M} UTC"


def _count(number: int, what: str) -> str:
    plural = "people" if what == "person" else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
