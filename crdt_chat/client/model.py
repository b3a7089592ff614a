"""What a reader of the page sees: annotations, comments, people, and what just happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from crdt_chat.client import html

EventType = Literal[
    "new-text-chat",
    "updated-text-chat",
    "deleted-text-chat",
    "presence",
    "status",
    "refused",
    "moderation",
]
"""The first three are the legacy events (design 10) of what others did, the rest this peer's."""

Status = Literal["offline", "online", "synced", "closed"]
"""offline: no connection · online: connected, something is on its way · synced: all is saved ·
closed: ended for good (by close() or because the server said so)."""

_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of a thread as it was when it was asked for; times in ms since the Unix epoch.

    `reactions` maps an emoji to the ids of the users who chose it.
    """

    id: str
    annotation_id: str
    creator: str
    created: int
    body: str
    parent: str | None = None
    edited: int | None = None
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE, hash=False)

    @property
    def name(self) -> str:
        """Its key in the root `comments`: `<annotation id>/<comment id>`."""
        return f"{self.annotation_id}/{self.id}"

    def _repr_html_(self) -> str:
        return html.comment(self)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A quoted passage and the discussion on it, as it was when it was asked for.

    `exact`, `prefix` and `suffix` are the W3C TextQuoteSelector, `start` and `end` its
    TextPositionSelector (code points, None where the target has none); `created` is in ms.
    """

    id: str
    creator: str
    created: int
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    start: int | None = None
    end: int | None = None
    title: str | None = None
    source: str | None = None
    comments: tuple[Comment, ...] = ()
    resolved: bool = False
    closed: bool = False

    @property
    def body(self) -> str:
        """The text of the first comment, "" where there is none."""
        return self.comments[0].body if self.comments else ""

    def _repr_html_(self) -> str:
        return html.annotation(self)


@dataclass(frozen=True, slots=True)
class User:
    """A person who has the page open, however many tabs that takes."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on the page while it was open.

    `annotation` is the thread after the change, None when it is gone; `broadcast_id` tells which
    gesture it was; `detail` is the status, the number of people, the reason of a refusal, or the number
    of flags that wait for a moderator.
    """

    type: EventType
    annotation_id: str | None = None
    annotation: Annotation | None = field(default=None, repr=False)
    broadcast_id: str | None = None
    detail: str = ""
