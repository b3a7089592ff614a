"""Real Yjs clients under Node, driven from Python: replicas without a network and whole browsers.

`YjsPeers` is one Node process (`tests/interop/peer.mjs`). Its methods block and are safe to call
from several threads at once, so an async test runs them with `anyio.to_thread.run_sync`.
"""

import base64
import contextlib
import itertools
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from contents import Content, Json
from waiting import PATIENCE_S

INTEROP = Path(__file__).resolve().parent.parent / "interop"

Operation = tuple[Literal["set"], str, str, Json] | tuple[Literal["delete"], str, str]
"""One write in a transaction: ("set", root, key, value) or ("delete", root, key)."""

UNDEFINED: Json = {"$any": "undefined"}
NAN: Json = {"$any": "nan"}
"""JavaScript values that JSON lacks, for values in operations; also bigint, bytes, infinity."""


class PeerError(AssertionError):
    """What was asked of a peer failed on its side: the message is JavaScript's."""


def require_node() -> None:
    """Skip the test where no Yjs peer can run (tests/conftest.py makes that a failure under CI)."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node.js on the PATH")
    if not (INTEROP / "node_modules" / "yjs").is_dir():
        pytest.skip("run `npm ci --ignore-scripts` in tests/interop first")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


class YjsPeers:
    """One Node process with any number of peers; a context manager that ends the process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "peer.mjs"],
            cwd=INTEROP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Json]] = {}
        self._reader = threading.Thread(target=self._read, name="yjs-peers", daemon=True)
        self._reader.start()

    def __enter__(self) -> "YjsPeers":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The Node process, to be killed or stopped by a test of vanished clients."""
        return self._process.pid

    def close(self) -> None:
        """End the process with all its peers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a test may have killed it
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def kill(self) -> None:
        """kill -9: the kernel closes its sockets, nobody says goodbye."""
        self._process.kill()

    def suspend(self) -> None:
        """SIGSTOP: its sockets stay and nothing is read or answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            with self._lock:
                future = self._asked.pop(reply["id"])
            if "error" in reply:
                future.set_exception(PeerError(reply["error"]))
            else:
                future.set_result(reply["ok"])
        with self._lock:
            orphans, self._asked = list(self._asked.values()), {}
        for future in orphans:
            future.set_exception(PeerError("the Node process is gone"))

    def begin(self, verb: str, peer: str | None = None, **options: Json) -> "Future[Json]":
        """Send one command and return the future of its result (see peer.mjs for the verbs)."""
        assert self._process.stdin is not None
        future: Future[Json] = Future()
        with self._lock:
            number = next(self._ids)
            self._asked[number] = future
            command = {"id": number, "peer": peer, "do": verb, "with": options}
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        return future

    def ask(self, verb: str, peer: str | None = None, **options: Json) -> Json:
        """Send one command and wait for its result. Raises PeerError."""
        seconds = options.get("seconds", PATIENCE_S)
        return self.begin(verb, peer, **options).result(timeout=seconds + 30)

    def replica(
        self, name: str, *, gc: bool = True, client: int | None = None, undo: bool = False
    ) -> "YjsReplica":
        """A Y.Doc without a network."""
        answer = self.ask("replica", name, gc=gc, client=client, undo=undo)
        return YjsReplica(self, name, answer["client"])

    def browser(
        self,
        name: str,
        url: str,
        page: str,
        *,
        user: str | None = None,
        params: Mapping[str, str] | None = None,
        protocols: Sequence[str] = (),
        gc: bool = True,
        client: int | None = None,
        undo: bool = False,
        state: Json = None,
        keep: bool = False,
        connect: bool = True,
        backoff: int = 2500,
        tabs: bool = False,
    ) -> "YjsBrowser":
        """A Y.Doc with y-websocket's provider on `url`/`page`, the latter percent-encoded.

        keep records every frame; tabs joins other browsers of this process by BroadcastChannel;
        backoff is the longest pause between reconnects in milliseconds; state is the awareness.
        """
        query = dict(params or {})
        if user is not None:
            query |= {"user": user, "name": query.get("name", user.title())}
        options: dict[str, Json] = {
            "url": url, "room": page, "params": query, "protocols": list(protocols), "gc": gc,
            "client": client, "undo": undo,
            "keep": keep, "connect": connect, "backoff": backoff, "tabs": tabs,
        }  # fmt: skip
        if state is None and user is not None:
            state = {"user": {"id": user, "name": query["name"]}}
        if state is not None:
            options["state"] = state
        answer = self.ask("browser", name, **options)
        return YjsBrowser(self, name, answer["client"])

    def merge(self, updates: Sequence[bytes]) -> bytes:
        """`Y.mergeUpdates`."""
        return _bytes(self.ask("merge", updates=[_text(update) for update in updates]))

    def complaints(self) -> list[str]:
        """What yjs and y-websocket printed since the last call; an honest run prints nothing."""
        return list(self.ask("complaints"))

    def clear(self) -> None:
        """Destroy all peers."""
        self.ask("clear")


@dataclass(frozen=True, slots=True)
class YjsReplica:
    """One Y.Doc in the Node process; `client` is its Yjs client id."""

    peers: YjsPeers
    name: str
    client: int

    def transact(self, operations: Sequence[Operation], *, tracked: bool = True) -> list[bytes]:
        """Write in one transaction; returns the updates that it sends (one, or none).

        tracked: whether the UndoManager, if there is one, may take it back.
        """
        answer = self.peers.ask("transact", self.name, operations=list(operations), tracked=tracked)
        return self._sent(answer)

    def script(self, code: str) -> list[bytes]:
        """Run JavaScript with `doc` and `Y`; returns the updates that it sends."""
        return self._sent(self.peers.ask("script", self.name, code=code))

    def forge(self, *updates: bytes) -> list[bytes]:
        """Apply updates as this replica's own; returns what it sends of them."""
        texts = [_text(update) for update in updates]
        return self._sent(self.peers.ask("forge", self.name, updates=texts))

    def undo(self) -> list[bytes]:
        """UndoManager.undo; returns the updates that it sends."""
        return self._sent(self.peers.ask("undo", self.name))

    def redo(self) -> list[bytes]:
        """UndoManager.redo; returns the updates that it sends."""
        return self._sent(self.peers.ask("redo", self.name))

    def apply(self, *updates: bytes) -> None:
        """Y.applyUpdate for each, in order."""
        echoed = self.peers.ask("apply", self.name, updates=[_text(update) for update in updates])
        assert echoed == [], "applying a remote update made local ones"

    def state_vector(self) -> bytes:
        """Y.encodeStateVector."""
        return _bytes(self.peers.ask("vector", self.name))

    def step2(self, state_vector: bytes | None = None) -> bytes:
        """Y.encodeStateAsUpdate, against a state vector: what a sync step 2 carries."""
        vector = None if state_vector is None else _text(state_vector)
        return _bytes(self.peers.ask("step2", self.name, vector=vector))

    def content(self) -> Content:
        """All live entries by root."""
        content: Content = self.peers.ask("content", self.name)
        return content

    def pending(self) -> bool:
        """Whether structs or deletions wait for something that has not come."""
        return bool(self.peers.ask("pending", self.name))

    def drop(self) -> None:
        """Destroy it; its name may be used again."""
        self.peers.ask("drop", self.name)

    @staticmethod
    def _sent(texts: Sequence[str]) -> list[bytes]:
        return [_bytes(text) for text in texts]


