"""`crdt-chat serve` and `demo` as an operator meets them: what they print, refuse and leave behind."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from holding import offline_batch
from raw_client import raw_client
from server import RealServer, free_port
from waiting import PATIENCE_S

from crdt_chat.protocol import wire


def command(*words: str, cwd: Path, **options) -> subprocess.Popen[str]:
    environment = {name: text for name, text in os.environ.items() if "CRDT_CHAT" not in name}
    return subprocess.Popen(
        [sys.executable, "-m", "crdt_chat", *words],
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def refused(*words: str, cwd: Path) -> str:
    """The one sentence of a command that exits with 2."""
    running = command(*words, cwd=cwd)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 2, err
    assert err.count("\n") == 1, err
    assert out == ""
    return err


@pytest.fixture
def serving(tmp_path: Path):
    """A server started by hand; its stdout is read line by line."""
    running = command("serve", "--port", "0", "--db", "a.db", "--open-tenant", "lab", cwd=tmp_path)
    yield running
    if running.poll() is None:
        running.terminate()
    running.communicate(timeout=PATIENCE_S)


def url_in(running: subprocess.Popen[str]) -> str:
    """The address that a server prints once it answers."""
    assert running.stdout is not None
    for line in running.stdout:
        if "http://" in line:
            return line[line.index("http://") :].split()[0]
    raise AssertionError(running.communicate(timeout=PATIENCE_S)[1])


def fetch(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return answer.status, answer.read()


def test_serve_prints_the_address_that_it_answers_at(serving):
    url = url_in(serving)
    assert fetch(f"{url}/healthz") == (200, b'{"status":"ok"}')
    assert fetch(f"{url}/readyz")[0] == 200
    assert "version" in json.loads(fetch(f"{url}/version")[1])
    assert b"crdt_chat_connections" in fetch(f"{url}/metrics")[1]


def rests(running: subprocess.Popen[str]) -> int:
    """How often its first thread has gone to sleep."""
    status = Path(f"/proc/{running.pid}/status").read_text("ascii")
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counted by Linux")
def test_a_server_that_nobody_asks_anything_sleeps(serving):
    url_in(serving)
    before = rests(serving)
    time.sleep(2.0)  # what is measured is a length of time
    assert rests(serving) - before < 25  # twice as often where both of uvicorn's loops tick


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_within_five_seconds_and_without_a_trace(serving, number):
    url_in(serving)
    start = time.monotonic()
    serving.send_signal(number)
    _, err = serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == 0
    # Nobody was here: at once, but for what the machine takes; what hangs is cut after five seconds.
    assert time.monotonic() - start < 30
    assert "was cut" not in err
    assert "Traceback" not in err


def counted(server: RealServer, series: str) -> float:
    """What /metrics says of a series, 0 before there is any; the name as in the text, labels too."""
    found = re.search(
        rf"^{re.escape(series)} (\S+)", server.get("/metrics")[1].decode(), re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_megabytes_that_are_being_judged_do_not_keep_it(start_server):
    """Four batches of some seconds each; the file that the cut leaves is served again."""
    server = start_server(arguments=["--set", "limits.stop_s=1"])
    batch = wire.step2(offline_batch(random.Random(1), threads=24_000, replies=0, body=200))
    with contextlib.ExitStack() as open_clients:
        for page in "abcd":
            client = open_clients.enter_context(raw_client(server.ws(), page, "ada"))
            while not isinstance(wire.decode(client.socket.recv(PATIENCE_S)), wire.SyncStep1):
                pass
            client.send(batch)
        while counted(server, 'crdt_chat_bytes_total{direction="in"}') < 4 * len(batch):
            time.sleep(0.05)
        # The first is judged: its commit waits behind the others.
        while not counted(server, "crdt_chat_admission_seconds_count"):
            time.sleep(0.05)
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 30
    server.start()
    with raw_client(server.ws(), "d", "ada") as client:
        client.handshake()
        client.flush()


def test_a_second_serve_on_the_file_names_the_first_ones_process(serving, tmp_path):
    url_in(serving)
    sentence = refused("serve", "--port", "0", "--db", "a.db", "--open-tenant", "lab", cwd=tmp_path)
    assert f"process {serving.pid}" in sentence
    assert "a.db" in sentence


def test_a_port_in_use_is_told_in_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = refused("serve", "--port", port, "--open-tenant", "lab", cwd=tmp_path)
    assert f"127.0.0.1:{port} is in use by another program" in sentence
    assert "--port" in sentence


def test_an_address_of_another_machine_is_told_in_one_sentence(tmp_path):
    sentence = refused("serve", "--host", "192.0.2.1", "--open-tenant", "lab", cwd=tmp_path)
    assert "192.0.2.1 is no address of this machine" in sentence


def test_files_that_cannot_be_served_are_told_in_one_sentence_and_left_alone(tmp_path):
    (tmp_path / "letter.db").write_text("Dear reader, " * 1000)
    (tmp_path / "folder.db").mkdir()
    serve = ("serve", "--port", str(free_port()), "--open-tenant", "lab", "--db")
    assert "letter.db" in refused(*serve, "letter.db", cwd=tmp_path)
    assert "is a folder" in refused(*serve, "folder.db", cwd=tmp_path)
    assert "there is no folder" in refused(*serve, "absent/a.db", cwd=tmp_path)
    assert (tmp_path / "letter.db").read_text() == "Dear reader, " * 1000


def test_demo_serves_the_sample_page_and_keeps_its_notes(tmp_path):
    for _ in range(2):
        running = command("demo", "--port", "0", cwd=tmp_path)
        url = url_in(running)
        assert url.endswith("/demo")
        status, page = fetch(url)
        running.terminate()
        running.communicate(timeout=PATIENCE_S)
        assert status == 200
        assert b"<article" in page
        assert running.returncode == 0
    assert (tmp_path / "crdt-chat-demo.db").is_file()
