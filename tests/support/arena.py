"""Where attacks are tried: one real server, a page for each attack, stock Yjs people on it, and witnesses.

A `Scene` is a page with ada, whose words eve wants to harm, and bob, who looks on. `Scene.attack` lets
eve act, online or offline, and afterwards demands what docs/security.md promises: everybody ends equal
with exactly what was allowed, and the forbidden text of the scene is in no frame, file, log or event.
"""

import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import anyio
import httpx
from entries import NOW, comment, reply, thread
from pycrdt import Doc, Map
from server import running_server
from trusted import SECRETS, TrustedServer, token
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from yjs_peer import Content, Operation, YjsBrowser, YjsPeers, canonical

from crdt_chat.page.layout import ROOTS
from crdt_chat.protocol import wire
from store import open_reader

Ends = Literal["equal", "free"] | int
"""How the attacker ends: equal to everybody, closed with a code, or as she likes (she is not stock)."""

TABLES = {
    "annotations": "annotation", "comments": "comment", "resolved": "resolved",
    "reactions": "reaction", "deleted": "deleted",
}  # fmt: skip
SETTINGS = f"""
[limits]
gap_patience_s = 0.3
rate_patience_s = 1.5
frame_bytes = 65536
first_batch_bytes = 262144

[tenants.acme]
keys.k1.secret = "{SECRETS["acme"]}"

[tenants.tight]
keys.k1.secret = "{SECRETS["acme"]}"
operations_per_s = 1000
operations_burst = 100000

[tenants.roomy]
keys.k1.secret = "{SECRETS["acme"]}"
operations_per_s = 1000
operations_burst = 100000

[tenants.tight.page]
annotations = 3
comments = 5
reactions_per_user = 2
state = 20000
"""
HONEST = "an honest word"
"""What is surely in files and frames: the searches would find it."""

_numbers = itertools.count(1)


class Raw:
    """A socket of somebody who has no Yjs at all; every frame that comes is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[bytes] = []

    def send(self, *frames: bytes) -> None:
        """These frames as they are."""
        for frame in frames:
            self.socket.send(frame)

    def read(self) -> wire.Message:
        """The next frame."""
        frame = self.socket.recv(timeout=10)
        assert isinstance(frame, bytes)
        self.frames.append(frame)
        return wire.decode(frame)

    def controls(self, kind: str) -> dict[str, Any]:
        """Read until a control frame of this kind has come."""
        while True:
            message = self.read()
            if isinstance(message, wire.Control) and message.body["type"] == kind:
                return dict(message.body)

    def settle(self) -> None:
        """Return once all that was sent is judged."""
        self.send(wire.control({"type": "presence"}))
        while "users" not in self.controls("presence"):
            pass

    def closed(self) -> int:
        """Read until the server has closed; its code."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.read()
        assert self.socket.close_code is not None
        return self.socket.close_code


class Counted:
    """What the attacks of this process amount to."""

    def __init__(self) -> None:
        self.frames = 0
        self.searched = 0
        self.found = 0

    def nothing_in(self, places: Iterable[tuple[str, bytes]], forbidden: Iterable[bytes]) -> None:
        """None of these texts is in any of these places. Raises AssertionError."""
        for (name, content), text in itertools.product(places, forbidden):
            if text in content:
                self.found += 1
                raise AssertionError(f"{text!r} is in {name}")


