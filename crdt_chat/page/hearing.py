"""One update before the rules: who asks, and what the update has changed so far, key by key."""

from collections.abc import Iterable

from crdt_chat.identity import Grant
from crdt_chat.page.arrival import Arrival
from crdt_chat.page.content import Content
from crdt_chat.page.draft import Draft
from crdt_chat.page.index import Entry
from crdt_chat.page.layout import PAGE, annotation_of, encode_user, entity_of, user_of
from crdt_chat.page.ledger import ENTITY_ROOTS, Past, past_in, reacting
from crdt_chat.page.lib0 import MAX_INTEGER
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.powers import powers_of


class Gap(Exception):
    """The update builds on something that the server has not seen yet: ask its sender for all of it."""


class Hearing:
    """What is known and allowed at this point of judging one update of one person.

    patient: what is unknown may still come, so it is a gap, no refusal. past: a restore or an import,
    which may write what others once wrote. hides, shows: names that this server-made write hides or
    shows again. full: the page's state is at its limit. latest: the last moment (ms) at which something
    new may say it was made.
    """

    __slots__ = (
        "_created",
        "_entered",
        "_lifted",
        "_named",
        "_reacting",
        "annotations",
        "arrival",
        "comments",
        "content",
        "full",
        "hides",
        "latest",
        "ledger",
        "limits",
        "moderates",
        "past",
        "patient",
        "powers",
        "shows",
        "user",
    )

    def __init__(
        self, arrival: Arrival, content: Content, grant: Grant, limits: PageLimits
    ) -> None:
        self.arrival = arrival
        self.content = content
        self.ledger = content.ledger
        self.user = grant.user
        self.powers = powers_of(grant.role, limits)
        self.moderates = self.powers.moderates
        self.limits = limits
        self.annotations = self.ledger.annotations
        self.comments = self.ledger.comments
        self.patient = self.past = self.full = False
        self.hides: frozenset[str] = frozenset()
        self.shows: frozenset[str] = frozenset()
        self.latest = MAX_INTEGER
        self._named: dict[str, list[Entry]] | None = None
        self._created: dict[str, Past] = {}
        self._lifted: set[tuple[str, str]] = set()
        self._entered: set[str] = set()
        self._reacting: dict[str, int] = {}

    @property
    def encoded(self) -> str:
        """The user as she stands in names."""
        return encode_user(self.user)

    def recall(self, draft: Draft) -> None:
        """Look up the value that a draft is about to end or to replace."""
        if draft.before is None and draft.entry is not None:
            draft.before = self.content.document.recall(draft.entry.leaf())

    def new_entities(self) -> list[tuple[str, str, int]]:
        """Name, creator and time of the annotations and comments that this update has made."""
        return [(name, *past) for name, past in self._created.items()] if self._created else []

    def past_of(self, entity: str) -> Past | None:
        """Creator and time of an annotation or comment, if it was ever seen."""
        past = self._created.get(entity)
        if past is None:
            draft = self.arrival.drafts.get((ENTITY_ROOTS["/" in entity], entity))
            if draft is not None and draft.before is not None:
                return past_in(draft.before)
            past = self.content.past_of(entity)
        return past

    def creator(self, entity: str) -> str | None:
        """Who made an annotation or comment; also if she took it back before anybody saw it."""
        past = self.past_of(entity)
        if past is not None:
            return past.creator
        root = ENTITY_ROOTS["/" in entity]
        entry = self.content.index.entry(root, entity)
        if entry is not None:
            first = entry.above[0].client if entry.above else entry.client
            return self.ledger.owners.get(first)
        draft = self.arrival.drafts.get((root, entity))
        return self.user if draft is not None and draft.items and not draft.refusal else None

    def seen(self, entity: str) -> bool:
        """Whether this annotation or comment exists or existed. Raises Gap where it may yet come."""
        index = self.content.index
        entry = index.entry(ENTITY_ROOTS["/" in entity], entity)
        if (entry is not None and entry.live) or self.past_of(entity) is not None:
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
        return users is not None and any((entity, user) not in self._lifted for user in users)

    def has_entry(self, entity: str) -> bool:
        """Whether a deletion stands, be it of old or of this update."""
        return entity in self._entered or self.stands(entity)

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
            return draft.lives() if draft.judged and draft.refusal is None else draft.live
        entry = self.content.index.entry(root, name)
        return entry is not None and entry.live

    def reactions(self, name: str) -> int:
        """How many reactions the user of this name has on its comment."""
        key = reacting(name)
        return self.ledger.reacting.get(key, 0) + self._reacting.get(key, 0)

    def accept(self, draft: Draft) -> None:
        """Take an accepted draft into account for the ones judged after it."""
        if draft.effect in ("none", "plant"):
            return
        if draft.root == "deleted":
            self._accept_deletion(draft)
            return
        if draft.live and draft.effect == "write":
            return  # it was there and counted, and still is
        fresh = draft.effect == "write" and draft.name not in self.ledger.gone
        if fresh and draft.root in ENTITY_ROOTS:
            self._created[draft.name] = past_in(draft.after)
        if not draft.swept:
            self._count(draft.root, draft.name, (draft.effect == "write") - draft.live)

    def _count(self, root: str, name: str, step: int) -> None:
        if root == "annotations":
            self.annotations += step
        elif root == "comments":
            self.comments += step
        elif root == "reactions" and step:
            key = reacting(name)
            self._reacting[key] = self._reacting.get(key, 0) + step

    def _accept_deletion(self, draft: Draft) -> None:
        entity = entity_of(draft.root, draft.name)
        if draft.effect == "remove":
            self._lifted.add((entity, user_of(draft.name)))
        else:
            self._entered.add(entity)
            self._sweep(entity)

    def _sweep(self, entity: str) -> None:
        """Mark what goes with a deletion.

        "With an accepted entry the server also removes the entity in any version, and every such key
        below it of which the sender's delete set names any version."
        """
        self._sweep_one(ENTITY_ROOTS["/" in entity], entity)
        if self._named is None:
            self._named = _by_entity(self._named_entries())
        for entry in self._named.get(entity, ()):
            self._sweep_one(entry.root, entry.name)

    def _sweep_one(self, root: str, name: str) -> None:
        draft = self.arrival.drafts.get((root, name))
        if draft is None:
            entry = self.content.index.entry(root, name)
            if entry is None or not entry.live:
                return
            draft = self.arrival.draft(root, name, entry)
        if not draft.swept:
            counted = draft.lives() if draft.judged else draft.live
            draft.swept = True
            if draft.live:
                self.recall(draft)
            self._count(root, name, -counted)

    def _named_entries(self) -> Iterable[Entry]:
        """The live entries of which the sender's delete set names any version."""
        for client, ranges in self.arrival.update.deleted.items():
            for first, end in ranges:
                for owner in self.content.index.owners(client, first, end):
                    if isinstance(owner, Entry) and owner.live:
                        yield owner


def _by_entity(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The entries that go with an annotation or comment, by its name."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.root in ("resolved", "comments", "reactions"):
            above = {annotation_of(entry.name)}
            if entry.root == "reactions":
                above.add(entity_of(entry.root, entry.name))
            for name in above:
                found.setdefault(name, []).append(entry)
    return found
