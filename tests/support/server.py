"""A real crdt-chat server in its own process, to be killed, stopped and started again by tests."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from waiting import PATIENCE_S

HOST = "127.0.0.1"
START_SECONDS = STOP_SECONDS = PATIENCE_S

StartServer = Callable[..., "RealServer"]
"""The fixture `start_server`: RealServer's arguments but `folder`; a started server."""


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class RealServer:
    """`python -m crdt_chat serve` on a free loopback port with its own database file.

    Stays on the same port and file over `kill`, `stop` and `start`. `tenants` are open ones;
    `arguments` go to the command line as they are. trust: what to trust where it speaks TLS.
    environment: variables added to our own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tenants: Sequence[str] = ("demo",),
        arguments: Sequence[str] = (),
        trust: ssl.SSLContext | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.trust = trust
        self._environment = os.environ | (environment or {})
        self.port = free_port()
        self.db = folder / "crdt-chat.db"
        self.log_path = folder / "server.log"
        self._command = [
            sys.executable, "-m", "crdt_chat", "serve",
            "--host", HOST, "--port", str(self.port), "--db", str(self.db),
        ]  # fmt: skip
        for tenant in tenants:
            self._command += ["--open-tenant", tenant]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        """`http://host:port` (https where it has a certificate), no slash at the end."""
        return f"http{'s' if self.trust else ''}://{HOST}:{self.port}"

    def ws(self, tenant: str = "demo") -> str:
        """What y-websocket takes as its server URL for pages of this tenant."""
        return f"ws://{HOST}:{self.port}/ws/{urllib.parse.quote(tenant, safe='')}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process. Raises AssertionError if there is none."""
        assert self._process is not None, "the server is not running"
        return self._process

    @property
    def gone(self) -> bool:
        """Whether it has been killed or stopped."""
        return self._process is None

    def start(self) -> "RealServer":
        """Start the process and return when it answers /readyz."""
        assert self._process is None, "the server is running already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        try:
            self._await_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self.process.poll()
            assert code is None, f"the server ended with {code}:\n{self.log()[-4000:]}"
            if self.get("/readyz")[0] == 200:
                return
            time.sleep(0.02)
        raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.log()[-4000:]}")

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET; (0, b"") where nobody listens."""
        try:
            with urllib.request.urlopen(
                self.http + path, timeout=PATIENCE_S, context=self.trust
            ) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, b""

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._process = None

    def stop(self) -> int:
        """SIGTERM; returns the exit code when the process has ended by itself."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_SECONDS} s after SIGTERM") from None
        self._process = None
        return code

    def restart(self) -> "RealServer":
        """SIGTERM, then start on the same port and file."""
        self.stop()
        return self.start()

    def suspend(self) -> None:
        """SIGSTOP: it holds its sockets and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def memory(self) -> int:
        """Resident memory in bytes."""
        resident: int = psutil.Process(self.process.pid).memory_info().rss
        return resident

    def log(self) -> str:
        """All that it has written to stdout and stderr, over every start."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End it if it runs; fails if its log holds a traceback or a panic."""
        if self._process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.stop()
        log = self.log()
        assert "Traceback (most recent call last)" not in log, log[-8000:]
        assert "panicked at" not in log, log[-8000:]


@contextmanager
def running_server(
    folder: Path,
    *,
    tenants: Sequence[str] = ("demo",),
    arguments: Sequence[str] = (),
    trust: ssl.SSLContext | None = None,
) -> Iterator[RealServer]:
    """A started server; ended at the end, when its log must hold no traceback."""
    server = RealServer(folder, tenants=tenants, arguments=arguments, trust=trust)
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """A fresh server with the open tenant `demo`."""
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers with one's own arguments, each in its own folder."""
    with ExitStack() as stack:
        count = 0

        def start(
            *, tenants: Sequence[str] = ("demo",), arguments: Sequence[str] = ()
        ) -> RealServer:
            nonlocal count
            count += 1
            folder = tmp_path / f"server-{count}"
            folder.mkdir()
            return stack.enter_context(running_server(folder, tenants=tenants, arguments=arguments))

        yield start
