"""A server with closed tenants in a settings file, tokens for them, and the command line beside it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from raw_client import RawClient
from server import RealServer, running_server
from waiting import PATIENCE_S
from websockets.sync.client import connect

SECRETS = {"acme": "acme-secret-" + "a" * 30, "other": "other-secret-" + "o" * 30}
SSO_SECRET = "test-api-secret"
SITE = "https://site.example"

SETTINGS = f"""
proxies = ["127.0.0.1"]

[tenants.acme]
domains = ["site.example"]
sso_secret = "{SSO_SECRET}"
keys.k1.secret = "{SECRETS["acme"]}"

[tenants.other]
keys.k1.secret = "{SECRETS["other"]}"

[tenants.club]
domains = ["site.example"]
anonymous = "commenter"

[tenants.lab]
open = true
keys.k1.secret = "{SECRETS["acme"]}"
"""


def token(tenant: str = "acme", user: str = "ada", seconds: float = 600, **claims: Any) -> str:
    """A token of one of the tenants with a key; a claim that is None is left out."""
    now = time.time()
    said = {
        "aud": "crdt-chat",
        "tenant": tenant,
        "sub": user,
        "role": "editor",
        "pages": ["*"],
        "iat": now,
        "exp": now + seconds,
        **claims,
    }
    kept = {name: value for name, value in said.items() if value is not None}
    secret = SECRETS.get(tenant, SECRETS["acme"])
    return jwt.encode(kept, secret, "HS256", {"kid": "k1"})


class TrustedServer:
    """The running server, and the command line on its database."""

    def __init__(self, running: RealServer, settings: Path) -> None:
        self.running = running
        self.http = running.http
        self._settings = settings

    def command(self, *words: str) -> str:
        """What `crdt-chat WORDS` prints; it must succeed."""
        place = ["--db", str(self.running.db), "--config", str(self._settings)]
        done = subprocess.run(
            [sys.executable, "-m", "crdt_chat", *words, *place],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def asked(self, *words: str) -> Any:
        """The same as JSON."""
        return json.loads(self.command(*words, "--json"))

    @contextmanager
    def client(self, page: str, tenant: str = "acme", **options: Any) -> Iterator[RawClient]:
        """A raw client of a page; `query` and what `websockets` takes (headers, origin, ...)."""
        query = {"caps": "crdt-chat.1", **options.pop("query", {})}
        address = f"{self.running.ws(tenant)}/{page}?{urlencode(query)}"
        with connect(address, compression=None, **options) as socket:
            yield RawClient(socket)

    def bearing(self, page: str, bearer: str, tenant: str = "acme"):
        """A raw client with this token in its Authorization header."""
        headers = {"authorization": f"Bearer {bearer}"}
        return self.client(page, tenant, additional_headers=headers)

    def refused(self, page: str, tenant: str = "acme", **options: Any) -> int:
        """The code that such a client is closed with."""
        with self.client(page, tenant, **options) as client:
            return client.closed()


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrustedServer]:
    """One server for the tests of a module: they use pages and users of their own."""
    folder = tmp_path_factory.mktemp("trusted")
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS, "utf-8")
    with running_server(folder, tenants=(), arguments=["--config", str(settings)]) as running:
        yield TrustedServer(running, settings)
