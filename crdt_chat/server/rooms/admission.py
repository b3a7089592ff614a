"""What an update does to a page before it is queued for a commit: judged, applied, archived, written back.

It touches nothing but the page and its archive, so that it may be done beside the loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.page.archive import Archive, written_back
from crdt_chat.page.update import Update, decode
from crdt_chat.page.verdict import Json, Sync, Verdict
from crdt_chat.server.rooms.epochs import clients_of_update, require_epoch
from crdt_chat.server.rooms.loading import LoadedPage
from crdt_chat.server.rooms.services import Services
from crdt_chat.server.rooms.turn import Turn


@dataclass(slots=True)
class Step:
    """One applied update on its way to the commit.

    broadcast_id is of all its changes, restored of the deletions that it lifts. noted is what it changes
    in the archive, hides what is held apart with it. by_server: it is a write-back.
    """

    verdict: Verdict
    broadcast_id: str | None = None
    restored: str | None = None
    noted: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    hides: Mapping[str, str] = field(default_factory=dict)
    by_server: bool = False


@dataclass(slots=True)
class Admitted:
    """The verdict on an update, and what is to be queued of it; fault: writing back has failed."""

    verdict: Verdict
    steps: list[Step] = field(default_factory=list)
    fault: Exception | None = None


@dataclass(slots=True)
class Admission:
    """One page as it was loaded, with its archive."""

    key: PageKey
    loaded: LoadedPage
    archive: Archive
    turn: Turn
    services: Services

    async def receive(self, update: bytes, sync: Sync, grant: Grant, now: int) -> Admitted:
        """Judge and apply what a peer sent, at once or, if that is much work, beside the loop.

        now: ms. Raises Malformed, EpochChanged, PageBroken.
        """
        if len(update) > self.services.slices.judged:

            def job() -> Admitted:
                return self._judge(self._decode(update), len(update), sync, grant, now)

            return await self.turn.run(job, big=True)
        decoded = self._decode(update)
        judge = partial(self._judge, decoded, len(update), sync, grant, now)
        return await self.turn.run(judge, big=self._is_heavy(decoded))

    def _decode(self, update: bytes) -> Update:
        decoded = decode(update)
        if self.loaded.retired:
            require_epoch(clients_of_update(decoded), self.loaded.retired)
        return decoded

    def _is_heavy(self, update: Update) -> bool:
        """Whether a short update may be much work: it deletes a lot, or brings a lot back."""
        most = self.services.slices.units
        count = sum(map(len, update.structs.values()))
        for ranges in update.deleted.values():
            count += sum(end - first for first, end in ranges)
        return count > most or (bool(update.deleted) and len(self.archive) > most)

    def _judge(self, update: Update, size: int, sync: Sync, grant: Grant, now: int) -> Admitted:
        unknown = self.services.limits.unknown_client_ids
        admitted = Admitted(self.loaded.page.admit(update, size, sync, grant, now, unknown))
        self._follow(admitted, grant.user, now)
        return admitted

    async def write(
        self,
        operations: Sequence[tuple[str, str, Json]],
        grant: Grant,
        now: int,
        *,
        broadcast_id: str | None,
        keep_past: bool,
        hides: Mapping[str, str],
        shows: Sequence[str],
    ) -> Admitted:
        """Make operations for a person, as `Page.write`; at once or beside the loop. Raises PageBroken."""

        def job() -> Admitted:
            page = self.loaded.page
            verdict = page.write(
                operations, grant, now, keep_past=keep_past, hides=hides, shows=shows
            )
            admitted = Admitted(verdict)
            self._follow(admitted, grant.user, now, broadcast_id, hides)
            return admitted

        return await self.turn.run(job, big=self._is_much(operations))

    def _is_much(self, operations: Sequence[tuple[str, str, Json]]) -> bool:
        most = self.services.slices.units
        lifts = any(root == "deleted" and value is None for root, _, value in operations)
        return len(operations) > most or (lifts and len(self.archive) > most)

    def _follow(
        self,
        admitted: Admitted,
        user: str,
        now: int,
        broadcast_id: str | None = None,
        hides: Mapping[str, str] | None = None,
    ) -> None:
        """Note what was applied; with the last deletion lifted the server writes back what it removed.

        What no longer fits on the page, or is hidden, stays in the archive (design 3).
        """
        grant = Grant(self.key.tenant, user, user, Role.ADMIN)
        verdict, by_server = admitted.verdict, False
        while verdict.update:
            deleted = self.loaded.page.deleted
            # What is hidden is held apart: lifting a deletion must not show it.
            noted = {} if hides else self.archive.note(verdict.changes, deleted)
            back = self.archive.returned(verdict.changes, deleted)
            # A restore is one gesture, though two updates: its lifting has no broadcastId of its own.
            restored = (broadcast_id or self.services.ids.text()) if back else None
            step = Step(verdict, broadcast_id, restored, noted, hides or {}, by_server)
            admitted.steps.append(step)
            if not back:
                return
            try:
                verdict = written_back(self.loaded.page, back, grant, now)
            except Exception as fault:  # noqa: BLE001 - whatever it is, the page can't be trusted
                admitted.fault = fault
                return
            broadcast_id, hides, by_server = restored, None, True