class Arena:
    """The server and its peers; `forbidden` are the texts that nobody may ever find."""

    def __init__(self, server: TrustedServer, yjs: YjsPeers) -> None:
        self.server, self.yjs = server, yjs
        self.forbidden: list[bytes] = []
        self.kept: list[tuple[str, str, Content]] = []
        self.counted = Counted()
        self.http = httpx.Client()

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file of the server: database, write-ahead log, server log, what lies beside them."""
        for path in self.server.running.db.parent.iterdir():
            if path.is_file() and path.suffix != ".toml":
                yield path.name, path.read_bytes()

    def search_files(self, *forbidden: bytes) -> None:
        """None of these texts is in a file, where an honest one is. Raises AssertionError."""
        found = list(self.files())
        assert any(HONEST.encode() in content for _, content in found)
        self.counted.searched += len(found) * len(forbidden)
        self.counted.nothing_in(found, forbidden)

    def browser(
        self, page: str, user: str, role: str = "editor", tenant: str = "acme", **options: Any
    ) -> YjsBrowser:
        """A stock browser of this user on the page, every frame recorded."""
        name = f"{page} {user} {next(_numbers)}"
        params = {"token": token(tenant, user, role=role, name=user.title())}
        state = {"user": {"id": user}, "at": "the margin"}
        url = self.server.running.ws(tenant)
        settings: dict[str, Any] = {"params": params, "keep": True, "state": state, "backoff": 100}
        return self.yjs.browser(name, url, page, **(settings | options))

    def after_a_crash(self) -> None:
        """kill -9: the new process shows on every page of the arena what the old one did."""
        self.server.running.kill()
        self.server.running.start()
        for tenant, page, content in self.kept:
            late = self.browser(page, "late", tenant=tenant).wait(content=content)
            self.search_frames([late], self.forbidden)
            late.drop()
        command = [sys.executable, "-m", "crdt_chat", "integrity", "--db"]
        subprocess.run([*command, str(self.server.running.db)], check=True, capture_output=True)
        self.search_files(*self.forbidden)
        self.server.running.stop()
        self.search_files(*self.forbidden)
        self.server.running.start()

    def search_frames(self, browsers: Iterable[YjsBrowser], forbidden: Sequence[bytes]) -> None:
        """None of these texts was ever sent to one of them."""
        for browser in browsers:
            self.search(f"a frame to {browser.name}", browser.frames("in"), forbidden)

    def search(self, name: str, frames: Sequence[bytes], forbidden: Sequence[bytes]) -> None:
        """None of these texts is in one of these frames. Raises AssertionError."""
        self.counted.frames += len(frames)
        self.counted.nothing_in([(name, frame) for frame in frames], forbidden)


class Scene:
    """One page; all have seen the honest `before` when it begins."""

    def __init__(
        self, arena: Arena, *, offline: bool = False, tenant: str = "acme", role: str = "editor"
    ) -> None:
        self.arena, self.offline, self.tenant = arena, offline, tenant
        number = next(_numbers)
        self.page = f"page-{number}"
        self.marker = f"forbidden{number}x"
        self.role = role
        self.others: list[YjsBrowser] = []
        self._stack = ExitStack()
        self.legacy = self._stack.enter_context(self._subscribed())
        self.heard: list[str] = []
        self.raws: list[Raw] = []
        self.attacks = 1
        self.said_elsewhere = False
        self.ada, self.bob = self.person("ada"), self.person("bob")
        self.eve = self.person("eve", role=role)
        self.ada.transact(thread("ada", "a1", HONEST))
        self.bob.wait(has=[("comments", "a1/c1")])
        reaction: Operation = ("set", "reactions", "a1/c1/👍/bob", {"at": NOW})
        self.bob.transact([*reply("bob", "a1/c2"), reaction])
        if role not in ("viewer", "commenter"):
            self.eve.transact(thread("eve", "e1", "eve's own"))
            self.ada.wait(has=[("comments", "e1/c1")])
            self.ada.transact(reply("ada", "e1/c2"))
            self.bob.wait(has=[("comments", "e1/c2")])
        elif role == "commenter":
            self.eve.wait(has=[("comments", "a1/c1")])
            self.eve.transact(reply("eve", "a1/c3"))
            self.ada.wait(has=[("comments", "a1/c3")])
        self.ada.wait(has=[("comments", "a1/c2"), ("reactions", "a1/c1/👍/bob")])
        self.sync()

    def sync(self) -> None:
        """Take what ada sees as the state before the attack, once all have it."""
        self.before = self.ada.content()
        for browser in (self.bob, self.eve):
            browser.wait(content=self.before)

    def person(self, user: str, *, role: str = "editor", **options: Any) -> YjsBrowser:
        """One more stock browser; its frames are searched like everybody's."""
        browser = self.arena.browser(self.page, user, role, self.tenant, **options)
        self.others.append(browser)
        return browser if options.get("connect") is False else browser.wait(synced=True)

    @contextmanager
    def raw(self, user: str = "eve", role: str = "editor") -> Iterator[Raw]:
        """A socket of this user's that speaks our control frames; searched at the end like the others."""
        query = urlencode({"token": token(self.tenant, user, role=role), "caps": "crdt-chat.1"})
        address = f"{self.arena.server.running.ws(self.tenant)}/{self.page}?{query}"
        with connect(address, compression=None, max_size=None) as socket:
            raw = Raw(socket)
            self.raws.append(raw)
            yield raw

    @contextmanager
    def _subscribed(self) -> Iterator[ClientConnection]:
        """A legacy client of bob's."""
        http, headers = self.arena.server.http, self.bearer("bob")
        asked = {"urlId": self.page}
        url = f"{http}/comment-collab-chats/{self.tenant}"
        answer = self.arena.http.get(url, params=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        said = {
            "tenantIdWS": self.tenant,
            "urlId": answer.json()["urlIdWS"],
            "userIdWS": answer.json()["userIdWS"],
        }
        address = f"{http.replace('http', 'ws')}/sub?{urlencode(said)}"
        with connect(address, compression=None) as socket:
            yield socket

    def bearer(self, user: str, role: str = "editor") -> dict[str, str]:
        """The header of this user's requests."""
        return {"authorization": f"Bearer {token(self.tenant, user, role=role)}"}

    def moderate(self, action: str, entity: str, **more: str) -> None:
        """What the moderator does, by the JSON API."""
        url = f"{self.arena.server.http}/api/v1/tenants/{self.tenant}/moderation"
        body = {"page": self.page, "action": action, "entity": entity, **more}
        answer = self.arena.http.post(url, json=body, headers=self.bearer("mod", "moderator"))
        assert answer.status_code == 204, answer.text

    @contextmanager
    def attack(
        self,
        ends: Ends = "equal",
        *,
        accepted: Sequence[Operation] = (),
        honest: Sequence[Operation] | None = None,
    ) -> Iterator[YjsBrowser]:
        """Let eve act, then look what became of it.

        ends: how she ends. accepted: what of her operations is allowed, and all that remains of them.
        honest: what ada does afterwards; an edit of the very comment and a new one.
        """
        if self.offline:
            self.eve.disconnect()
        yield self.eve
        if self.offline:
            self.eve.connect()
        self._end(ends)
        word = comment("ada", f"still hers, {HONEST}")
        if honest is None:
            honest = [("set", "comments", "a1/c1", word), ("set", "comments", "a1/c9", word)]
        self.ada.transact(honest)
        self._look([*accepted, *honest], ends)

    def _end(self, ends: Ends) -> None:
        if isinstance(ends, int):
            self.eve.wait(denied=True)
            assert self.eve.status().denied["code"] == ends, self.eve.status().denied
        elif ends == "equal":
            self.eve.wait(synced=True)
            self.settle()
            assert self.eve.status().denied is None

    def settle(self, sender: YjsBrowser | None = None, *, rounds: int = 1) -> None:
        """Return once all that eve (or another sender) sent has been judged.

        Her awareness travels behind it, and ada sees that; the answer to a step 1 would mend eve. A second
        round waits for what the server asks for when something is missing.
        """
        sender = sender or self.eve
        for _ in range(rounds):
            word = f"word {next(_numbers)}"
            sender.set_state({"word": word})
            self.ada.wait(state=(sender.client, "word", word))

    def _look(self, changes: Sequence[Operation], ends: Ends) -> None:
        expected = self.expected(changes)
        late = self.person("late")
        people = [self.ada, self.bob, late]
        # A closed attacker starts anew, as docs/protocol.md says.
        people.append(self.eve if ends == "equal" else self.person("eve", role=self.role))
        for browser in people:
            browser.wait(5, content=expected)
            assert not browser.pending(), browser.name
        assert canonical(self.read_model()) == canonical(expected)
        assert canonical(self.document()) == canonical(expected)
        self._search()
        self.arena.kept.append((self.tenant, self.page, expected))

    def _search(self) -> None:
        self._listen()
        text = self.marker.encode()
        heard = [frame.encode() for frame in self.heard]
        self.arena.search("a frame to the legacy client", heard, [text])
        for raw in self.raws:
            self.arena.search("a frame to a raw socket", raw.frames, [text])
        self.arena.search_frames(self.others, [text])
        if not self.said_elsewhere:
            self.arena.search_files(text)
            self.arena.forbidden.append(text)

    def _listen(self) -> None:
        """Read what the legacy client was told up to the last event of the page."""
        last = self.rows("SELECT max(timestamp) FROM event WHERE page = ?")[0][0]
        while last is not None:
            frame = str(self.legacy.recv(timeout=10))
            self.heard.append(frame)
            if json.loads(frame).get("timestamp") == last:
                return

    def expected(self, operations: Iterable[Operation]) -> Content:
        """What was there before the attack, and these operations."""
        return changed(self.before, operations)

    def close(self) -> None:
        """Everybody goes home."""
        self._stack.close()
        for browser in self.others:
            browser.drop()

    # What the server has

    def rows(self, query: str) -> list[Any]:
        """A query on the database; its only parameter is the page."""
        with contextlib.closing(sqlite3.connect(self.arena.server.running.db)) as db:
            found = db.execute("SELECT id FROM page WHERE name = ?", (self.page,)).fetchone()
            return list(db.execute(query, found)) if found else []

    def read_model(self) -> Content:
        """The page as its SQL tables have it."""
        content: Content = {}
        for root, table in TABLES.items():
            rows = self.rows(f"SELECT name, value FROM {table} WHERE page = ?")
            content[root] = {name: json.loads(value) for name, value in rows}
        for root, name, value in self.rows("SELECT root, name, value FROM fact WHERE page = ?"):
            content.setdefault(root, {})[name] = json.loads(value)
        return content

    def document(self) -> Content:
        """The page as another Yjs implementation reads the journal."""

        async def load() -> Content:
            reader = open_reader(self.arena.server.running.db)
            stored = await reader.load(self.tenant, self.page)
            await reader.close()
            assert stored is not None
            doc: Doc[Any] = Doc()
            maps = {root: doc.get(root, type=Map) for root in ROOTS}
            for update in (stored.snapshot, *(row.update for row in stored.rows)):
                if update is not None:
                    doc.apply_update(update)
            return {root: each.to_py() or {} for root, each in maps.items()}

        return anyio.run(load)


def changed(content: Content, operations: Iterable[Operation]) -> Content:
    """The content after these operations, which must be allowed and alone."""
    after = deepcopy(content)
    for operation in operations:
        if operation[0] == "set":
            after.setdefault(operation[1], {})[operation[2]] = operation[3]
        else:
            after[operation[1]].pop(operation[2], None)
    return {root: entries for root, entries in after.items() if entries}


@contextmanager
def running_arena(folder: Path, yjs: YjsPeers) -> Iterator[Arena]:
    """An arena in this folder; at its end the server is killed and every page looked at again."""
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS, "utf-8")
    with running_server(folder, tenants=(), arguments=["--config", str(settings)]) as running:
        arena = Arena(TrustedServer(running, settings), yjs)
        with arena.http:
            yield arena
        arena.after_a_crash()
