"""`demo`: a real server with the sample page, in a process of its own, for notebooks and examples."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crdt_chat.errors import CrdtChatError

READY_S, STOP_S, LOOK_S = 20.0, 10.0, 0.02
"""Seconds given to a server to answer and to end, and between two looks whether it does."""

HOST = "127.0.0.1"


class DemoFailed(CrdtChatError):
    """The server did not come up; the message ends with what it said."""


class Demo:
    """A server on a free port of this machine, with its own file; both stay over stop and start."""

    page = "demo/demo-article"
    """The sample page, for `connect`."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.db = folder / "crdt-chat.db"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address, for `connect`."""
        return f"ws://{HOST}:{self.port}"

    @property
    def page_url(self) -> str:
        """The sample page, for a browser."""
        return f"http://{HOST}:{self.port}/demo"

    @property
    def running(self) -> bool:
        """Whether the server is up."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and return when it answers. Raises DemoFailed."""
        command = [sys.executable, "-m", "crdt_chat", "demo", "--host", HOST]
        command += ["--port", str(self.port), "--db", str(self.db)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by our interpreter
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                self.stop()
                said = self._log.read_text(encoding="utf-8", errors="replace")
                raise DemoFailed(f"the server did not start: {said[-2000:]}")
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """Stop the server: everybody who is connected goes on offline."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        self._end(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    def restart(self) -> None:
        """Stop it and start it, on the same port and file."""
        self.stop()
        self.start()

    def __repr__(self) -> str:
        return f"<demo server {self.page_url}: {'up' if self.running else 'down'}>"

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            url = f"http://{HOST}:{self.port}/readyz"
            with _DIRECT.open(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


# Never through a proxy of the environment: the server is on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def demo() -> Iterator[Demo]:
    """A server with the sample page and an empty file, gone at the end. Raises DemoFailed."""
    with tempfile.TemporaryDirectory(prefix="crdt-chat-demo-") as folder:
        server = Demo(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
