"""One page under attack: ada, whose words eve wants to harm, and bob, who looks on.

`Scene.attack` lets eve act, online or offline, and afterwards demands what docs/security.md promises:
everybody ends equal with exactly what was allowed, and the forbidden text of the scene is in no frame,
file, log or event.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any, Literal
from urllib.parse import urlencode

import anyio
from arena import HONEST, Arena, Raw, numbers
from contents import Content, canonical
from entries import NOW, comment, reply, thread
from pycrdt import Doc, Map
from trusted import token
from waiting import PATIENCE_S
from websockets.sync.client import ClientConnection, connect
from yjs_peer import Operation, YjsBrowser

from crdt_chat.page.layout import ROOTS
from store import open_reader

Ends = Literal["equal", "free"] | int
"""How the attacker ends: equal to everybody, closed with a code, or as she likes (she is not stock)."""

TABLES = {
    "annotations": "annotation", "comments": "comment", "resolved": "resolved",
    "reactions": "reaction", "deleted": "deleted",
}  # fmt: skip


class Scene:
    """One page; all have seen the honest `before` when it begins."""

    def __init__(
        self, arena: Arena, *, offline: bool = False, tenant: str = "acme", role: str = "editor"
    ) -> None:
        self.arena, self.offline, self.tenant = arena, offline, tenant
        number = next(numbers)
        self.page = f"page-{number}"
        self.marker = f"forbidden{number}x"
        self.role = role
        self.others: list[YjsBrowser] = []
        self.gone: list[YjsBrowser] = []
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

    def erase(self, *what: str) -> None:
        """By command. What the legacy client heard until then was public; what it hears now counts."""
        self._listen()
        self.heard.clear()
        self.arena.server.command("erase", self.tenant, *what)

    def restarted(self) -> None:
        """The server is another process: bob's legacy client dials again."""
        self.legacy = self._stack.enter_context(self._subscribed())

    def start_anew(self, *users: str) -> None:
        """After an erasure: ada and bob with fresh documents; users: who was closed with 4409."""
        for name in users:
            browser: YjsBrowser = getattr(self, name)
            browser.wait(denied=True)
            assert browser.status().denied["code"] == 4409, browser.status().denied
        self.gone += self.others
        self.others = []
        self.ada, self.bob = self.person("ada"), self.person("bob")
        self.before = self.ada.content()
        self.bob.wait(content=self.before)

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
            word = f"word {next(numbers)}"
            sender.set_state({"word": word})
            self.ada.wait(state=(sender.client, "word", word))

    def _look(self, changes: Sequence[Operation], ends: Ends) -> None:
        expected = self.expected(changes)
        late = self.person("late")
        people = [self.ada, self.bob, late]
        # A closed attacker starts anew, as docs/protocol.md says.
        people.append(self.eve if ends == "equal" else self.person("eve", role=self.role))
        for browser in people:
            browser.wait(content=expected)
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
            frame = str(self.legacy.recv(timeout=PATIENCE_S))
            self.heard.append(frame)
            if json.loads(frame).get("timestamp") == last:
                return

    def expected(self, operations: Iterable[Operation]) -> Content:
        """What was there before the attack, and these operations."""
        return changed(self.before, operations)

    def close(self) -> None:
        """Everybody goes home."""
        self._stack.close()
        for browser in (*self.others, *self.gone):
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
