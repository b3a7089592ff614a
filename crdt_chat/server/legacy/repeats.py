"""Requests that are made twice: who asks for the same annotation again is told of the first one.

The answer to a POST may be lost on its way; whoever repeats it (a browser, a proxy) sends the same
broadcastId, which a widget makes for each gesture. It is known as long as this process remembers it.
"""

from dataclasses import dataclass, field

from crdt_chat.identity import PageKey
from crdt_chat.protocol.text_chat_requests import Creation

MOST_CREATIONS = 10_000
"""Creations remembered in this process; the oldest are forgotten first."""

Made = tuple[PageKey, str, Creation]
"""The page, the user and all that was asked for, its broadcastId included."""


@dataclass(slots=True)
class Repeats:
    """The id of the annotation that each of the last creations has made."""

    _made: dict[Made, str] = field(default_factory=dict)

    def known(self, made: Made) -> str | None:
        """The annotation of the same request, None if it is new or can't be told from another."""
        return self._made.get(made)

    def remember(self, made: Made, annotation: str) -> None:
        """A request with a broadcastId is about to make this annotation."""
        if not made[2].broadcast_id:
            return
        self._made[made] = annotation
        if len(self._made) > MOST_CREATIONS:
            del self._made[next(iter(self._made))]
