"""The servers under test: how each is started, and the dialect that its clients speak."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench" / "peers"
HOST = "127.0.0.1"
START_S = 30.0


@dataclass(frozen=True)
class Kind:
    """One server: `command` gets a port and a folder, `path` a page and a user.

    answers: it answers a step 1 (a relay does not). addressed: every message begins with the name of
    its page, and the first is an authentication (Hocuspocus).
    """

    name: str
    about: str
    command: Callable[[int, Path], list[str]]
    path: Callable[[str, str], str]
    answers: bool = True
    addressed: bool = False
    environment: Callable[[int, Path], dict[str, str]] = lambda _port, _folder: {}


def _serve(port: int, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "crdt_chat", "serve", "--host", HOST, "--port", str(port),
        "--db", str(folder / "bench.db"), "--open-tenant", "bench", "--limits", "off",
        "--log-level", "warning",
    ]  # fmt: skip


def ours(name: str, root: Path) -> Kind:
    """Our server as it is in the checkout `root`."""
    return Kind(
        name,
        "crdt-chat, admission and FULL commits on" if root == ROOT else f"crdt-chat in {root.name}",
        _serve,
        lambda page, user: f"/ws/bench/{page}?user={quote(user)}&name={quote(user)}",
        environment=lambda _port, _folder: {"PYTHONPATH": str(root)},
    )


def _python(file: str, *more: str) -> Callable[[int, Path], list[str]]:
    return lambda port, folder: [
        sys.executable, str(PEERS / file), HOST, str(port), *(str(folder / part) for part in more)
    ]  # fmt: skip


def _node(file: str) -> Callable[[int, Path], list[str]]:
    return lambda _port, _folder: ["node", str(PEERS / file)]


def _plain(page: str, _user: str) -> str:
    return f"/{page}"


def _listening(port: int) -> dict[str, str]:
    return {"HOST": HOST, "PORT": str(port), "NODE_ENV": "production"}


KINDS = {
    kind.name: kind
    for kind in (
        ours("ours", ROOT),
        Kind(
            "relay", "a relay in the same Python stack", _python("relay.py"), _plain, answers=False
        ),
        Kind(
            "pw",
            "pycrdt-websocket and SQLiteYStore",
            _python("pycrdt_websocket.py", "pw.db"),
            _plain,
        ),
        Kind(
            "yw",
            "@y/websocket-server and y-leveldb",
            _node("y_websocket.mjs"),
            _plain,
            environment=lambda port, folder: {
                **_listening(port),
                "YPERSISTENCE": str(folder / "leveldb"),
            },
        ),
        Kind(
            "hp",
            "Hocuspocus and its SQLite extension",
            _node("hocuspocus.mjs"),
            lambda _page, _user: "/",
            addressed=True,
            environment=lambda port, folder: {
                **_listening(port),
                "DATABASE": str(folder / "hp.db"),
            },
        ),
    )
}


class Running:
    """A started server process, pinned to one core."""

    def __init__(self, kind: Kind, port: int, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.port = port
        self.process = process
        self.started_s = 0.0

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used, kernel time included."""
        # The CPU clock of another process, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self) -> int:
        """Resident bytes."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """The most resident bytes since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Measure the peak from here on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise LookupError(name)


@contextlib.contextmanager
def running(kind: Kind, core: int | None) -> Iterator[Running]:
    """The server, from its first answered connection to its end; its files go with it."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{kind.name}-"))
    command = kind.command(port, folder)
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    environment = {**os.environ, **kind.environment(port, folder)}
    log = (folder / "log").open("wb")
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT
    )
    server = Running(kind, port, process)
    try:
        _wait_until_it_listens(server, folder / "log")
        server.started_s = time.perf_counter() - began
        yield server
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        log.close()
        complaints = (folder / "log").read_text(errors="replace").strip()
        if complaints and os.environ.get("BENCH_LOG"):
            print(f"[{kind.name}] {complaints[-1500:]}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_listens(server: Running, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, server.port), 1).close()
            return
        if server.process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError(f"{server.kind.name} does not start:\n{log.read_text()[-2000:]}")
