"""Every verdict is looked at from the outside: may this be, and why was that refused?"""

from collections import Counter, defaultdict

from crdt_chat.identity import Grant
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Verdict

from .network import Connection
from .oracle import EVIL, Oracle
from .races import explain
from .room import SimRoom
from .tabs import Tab

SERVER_RACES = {"limit", "deleted", "closed", "unknown"}
"""Rules that may stop an honest write which the server makes in somebody's name."""


def any_text(words: str) -> bytes:
    """A text inside a lib0 Any, as an update holds it."""
    raw = words.encode()
    return b"\x77" + bytes([len(raw)]) + raw


class Judging:
    """Counts verdicts and fails on the first that should not be.

    clients: whose every Yjs client id really is. refused: keys refused so far, by user and by browser.
    """

    room: SimRoom

    def __init__(self, limits: PageLimits) -> None:
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self.tabs: list[Tab] = []
        self.clients: dict[int, str] = {}
        self.oracle = Oracle(limits)
        self.refused: defaultdict[str | int, set[str]] = defaultdict(set)
        self.durable_past: dict[str, tuple[str, int]] = {}

    def remember(self) -> None:
        """What the oracle has seen is durable now."""
        self.durable_past = dict(self.oracle.past)

    def forget(self) -> None:
        """What was judged since the last commit has never happened."""
        self.oracle.past = dict(self.durable_past)

    def neighbours(self, tab: Tab) -> list[Tab]:
        """The other tabs of this browser."""
        return [one for one in self.tabs if one is not tab and one.browser == tab.browser]

    def inspect(
        self, connection: Connection | None, grant: Grant, update: bytes, verdict: Verdict
    ) -> None:
        """See SimRoom: called with every verdict before it is committed."""
        assert (verdict.kind == "refused") == bool(verdict.refusals), verdict
        if connection is None:
            self._server_wrote(grant, verdict)
            return
        tab = next(one for one in self.tabs if one.connection is connection)
        keys = dict(verdict.keys)
        self.log.append(f"  {tab.name} {verdict.kind} {keys} {verdict.repair} {verdict.echo}")
        self.counts[f"verdict {verdict.kind}"] += 1
        self.oracle.check(grant, verdict.changes, self.room.content())
        for client, *_ in verdict.rows.refused:
            victim = self.clients.get(client, grant.user)
            # Only tombstones that name nobody may be mistaken for the sender's own.
            mistaken = victim != grant.user and any_text(victim) in update
            assert not mistaken, f"{tab.name} burnt the clocks of {victim}: {verdict}"
        if verdict.kind in ("trimmed", "gap"):
            assert not verdict.changes, verdict
        if tab.attacker:
            self._attacked(update, verdict)
        else:
            self._was_honest(tab, verdict)

    def _server_wrote(self, grant: Grant, verdict: Verdict) -> None:
        self.counts[f"server write {verdict.kind}"] += 1
        self.log.append(f"  server as {grant.user} {verdict.kind} {dict(verdict.keys)}")
        assert {refusal.rule for refusal in verdict.refusals} <= SERVER_RACES, verdict
        if grant.user != "server":
            self.oracle.check(grant, verdict.changes, self.room.content())

    def _was_honest(self, tab: Tab, verdict: Verdict) -> None:
        before = self.refused[tab.user] | self.refused[tab.browser]
        for refusal in verdict.refusals:
            race = explain(refusal, verdict, tab, self.room, before)
            self.counts[f"race {race}"] += 1
            self.refused[tab.user].add(refusal.key)
            self.refused[tab.browser].add(refusal.key)
        if verdict.repair == "reset":
            assert tab.undid or tab.demoted or tab.shared, f"an honest client is reset: {verdict}"
            self.counts["honest resets"] += 1

    def _attacked(self, update: bytes, verdict: Verdict) -> None:
        self.counts["attacker updates"] += 1
        self.counts[f"attacker updates {verdict.kind}"] += 1
        for refusal in verdict.refusals:
            self.counts[f"attacker keys refused by {refusal.rule}"] += 1
        if EVIL.encode() in update:
            self.counts["attacker updates with a forbidden text"] += 1
        assert EVIL.encode() not in verdict.update, verdict
        if EVIL.encode() in update and verdict.kind == "accepted":
            self.counts["forbidden texts that lost by themselves"] += 1
