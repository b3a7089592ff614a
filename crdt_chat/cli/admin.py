"""Asks the admin API: through the local socket of a running server, else on the opened file itself."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crdt_chat.cli.parser import CommandLine, Mistake

if TYPE_CHECKING:
    from crdt_chat.config import Config
    from crdt_chat.server.sockets.channel import Event
    from store.protocol import Store

TIMEOUT_S = 30.0
ROOT = "/api/v1"


def add_place(line: CommandLine) -> None:
    """The options that say which database is meant."""
    line.add_argument("--db", metavar="FILE", help="the SQLite file (default: crdt-chat.db)")
    line.add_argument("--config", metavar="FILE", type=Path, help="a TOML file with settings")
    line.add_argument("--json", action="store_true", help="JSON instead of text")


def ask(
    chosen: argparse.Namespace,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    seconds: float = TIMEOUT_S,
) -> Any:
    """The JSON that the admin API answers, None for nothing. Raises Mistake with its sentence.

    path begins after /api/v1 and is percent-encoded; seconds is how long a server may take.
    """
    if path.startswith("/tenants/") and "%2F" in path.split("/")[2]:
        # The router sees it decoded: `acme/keys/k1` would be a key, not a tenant.
        raise Mistake("no tenant that can be administered has a slash in its name")
    config = settings(chosen)
    text = b"" if body is None else json.dumps(body).encode()
    status, answer = _ask(config, method, ROOT + path, text, seconds)
    try:
        said = json.loads(answer) if answer else None
    except ValueError:
        raise Mistake(f"the server said {status}, and nothing that can be read") from None
    if status >= 400:
        raise Mistake(said["message"] if isinstance(said, dict) else f"the server said {status}")
    return said


def settings(chosen: argparse.Namespace) -> "Config":
    """The settings in force for this command. Raises Mistake."""
    from crdt_chat.config import BadSetting, load

    try:
        return load({"db": chosen.db}, file=chosen.config)
    except BadSetting as error:
        raise Mistake(str(error)) from None


def _ask(
    config: "Config", method: str, path: str, body: bytes, seconds: float
) -> tuple[int, bytes]:
    # Imported here: it brings ssl and email, half of what `--help` would cost.
    import http.client

    from crdt_chat.server.admin import admin_socket

    try:
        connection = admin_socket.connected(config.db, seconds)
    except OSError as error:
        place = admin_socket.path_of(config.db)
        raise Mistake(f"cannot use {place}: {error.strerror or error}") from None
    if connection is None:
        return _in_this_process(config, method, path, body)
    asked = http.client.HTTPConnection("localhost", timeout=seconds)
    asked.sock = connection
    try:
        asked.request(method, path, body)
        answer = asked.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Mistake(f"the server of {config.db} did not answer: {error}") from None
    finally:
        asked.close()


def _in_this_process(config: "Config", method: str, path: str, body: bytes) -> tuple[int, bytes]:
    import anyio

    from crdt_chat.config import BadSetting
    from store import open_store
    from store.errors import StoreError

    if not config.db.absolute().parent.is_dir():
        raise Mistake(f"there is no folder {config.db.absolute().parent}")
    if method == "GET" and not config.db.exists():
        raise Mistake(f"there is no database {config.db}: name one with --db")
    try:
        store = open_store(config.db)
        return anyio.run(_call, config, store, method, path, body)
    except (StoreError, BadSetting) as error:
        raise Mistake(str(error)) from None
    except OSError as error:
        raise Mistake(f"cannot use {config.db}: {error.strerror or error}") from None


async def _call(
    config: "Config", store: "Store", method: str, path: str, body: bytes
) -> tuple[int, bytes]:
    from crdt_chat.server.app import build

    try:
        async with build(config, store) as app:
            return await _request(app.local, method, path, body)
    finally:
        await store.close()


async def _request(app: Any, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """One request to an ASGI application, without a network."""
    from urllib.parse import unquote

    target, _, query = path.partition("?")
    scope: Event = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "headers": [],
        "client": None,
        "server": None,
    }
    sent: list[Event] = []

    async def receive() -> "Event":
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: "Event") -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