@dataclass(frozen=True, slots=True)
class Status:
    """What a browser knows of its connection.

    denied is the last close {code, reason} if the provider gave up for good; frames counts
    {"in" | "out": {kind: {count, bytes}}} WebSocket payloads; tcp {"in", "out"} are the bytes of
    the current TCP connection, HTTP upgrade and WebSocket headers included.
    """

    client: int
    connected: bool
    synced: bool
    denied: dict[str, Json] | None
    closes: list[dict[str, Json]]
    statuses: list[str]
    dials: int
    frames: dict[str, dict[str, dict[str, int]]]
    tcp: dict[str, int]
    pending: bool

    def count(self, way: Literal["in", "out"], *kinds: str) -> int:
        """How many frames of these kinds (all kinds if none is named) went this way."""
        return sum(
            row["count"] for kind, row in self.frames[way].items() if not kinds or kind in kinds
        )

    def payload(self, way: Literal["in", "out"], *kinds: str) -> int:
        """How many payload bytes of these kinds went this way."""
        return sum(
            row["bytes"] for kind, row in self.frames[way].items() if not kinds or kind in kinds
        )


@dataclass(frozen=True, slots=True)
class YjsBrowser(YjsReplica):
    """A Y.Doc with a WebsocketProvider: a stock browser tab."""

    def wait(self, seconds: float = PATIENCE_S, **wanted: Json) -> "YjsBrowser":
        """Wait until all of `wanted` holds at once. Raises PeerError with what is the case instead.

        synced, connected, denied: bool · closes, dials: at least so many · states: awareness states
        · state: (Yjs client id, property, value of its awareness state)

        · control: properties of the newest control frame
        · has, lacks: [(root, key), ...] · value: (root, key, value) · count: (root, entries)
        · content: everything.
        """
        self.peers.ask("wait", self.name, wanted=wanted, seconds=seconds)
        return self

    def connect(self) -> None:
        """Let the provider (re)connect."""
        self.peers.ask("connect", self.name)

    def disconnect(self) -> None:
        """The polite way: the provider says goodbye and stays away."""
        self.peers.ask("disconnect", self.name)

    def reset(self) -> None:
        """TCP RST on the socket; the provider reconnects by itself."""
        self.peers.ask("reset", self.name)

    def cut(self) -> None:
        """FIN without a close frame; the provider reconnects by itself."""
        self.peers.ask("cut", self.name)

    def pause(self) -> None:
        """Stop reading from the socket."""
        self.peers.ask("pause", self.name)

    def resume(self) -> None:
        """Read again."""
        self.peers.ask("resume", self.name)

    def inject(self, frame: bytes) -> None:
        """Send any bytes as one binary frame, past the provider."""
        self.peers.ask("inject", self.name, frame=_text(frame))

    def say(self, text: str) -> None:
        """Send a text frame, past the provider."""
        self.peers.ask("say", self.name, text=text)

    def burst(self, root: str, key: str, value: Json, count: int) -> None:
        """`count` transactions that set this key, its `body` counting up from "0"."""
        self.peers.ask("burst", self.name, root=root, key=key, value=value, count=count)

    def status(self) -> Status:
        """Counters and flags of the connection."""
        return Status(**self.peers.ask("status", self.name))

    def states(self) -> dict[int, Json]:
        """The awareness states it sees, its own included, by Yjs client id."""
        return {row["client"]: row["state"] for row in self.peers.ask("states", self.name)}

    def set_state(self, state: Json) -> None:
        """Awareness.setLocalState."""
        self.peers.ask("setState", self.name, state=state)

    def frames(self, way: Literal["in", "out"]) -> list[bytes]:
        """Every frame of the current record, if the browser was made with keep=True."""
        return [_bytes(text) for text in self.peers.ask("kept", self.name)[way]]

    def controls(self) -> list[dict[str, Json]]:
        """The control frames it was sent, if its `params` have `caps`."""
        return list(self.peers.ask("controls", self.name))

    def forget(self) -> None:
        """Start counters and record of frames anew."""
        self.peers.ask("forget", self.name)


@contextlib.contextmanager
def running_peers() -> Iterator[YjsPeers]:
    """A Node process of one's own, for tests that kill it; skips where there is no Node."""
    require_node()
    with YjsPeers() as peers:
        yield peers


@pytest.fixture(scope="session")
def yjs_process() -> Iterator[YjsPeers]:
    """The session's Node process."""
    with running_peers() as peers:
        yield peers


@pytest.fixture
def yjs(yjs_process: YjsPeers) -> Iterator[YjsPeers]:
    """The session's Node process without peers; fails the test if Yjs complained during it."""
    yield yjs_process
    yjs_process.clear()
    complaints = yjs_process.complaints()
    assert not complaints, complaints
