"""The invariants of design 1, looked at whenever something becomes durable or leaves the server."""

from collections import defaultdict
from collections.abc import Iterable

from contents import Content, canonical
from simulation.oracle import EVIL
from simulation.replicas import PycrdtPeer

from crdt_chat.page.update import Item, Update, decode
from crdt_chat.protocol import wire
from store.records import Appended, EventRow, LogEntry, PageCommit

from .client import decoded
from .desks import Ruled
from .link import Link

NEEDLE = EVIL.encode()


class Durable:
    """What the disk has of one page, followed commit by commit: clocks, deletions, content."""

    def __init__(self) -> None:
        self.clocks: defaultdict[int, int] = defaultdict(int)
        self.deleted: set[tuple[int, int]] = set()
        self.events: list[int] = []
        self.size = 0
        self._looked = False
        self.before: Durable | None = None
        self.ruled = Ruled()
        self._copy = PycrdtPeer(1, gc=True, echoes=False)

    def add(self, commit: PageCommit, result: Appended) -> None:
        """A commit is durable now."""
        for entry in commit.entries:
            assert NEEDLE not in entry.update, "forbidden text is on the disk"
            self.size += len(entry.update)
            update = decoded(entry.update)
            for client, run in update.structs.items():
                assert run[0].clock == self.clocks[client], (
                    f"the log has {client} up to {self.clocks[client]}, then {run[0].clock}"
                )
                self.clocks[client] = run[-1].clock + run[-1].length
                for struct in run:
                    if not isinstance(struct, Item) or struct.values is None:
                        self._delete(client, struct.clock, struct.clock + struct.length)
            self._note_deleted(update)
            self._looked = False
            self._copy.receive(entry.update)
        self.ruled.add(commit)
        for timestamp in result.timestamps:
            last = self.events[-1] if self.events else 0
            assert timestamp >= last + 2, f"event {timestamp} after {last}"
            self.events.append(timestamp)

    def rewritten(self, entry: LogEntry) -> "Durable":
        """The page under a new epoch, with the same content."""
        new = Durable()
        new.events, new.before, new.ruled = self.events, self, self.ruled
        content = self.content()
        new.add(PageCommit("", "", 0, [entry]), Appended(0))
        assert canonical(new.content()) == canonical(content), "an epoch changed the content"
        return new

    def never_had(self, update: Update, *, deletions: bool = True) -> str | None:
        """What of an update was never durable: what waits for a slow reader may be of an old epoch."""
        lacking = self.lacks(update, deletions=deletions)
        if lacking is None or self.before is None:
            return lacking
        return self.before.never_had(update, deletions=deletions)

    def ever(self, client: int) -> int:
        """How many units of this client have been durable, in this epoch or before."""
        return max(self.clocks[client], 0 if self.before is None else self.before.ever(client))

    def _delete(self, client: int, first: int, end: int) -> None:
        self.deleted.update((client, clock) for clock in range(first, end))

    def lacks(self, update: Update, *, deletions: bool = True) -> str | None:
        """What of an update is not durable, None if all of it is."""
        for client, run in update.structs.items():
            end = run[-1].clock + run[-1].length
            if end > self.clocks[client]:
                return f"{client} from {self.clocks[client]} to {end}"
        missing = self._not_deleted(update) if deletions else set()
        if missing and not self._looked:
            # Of two writes on one key the loser is deleted, and no update says so.
            self._looked = True
            self._note_deleted(decode(self._copy.step2()))
            missing = self._not_deleted(update)
        return f"the deletion of {sorted(missing)}" if missing else None

    def _not_deleted(self, update: Update) -> set[tuple[int, int]]:
        units = {
            (client, clock)
            for client, ranges in update.deleted.items()
            for first, end in ranges
            for clock in range(first, end)
        }
        return units - self.deleted

    def _note_deleted(self, update: Update) -> None:
        for client, ranges in update.deleted.items():
            for first, end in ranges:
                self._delete(client, first, end)

    def content(self) -> Content:
        """All live entries by root."""
        return self._copy.content()


class Watcher:
    """Follows the live events of one page in one life of the server."""

    def __init__(self, durable: Durable) -> None:
        self.durable = durable
        self.known = len(durable.events)
        self.seen: list[int] = []

    def took(self, row: EventRow) -> None:
        """An event was told."""
        assert row.timestamp in self.durable.events, "an event that is not durable is told"
        assert not self.seen or row.timestamp > self.seen[-1], "an event is told twice or late"
        self.seen.append(row.timestamp)

    def check(self) -> None:
        """Quiet: everything since it began was told, in order."""
        expected = self.durable.events[self.known :]
        told = [timestamp for timestamp in self.seen if timestamp in set(expected)]
        assert told == expected, f"of events {expected} only {told} were told"


def check_leaving(link: Link, frame: bytes, durable: Durable) -> str:
    """A frame leaves the server: nothing in it may be what a crash could still lose.

    Returns what was looked at, for counting.
    """
    assert NEEDLE not in frame, f"forbidden text leaves the server: {frame!r}"
    match wire.decode(frame):
        case wire.SyncStep2(update) | wire.Update(update):
            lacking = durable.never_had(decoded(update))
            assert lacking is None, f"shown before it is durable: {lacking}"
            return "frames checked"
        case wire.Control({"type": "refused"}):
            link.refused = True
            return "refusals"
        case wire.Control({"type": "saved", "frames": frames}):
            check_saved(link, frames, durable)
            return "acknowledgements checked"
        case wire.Control({"type": "moderation"} as body):
            durable.ruled.check(body)
            return "frames for moderators checked"
    return "other frames"


def check_saved(link: Link, frames: int, durable: Durable) -> None:
    """The client is told that its first frames are durable: they must be."""
    assert frames <= len(link.sent), "more frames are saved than were sent"
    for update in map(decoded, link.sent[:frames]):
        # "In a step 2 unknown delete ranges are ignored" (design 4): a tab may know another one's
        # deletions, and wait itself for what they delete. Its own units are looked at all the same.
        deleted = {
            client: [(first, min(end, durable.ever(client))) for first, end in ranges]
            for client, ranges in update.deleted.items()
        }
        # What was refused is durable as tomb or GC; its deletions may have been ignored.
        lacking = durable.never_had(Update(update.structs, deleted), deletions=not link.refused)
        assert lacking is None, f"acknowledged before it is durable: {lacking}"


def differences(shown: Content, content: Content) -> str:
    """The keys that differ, with what one shows and what the page has."""
    keys: Iterable[tuple[str, str]] = sorted(
        {(root, name) for one in (shown, content) for root in one for name in one[root]}
    )
    pairs = [
        (key, shown.get(key[0], {}).get(key[1]), content.get(key[0], {}).get(key[1]))
        for key in keys
    ]
    return "\n".join(f"{key}: {a} | {b}" for key, a, b in pairs if a != b)
