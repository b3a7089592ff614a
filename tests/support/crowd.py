"""Real clients on one page who write, watch, and remember what they were promised.

Two stock yjs browsers and a Python peer write; a stock browser and a legacy subscriber look on. What
any of them saw, or was told is saved, must be there whatever becomes of the server.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from contents import Content
from entries import comment, deletion, thread
from server import RealServer
from waiting import PATIENCE_S, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from yjs_peer import YjsBrowser, YjsPeers

import crdt_chat
from crdt_chat.client.page import Page

PACE_S = 0.015
"""Between two gestures of a writer: a few operations each, below the rate of slow reading."""

Key = tuple[str, str]
Event = tuple[int, str, str]
"""Timestamp, type and annotation of an event for legacy clients."""


def version_of(value: Any) -> int:
    """Which edit of its text this is: bodies begin with `v` and a number that only rises."""
    body = value.get("body", "") if isinstance(value, dict) else ""
    return int(body[1:].split()[0]) if body.startswith("v") else 0


def versions(content: Mapping[str, Mapping[str, Any]]) -> dict[Key, int]:
    """Every key of a page with its version."""
    return {
        (root, name): version_of(value)
        for root, entries in content.items()
        for name, value in entries.items()
    }


def deleted(key: Key, content: Mapping[str, Any]) -> bool:
    """Whether a deletion of this entity, or of the annotation above it, stands."""
    parts = key[1].split("/")
    above = {"/".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return any(name.rpartition("/")[0] in above for name in content.get("deleted", {}))


def _alike(contents: list[Content]) -> bool:
    return all(content == contents[0] for content in contents)


class Writing(threading.Thread):
    """Makes one gesture after the other until told to stop; an error of it is kept for `stop`."""

    def __init__(self, name: str, gesture: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._gesture = gesture
        self._over = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(PACE_S):
                self._gesture()
        except BaseException as error:  # noqa: BLE001 - raised again by `stop`
            self._error = error

    def stop(self) -> None:
        """End it. Raises what its gestures raised."""
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error


class Browsing:
    """A stock browser that makes, edits and deletes threads."""

    def __init__(self, browser: YjsBrowser, chance: Random) -> None:
        self.browser = browser
        self.user = browser.name.partition("@")[0]
        self._chance = chance
        self._threads: dict[str, int] = {}
        self._made = 0

    @property
    def written(self) -> dict[Key, int]:
        """What it has written and not deleted, with versions."""
        return {("comments", f"{name}/c1"): version for name, version in self._threads.items()}

    def gesture(self) -> None:
        """A new thread most times, or an edit or a deletion of an own one."""
        dice = self._chance.random()
        if self._threads and dice < 0.3:
            name = self._chance.choice(list(self._threads))
            self._threads[name] += 1
            body = f"v{self._threads[name]} " + "x" * self._chance.randrange(2_000)
            self.browser.transact([("set", "comments", f"{name}/c1", comment(self.user, body))])
        elif self._threads and dice < 0.4:
            name = self._chance.choice(list(self._threads))
            del self._threads[name]
            self.browser.transact(deletion(self.user, name, ("comments", f"{name}/c1")))
        else:
            self._made += 1
            name = f"{self.user}-{self._made}"
            self._threads[name] = 0
            self.browser.transact(thread(self.user, name, "v0"))


class Script:
    """The Python peer: what it has flushed is acknowledged."""

    def __init__(self, page: Page, chance: Random) -> None:
        self.page = page
        self.acknowledged: dict[Key, int] = {}
        self._chance = chance
        self._written: dict[Key, int] = {}
        self._versions: dict[str, int] = {}

    def gesture(self) -> None:
        """Write, and wait to hear that it is saved; without a server the next one may."""
        if self._versions and self._chance.random() < 0.3:
            name = self._chance.choice(list(self._versions))
            self._versions[name] += 1
            self.page.edit(name, f"v{self._versions[name]}")
        else:
            note = self.page.annotate("a sentence", "v0")
            name = note.comments[0].name
            self._versions[name] = 0
            self._written["annotations", note.id] = 0
        self._written["comments", name] = self._versions[name]
        written = dict(self._written)
        try:
            self.page.flush(0.5)
        except crdt_chat.Offline:
            return
        self.acknowledged |= written


class Listener(threading.Thread):
    """A legacy subscriber: remembers every event, and whether it was cut off."""

    def __init__(self, server: RealServer, page: str) -> None:
        super().__init__(name="listener", daemon=True)
        listed = json.loads(server.get(f"/comment-collab-chats/demo?urlId={page}&user=leo")[1])
        query = f"urlId={listed['urlIdWS']}&userIdWS={listed['userIdWS']}&tenantIdWS=demo"
        self._leaving = ExitStack()
        self._socket = self._leaving.enter_context(
            connect(f"ws{server.http[4:]}/sub?{query}", compression=None)
        )
        self.events: list[Event] = []
        self.start()

    def run(self) -> None:
        try:
            for frame in self._socket:
                body = json.loads(frame)
                if body["type"] != "p-u":
                    self.events.append((body["timestamp"], body["type"], body["chat"]["_id"]))
        except ConnectionClosed:
            return

    def close(self) -> None:
        """Leave; what was heard stays."""
        self._leaving.close()
        self.join()


@dataclass(frozen=True)
class Promised:
    """Versions of keys that were seen or acknowledged, and events that were told."""

    seen: dict[Key, int]
    acknowledged: dict[Key, int]
    events: list[Event]


@dataclass
class Outcome:
    """What a round came to: how much was promised, and what of it is not there."""

    seen: int = 0
    acknowledged: int = 0
    events: int = 0
    written: int = 0
    lost: list[str] = field(default_factory=list)


class Crowd:
    """Everybody on one page of the open tenant `demo`."""

    def __init__(self, peers: YjsPeers, server: RealServer, page: str, chance: Random) -> None:
        self.peers = peers
        self.server = server
        self.page = page
        self.watcher = self._browser("watcher", backoff=60_000)
        self.writers = [
            Browsing(self._browser(user, backoff=100), Random(chance.random()))
            for user in ("ada", "bob")
        ]
        address = f"ws{server.http[4:]}"
        self.script = Script(
            crdt_chat.connect(address, page=f"demo/{page}", user="cat"), Random(chance.random())
        )
        self.listener = Listener(server, page)
        self._writing: list[Writing] = []

    def _browser(self, user: str, *, backoff: int) -> YjsBrowser:
        browser = self.peers.browser(
            f"{user}@{self.page}", self.server.ws(), self.page, user=user, backoff=backoff
        )
        return browser.wait(synced=True)

    def begin(self) -> None:
        """Let everybody write."""
        gestures = [writer.gesture for writer in self.writers]
        self._writing = [Writing("writing", each) for each in (*gestures, self.script.gesture)]
        for writing in self._writing:
            writing.start()

    def rest(self) -> None:
        """Let nobody write any more. Raises what a writer raised."""
        writing, self._writing = self._writing, []
        for each in writing:
            each.stop()

    def promised(self) -> Promised:
        """What was shown to anybody, or acknowledged, until now."""
        seen = versions(self.watcher.content())
        return Promised(seen, dict(self.script.acknowledged), list(self.listener.events))

    def part(self) -> None:
        """Writers stay away until they are called back: they would bring again what was lost."""
        for writer in self.writers:
            writer.browser.disconnect()

    def meet(self) -> None:
        """Writers come back."""
        for writer in self.writers:
            writer.browser.connect()

    def look(self, promised: Promised, found: Content, *, logged: bool = True) -> Outcome:
        """Compare what was promised with what is `found`, and (logged) with the log of events."""
        there = versions(found)
        outcome = Outcome(len(promised.seen), len(promised.acknowledged), len(promised.events))
        for who in ("seen", "acknowledged"):
            outcome.lost += [
                f"{who}: {'/'.join(key)} v{version}, found {there.get(key)}"
                for key, version in getattr(promised, who).items()
                if there.get(key, -1) < version and not deleted(key, found)
            ]
        if logged:
            log = self.logged()
            outcome.lost += [f"event: {event}" for event in promised.events if event not in log]
        return outcome

    def logged(self) -> set[Event]:
        """The events of the page's log."""
        path = f"/event-log/demo?urlId={self.page}&userIdWS=anon&startTime=0&user=leo"
        told = [
            json.loads(entry["data"]) for entry in json.loads(self.server.get(path)[1])["events"]
        ]
        return {(body["timestamp"], body["type"], body["chat"]["_id"]) for body in told}

    def newcomer(self) -> Content:
        """What somebody finds who has never been here."""
        late = self._browser("late", backoff=100)
        found = late.content()
        late.drop()
        return found

    def agree(self, seconds: float = PATIENCE_S) -> int:
        """Wait until all that was written is everywhere. Returns the number of keys.

        Raises AssertionError where something is not, or replicas differ.
        """
        self.script.page.flush(seconds)
        late = self._browser("late", backoff=100)
        everybody = [late, *(writer.browser for writer in self.writers)]
        # Nobody's content is the right one to wait for: what a writer brings may still be on its way.
        until(lambda: _alike([browser.content() for browser in everybody]), seconds)
        content = late.content()
        late.drop()
        there = versions(content)
        for writer in self.writers:
            wrong = {key for key, version in writer.written.items() if there[key] != version}
            assert not wrong, f"other versions than {writer.user} wrote: {wrong}"
        return len(there)

    def leave(self, timeout: float = PATIENCE_S) -> None:
        """Everybody goes home. Raises crdt_chat.Offline if the script's words are not saved."""
        try:
            self.rest()
            self.script.page.close(timeout)
        finally:
            self.listener.close()
            for browser in (self.watcher, *(writer.browser for writer in self.writers)):
                browser.drop()


@contextmanager
def gathered(peers: YjsPeers, server: RealServer, page: str, chance: Random) -> Iterator[Crowd]:
    """A crowd that goes home at the end, whatever happened to it."""
    crowd = Crowd(peers, server, page, chance)
    try:
        yield crowd
    except BaseException:
        # What went wrong is what is to be told, not that nobody could say goodbye.
        with suppress(Exception):
            crowd.leave(0.1)
        raise
    crowd.leave()
