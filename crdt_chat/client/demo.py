"""`demo`: a real server with the sample page, in a process of its own, for notebooks and examples."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from crdt_chat.client.html import link
from crdt_chat.errors import CrdtChatError

READY_S, STOP_S, LOOK_S = 20.0, 10.0, 0.02
"""Seconds given to a server to answer and to end, and between two looks whether it does."""

HOST = "127.0.0.1"

# Never through a proxy of the environment: the server is on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoFailed(CrdtChatError):
    """The server did not come up; the message ends with what it said."""


def demo() -> "Demo":
    """Start a server with the sample page and an empty file; both are gone after the `with`.

    Without a `with`: until `close()`, or the end of the program. Raises DemoFailed.
    """
    return Demo()


class Demo:
    """A server on a free port of this machine; port and notes stay over `stop` and `start`."""

    page = "demo/demo-article"
    """The sample page, for `connect`."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="crdt-chat-demo-"))
        self._process: list[subprocess.Popen[bytes]] = []
        # The server must not outlive who has started it, nor its file.
        self._gone = weakref.finalize(self, _clear, self._process, self._folder)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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
        return any(process.poll() is None for process in self._process)

    def start(self) -> None:
        """Start the server and return when it answers. Raises DemoFailed."""
        if self.running:
            return
        command = [sys.executable, "-m", "crdt_chat", "demo", "--host", HOST]
        command += ["--port", str(self.port), "--db", str(self._folder / "crdt-chat.db")]
        log = self._folder / "server.log"
        with log.open("ab") as said:
            process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        self._process[:] = [process]
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(encoding="utf-8", errors="replace")
                self.close()
                raise DemoFailed(f"the server did not start: {words[-2000:]}")
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """Stop the server: everybody who is connected goes on offline."""
        _end(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        _end(self._process, getattr(signal, "SIGKILL", signal.SIGTERM))

    def restart(self) -> None:
        """Stop it and start it."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and remove its notes."""
        self._gone()

    def __repr__(self) -> str:
        return f"<demo server {self.page_url}: {'up' if self.running else 'down'}>"

    def _repr_html_(self) -> str:
        return link(self.page_url, "up" if self.running else "down")

    def _answers(self) -> bool:
        try:
            with _DIRECT.open(f"http://{HOST}:{self.port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _end(processes: list[subprocess.Popen[bytes]], how: int) -> None:
    while processes:
        process = processes.pop()
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _clear(processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    _end(processes, signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
