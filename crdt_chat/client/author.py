"""The verbs of one person on one page: each writes in one transaction and returns the note.

Sans-IO and synchronous; the async and the sync page both speak through it. What the page's rules
would refuse for sure is refused here, before it is written (permission.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from crdt_chat.client import gestures, permission
from crdt_chat.client.gestures import Hand, Passage
from crdt_chat.client.ids import Clock, Ids
from crdt_chat.client.lookup import find_annotation, find_comment, find_either
from crdt_chat.client.model import Annotation, Comment
from crdt_chat.client.peer import Peer
from crdt_chat.client.replica import Operation


class Author:
    """Writes for the user of `peer`. `clock` gives ms since the Unix epoch, `ids` fresh ids."""

    def __init__(self, peer: Peer, clock: Clock, ids: Ids) -> None:
        self._peer = peer
        self._clock = clock
        self._ids = ids
        self._batch: str | None = None

    def annotate(self, passage: Passage, comment: str, title: str | None = None) -> Annotation:
        """Start a discussion: an annotation and its first comment."""
        hand, annotation_id = self._hand(), self._ids()
        name = f"{annotation_id}/{self._ids()}"
        self._write(
            [
                *gestures.annotate(hand, annotation_id, passage, title),
                *gestures.comment(hand, name, comment),
            ]
        )
        return find_annotation(self._peer.mirror, annotation_id)

    def reply(self, to: Annotation | Comment | str, body: str) -> Comment:
        """Add a comment to a thread; the answer to a comment names it as its parent."""
        mirror = self._peer.mirror
        target = find_either(mirror, to)
        if isinstance(target, Comment):
            thread, parent = target.annotation_id, target.id
        else:
            thread, parent = target.id, None
        name = f"{thread}/{self._ids()}"
        self._write(gestures.comment(self._hand(), name, body, parent))
        return find_comment(mirror, name)

    def edit(self, which: Comment | str, body: str) -> Comment:
        """Write another text in place of one's own comment."""
        mirror = self._peer.mirror
        comment = find_comment(mirror, which)
        self._write(gestures.edit(self._hand(), mirror, comment, body))
        return find_comment(mirror, comment.name)

    def react(self, which: Comment | str, emoji: str, on: bool) -> Comment:
        """Set or take back one's reaction of this emoji."""
        comment = find_comment(self._peer.mirror, which)
        self._write(gestures.react(self._hand(), comment, emoji, on))
        return find_comment(self._peer.mirror, comment.name)

    def resolve(self, which: Annotation | str, resolved: bool) -> Annotation:
        """Settle a discussion, or open it again."""
        annotation = find_annotation(self._peer.mirror, which)
        self._write(gestures.resolve(self._hand(), annotation, resolved))
        return find_annotation(self._peer.mirror, annotation.id)

    def delete(self, which: Annotation | Comment | str) -> None:
        """Delete an annotation with its thread, or one comment."""
        note = find_either(self._peer.mirror, which)
        self._write(gestures.delete(self._hand(), self._peer.mirror, note))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What is written inside leaves as one update with one broadcastId.

        Not a transaction that could be taken back: after an error inside, what was written stays.
        Raises RuntimeError for a batch in a batch.
        """
        if self._batch is not None:
            raise RuntimeError("there is a batch under way")
        self._batch = self._ids()
        self._peer.hold()
        try:
            yield
        finally:
            self._batch = None
            self._peer.release()

    def _hand(self) -> Hand:
        return Hand(self._peer.user.id, self._clock(), self._batch or self._ids())

    def _write(self, operations: list[Operation]) -> None:
        permission.check(operations, self._peer)
        self._peer.write(operations)
