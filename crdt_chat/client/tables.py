"""Notes as DataFrames. pandas is imported here and nowhere else, when a table is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from crdt_chat.client.ids import moment

if TYPE_CHECKING:
    import pandas

    from crdt_chat.client.model import Annotation, User

Table = Literal["comments", "annotations", "users"]

_COLUMNS: dict[Table, tuple[str, ...]] = {
    "comments": (
        "annotation", "comment", "exact", "creator", "created", "body", "parent", "edited",
        "reactions", "resolved",
    ),
    "annotations": (
        "annotation", "creator", "created", "exact", "prefix", "suffix", "start", "end", "title",
        "comments", "people", "last", "resolved", "closed",
    ),
    "users": ("user", "name"),
}  # fmt: skip

_TIMES = ("created", "edited", "last")
_NUMBERS = ("start", "end")


def table(
    what: Table, annotations: Sequence[Annotation], users: Sequence[User]
) -> pandas.DataFrame:
    """One row per comment, annotation or user; times are UTC timestamps (NaT where pandas has none).

    Raises ValueError for another table, and ModuleNotFoundError where pandas is not installed
    (`pip install crdt-chat[notebook]`).
    """
    rows: dict[Table, Callable[[], Iterable[dict[str, Any]]]] = {
        "comments": lambda: _comments(annotations),
        "annotations": lambda: map(_annotation, annotations),
        "users": lambda: ({"user": user.id, "name": user.name} for user in users),
    }
    if what not in rows:
        raise ValueError(f"no such table: {what!r} (there are {', '.join(rows)})")
    import pandas

    frame = pandas.DataFrame(list(rows[what]()), columns=list(_COLUMNS[what]))
    for name in frame.columns.intersection(list(_TIMES)):
        frame[name] = pandas.to_datetime(frame[name], utc=True, errors="coerce")
    for name in frame.columns.intersection(list(_NUMBERS)):
        frame[name] = frame[name].astype("Int64")
    return frame


def _comments(annotations: Iterable[Annotation]) -> Iterable[dict[str, Any]]:
    for annotation in annotations:
        for comment in annotation.comments:
            yield {
                "annotation": annotation.id,
                "comment": comment.id,
                "exact": annotation.exact,
                "creator": comment.creator,
                "created": moment(comment.created),
                "body": comment.body,
                "parent": comment.parent,
                "edited": moment(comment.edited) if comment.edited is not None else None,
                "reactions": sum(len(users) for users in comment.reactions.values()),
                "resolved": annotation.resolved,
            }


def _annotation(item: Annotation) -> dict[str, Any]:
    times = [item.created, *(comment.created for comment in item.comments)]
    return {
        "annotation": item.id,
        "creator": item.creator,
        "created": moment(item.created),
        "exact": item.exact,
        "prefix": item.prefix,
        "suffix": item.suffix,
        "start": item.start,
        "end": item.end,
        "title": item.title,
        "comments": len(item.comments),
        "people": len({item.creator, *(comment.creator for comment in item.comments)}),
        "last": moment(max(times)),
        "resolved": item.resolved,
        "closed": item.closed,
    }
