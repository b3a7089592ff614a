"""Where attacks are tried: one real server, a page for each attack, stock Yjs people on it, and witnesses.

scene.py says what happens there. At the end the server is killed and every page looked at again.
"""

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from contents import Content
from server import running_server
from trusted import SECRETS, TrustedServer, token
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from yjs_peer import YjsBrowser, YjsPeers

from crdt_chat.protocol import wire

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

numbers = itertools.count(1)


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
        frame = self.socket.recv(timeout=PATIENCE_S)
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
        name = f"{page} {user} {next(numbers)}"
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
