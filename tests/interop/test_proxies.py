"""The samples of deploy/ in front of a real server: wss through nginx, Caddy and our own TLS."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from certified import Certificate, certificate, dial
from contents import canonical
from entries import reply, thread
from raw_client import RawClient
from server import HOST, RealServer, free_port, running_server
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from yjs_peer import YjsPeers, running_peers

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ODD_PAGE = "a%2Fb%20%C3%A9%3Fc"
"""`a/b é?c`: only a path that nobody has decoded on the way is still this page."""


@dataclass
class Front:
    """What stands in front of the server: its address, and whom to trust."""

    port: int
    certified: Certificate
    server: RealServer
    folder: Path

    @property
    def ws(self) -> str:
        """The server URL for y-websocket."""
        return f"wss://{HOST}:{self.port}/ws/demo"

    def get(self, path: str, **options: dict[str, str]) -> httpx.Response:
        """A GET through it."""
        address = f"https://{HOST}:{self.port}{path}"
        return httpx.get(address, verify=self.certified.trust(), **options)


@contextmanager
def process(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of the block, its words in a file."""
    with (folder / "proxy.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(PATIENCE_S)


def replaced(name: str, changes: dict[str, str]) -> str:
    """A sample with its addresses changed; each must be there, so that the test runs the sample."""
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r} any more"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, backend: str, made: Certificate) -> list[str]:
    """The command that runs deploy/nginx.conf on this port."""
    changes = {
        "listen 443 ssl;": f"listen {HOST}:{port} ssl;",
        "/etc/ssl/chat/fullchain.pem": str(made.chain),
        "/etc/ssl/chat/privkey.pem": str(made.key),
        "/var/log/nginx/crdt-chat.log": str(folder / "access.log"),
        "http://127.0.0.1:8700;": f"http://{backend};",
    }
    (folder / "site.conf").write_text(replaced("nginx.conf", changes), "utf-8")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ {places}\ninclude {folder}/site.conf; }}\n",
        "utf-8",
    )
    binary = shutil.which("nginx") or "nginx"
    return [binary, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, backend: str, made: Certificate) -> list[str]:
    """The command that runs deploy/Caddyfile on this port."""
    changes = {
        "chat.example.org {": (
            f"{{\n\tadmin off\n\tauto_https off\n\tstorage file_system {folder}/caddy\n}}\n"
            f"https://{HOST}:{port} {{\n\ttls {made.chain} {made.key}"
        ),
        "reverse_proxy 127.0.0.1:8700": f"reverse_proxy {backend}",
    }
    (folder / "Caddyfile").write_text(replaced("Caddyfile", changes), "utf-8")
    binary = shutil.which("caddy") or "caddy"
    return [binary, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


PROXIES: dict[str, Callable[[Path, int, str, Certificate], list[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("nginx", marks=pytest.mark.nginx),
        pytest.param("caddy", marks=pytest.mark.caddy),
        "direct",
    ],
)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """A server behind each of the samples, and one that speaks TLS itself."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    made = certificate(folder)
    if name == "direct":
        files = ["--tls-cert", str(made.chain), "--tls-key", str(made.key)]
        with running_server(folder, arguments=files, trust=made.trust()) as server:
            yield Front(server.port, made, server, folder)
        return
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    with running_server(folder, arguments=["--set", "proxies=127.0.0.1"]) as server:
        port = free_port()
        command = PROXIES[name](folder, port, f"{HOST}:{server.port}", made)
        with process(command, folder) as running:
            there = Front(port, made, server, folder)
            await_front(there, running)
            yield there


def await_front(front: Front, running: subprocess.Popen[bytes]) -> None:
    """Return when it answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert running.poll() is None, (front.folder / "proxy.log").read_text()
        try:
            if front.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, (front.folder / "proxy.log").read_text()
        time.sleep(0.05)


@contextmanager
def visitor(front: Front, page: str, query: str, **options: dict[str, str]) -> Iterator[RawClient]:
    """A client of our own through it."""
    address = f"{front.ws}/{page}?caps=crdt-chat.1&{query}"
    trust = front.certified.trust()
    with dial(address, trust, max_size=2**26, **options) as socket:
        yield RawClient(socket)


@pytest.mark.node
def test_stock_clients_meet_over_wss(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(front.certified.chain))
    with running_peers() as peers:
        together(peers, front)
        assert peers.complaints() == []


def together(peers: YjsPeers, front: Front) -> None:
    """Two browsers write on one page, one of them goes away and comes back."""
    ada = peers.browser("ada", front.ws, ODD_PAGE, user="ada").wait(synced=True)
    bob = peers.browser("bob", front.ws, ODD_PAGE, user="bob").wait(synced=True)
    ada.transact(thread("ada", "a1", "x" * 9_000))
    bob.wait(has=[("comments", "a1/c1")])
    bob.disconnect()
    bob.transact(reply("bob", "a1/c2"))
    ada.wait(states=1)
    bob.connect()
    ada.wait(has=[("comments", "a1/c2")])
    assert canonical(ada.content()) == canonical(bob.content())


def test_close_codes_come_through(front: Front) -> None:
    with dial(f"wss://{HOST}:{front.port}/ws/nobody/p", front.certified.trust()) as socket:
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE_S)
        assert socket.close_code == 4404


def test_an_offline_batch_of_megabytes_comes_through(front: Front) -> None:
    with visitor(front, "batch", "user=ada") as ada:
        for number in range(300):
            for operation in thread("ada", f"a{number}", "x" * 9_900):
                ada.set_quietly(*operation[1:])
        ada.handshake()
        ada.flush()
    with visitor(front, "batch", "user=bob") as bob:
        bob.handshake()
        assert len(bob.names("comments")) == 300


def test_what_visitors_say_of_themselves_is_not_believed(front: Front) -> None:
    """Counters are for this machine only; behind a proxy nobody is this machine."""
    forged = {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "forwarded": "for=::1"}
    assert front.get("/metrics", headers=forged).status_code == 403
    assert front.get("/healthz").json() == {"status": "ok"}


def test_tokens_in_addresses_are_in_no_log(front: Front) -> None:
    with visitor(front, "p", "user=ada&token=secret-of-ada") as ada:
        ada.handshake()
    front.get("/version?token=secret-of-ada")
    for log in front.folder.glob("*.log"):
        assert "secret-of-ada" not in log.read_text("utf-8"), log
