"""One update before the rules: what it is about to change so far, key by key, on top of the ledger."""

from collections.abc import Iterable
from typing import Final

from crdt_chat.identity import Grant, Role
from crdt_chat.page.arrival import Arrival
from crdt_chat.page.draft import Draft, draft_of
from crdt_chat.page.index import Entry, Index
from crdt_chat.page.layout import PAGE, annotation_of, encode_user, entity_of, user_of
from crdt_chat.page.ledger import Ledger, Past, reacting
from crdt_chat.page.limits import PageLimits


class Gap(Exception):  # noqa: N818 -- no error: the sender is honest, and is asked for the rest
    """The update builds on something that the server has not seen yet."""


_BELOW: Final = ("comments", "reactions")


class Hearing:
    """What is known and allowed at this point of judging one update of one person.

    patient: what is unknown may still come, so it is a gap, no refusal. past: a restore or an import,
    which may write what others once wrote. hides, shows: names that this server-made write hides or
    shows again. full: the page's state is at its limit.
    """

    def __init__(
        self, arrival: Arrival, index: Index, ledger: Ledger, grant: Grant, limits: PageLimits
    ) -> None:
        self.arrival = arrival
        self.index = index
        self.ledger = ledger
        self.user = grant.user
        self.role = grant.role
        self.encoded = encode_user(grant.user)
        self.limits = limits
        self.patient = False
        self.past = False
        self.hides: frozenset[str] = frozenset()
        self.shows: frozenset[str] = frozenset()
        self.full = False
        self.lifted: set[tuple[str, str]] = set()
        self.entered: set[str] = set()
        self.created: dict[str, Past] = {}
        self.annotations = ledger.annotations
        self.comments = ledger.comments
        self.reacting: dict[str, int] = {}
        self._named: dict[str, list[Entry]] | None = None

    @property
    def moderates(self) -> bool:
        """Whether the sender is a moderator or more."""
        return self.role >= Role.MODERATOR

    def past_of(self, entity: str) -> Past | None:
        """Creator and time of an annotation or comment, if it was ever seen."""
        return self.created.get(entity) or self.ledger.entities.get(entity)

    def creator(self, entity: str) -> str | None:
        """Who made an annotation or comment; also if she took it back before anybody saw it."""
        past = self.past_of(entity)
        if past is not None:
            return past.creator
        root = "comments" if "/" in entity else "annotations"
        entry = self.index.entry(root, entity)
        if entry is not None:
            first = entry.above[0].client if entry.above else entry.client
            return self.ledger.owners.get(first)
        draft = self.arrival.drafts.get((root, entity))
        return self.user if draft is not None and draft.items and not draft.refusal else None

    def seen(self, entity: str) -> bool:
        """Whether this annotation or comment exists or existed; may raise Gap, for it may yet come."""
        if self.past_of(entity) is not None:
            return True
        if self.patient and not self._refused(entity):
            raise Gap
        return False

    def _refused(self, entity: str) -> bool:
        """Whether this very update brings the entity, or the annotation above it, and was refused it."""
        for root, name in (("comments", entity), ("annotations", annotation_of(entity))):
            draft = self.arrival.drafts.get((root, name))
            if draft is not None and draft.refusal is not None:
                return True
        return False

    def may_delete(self, entity: str) -> bool:
        """Whether the sender may delete this annotation or comment: its creator, moderators."""
        return self.moderates or self.creator(entity) == self.user

    def stands(self, entity: str) -> bool:
        """Whether a deletion of this very annotation or comment stands that this update leaves alone."""
        users = self.ledger.standing.get(entity)
        return bool(users) and any((entity, user) not in self.lifted for user in users or ())

    def has_entry(self, entity: str) -> bool:
        """Whether a deletion stands, be it of old or of this update."""
        return entity in self.entered or self.stands(entity)

    def removed(self, entity: str) -> bool:
        """Whether an annotation or comment is deleted or hidden, by itself or with its thread."""
        return any(
            self.stands(each) or (each in self.ledger.held and each not in self.shows)
            for each in {entity, annotation_of(entity)}
        )

    def is_closed(self, name: str) -> bool:
        """Whether what is new there is stopped for the sender."""
        closed = self.ledger.closed
        if not closed or self.moderates or self.past:
            return False
        return PAGE in closed or annotation_of(name) in closed

    def lives(self, root: str, name: str) -> bool:
        """Whether this entry has a value, this update's accepted changes included."""
        draft = self.arrival.drafts.get((root, name))
        if draft is not None:
            return draft.refusal is None and draft.lives() if draft.judged else draft.live
        entry = self.index.entry(root, name)
        return entry is not None and entry.live

    def reactions(self, name: str) -> int:
        """How many reactions the user of this name has on its comment."""
        key = reacting(name)
        return self.ledger.reacting.get(key, 0) + self.reacting.get(key, 0)

    def accept(self, draft: Draft) -> None:
        """Take an accepted draft into account for the ones judged after it."""
        root, name = draft.root, draft.name
        step = (draft.effect == "write") - draft.live if draft.effect != "none" else 0
        if root == "deleted":
            self._accept_deletion(draft)
        elif draft.swept:
            self._remember(draft)
        elif root == "annotations":
            self.annotations += step
            self._remember(draft)
        elif root == "comments":
            self.comments += step
            self._remember(draft)
        elif root == "reactions" and step:
            key = reacting(name)
            self.reacting[key] = self.reacting.get(key, 0) + step

    def _remember(self, draft: Draft) -> None:
        if draft.effect == "write" and draft.name not in self.ledger.entities:
            if draft.root in ("annotations", "comments"):
                self.created[draft.name] = Past(draft.after["creator"], draft.after["created"])

    def _accept_deletion(self, draft: Draft) -> None:
        entity = entity_of(draft.root, draft.name)
        if draft.effect == "remove":
            self.lifted.add((entity, user_of(draft.name)))
        elif draft.effect == "write":
            self.entered.add(entity)
            self._sweep(entity)

    def _sweep(self, entity: str) -> None:
        """Mark what goes with a deletion.

        "With an accepted entry the server also removes the entity in any version, and every such key
        below it of which the sender's delete set names any version."
        """
        self._sweep_one("comments" if "/" in entity else "annotations", entity)
        if self._named is None:
            self._named = self._group(self._named_entries())
        for entry in self._named.get(entity, ()):
            self._sweep_one(entry.root, entry.name)

    def _sweep_one(self, root: str, name: str) -> None:
        entry = self.index.entry(root, name)
        draft = self.arrival.drafts.get((root, name))
        if draft is None:
            if entry is None or not entry.live:
                return
            draft = self.arrival.drafts[root, name] = draft_of(root, name, entry)
        if draft.swept:
            return
        step = int(draft.lives() if draft.judged else draft.live)
        draft.swept = True
        if root == "annotations":
            self.annotations -= step
        elif root == "comments":
            self.comments -= step
        elif root == "reactions" and step:
            key = reacting(name)
            self.reacting[key] = self.reacting.get(key, 0) - step

    def _named_entries(self) -> Iterable[Entry]:
        """The live entries of which the sender's delete set names any version."""
        for client, ranges in self.arrival.deleted.items():
            for first, end in ranges:
                for owner in self.index.owners(client, first, end):
                    if isinstance(owner, Entry) and owner.live:
                        yield owner

    def _group(self, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        """The same entries by the annotation or comment that they are below."""
        grouped: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.root == "resolved":
                grouped.setdefault(entry.name, []).append(entry)
            elif entry.root in _BELOW:
                grouped.setdefault(annotation_of(entry.name), []).append(entry)
                if entry.root == "reactions":
                    grouped.setdefault(entity_of(entry.root, entry.name), []).append(entry)
        return grouped
