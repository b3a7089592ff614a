"""`crdt-chat serve` and `crdt-chat demo`: from flags to a Config to a running server."""

import argparse
import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_chat.cli.parser import CommandLine, Mistake, Verbs, add_verb

if TYPE_CHECKING:
    from crdt_chat.config import Config

SERVE_EXAMPLES = """\
  crdt-chat serve --open-tenant lab
  crdt-chat serve --config chat.toml --port 80
  crdt-chat serve --open-tenant lab --set limits.page_idle_s=300 --set page.body=20000
  CRDT_CHAT_PORT=9000 crdt-chat serve --open-tenant lab

A flag beats CRDT_CHAT_* in the environment, which beats the file. `crdt-chat settings` lists every
setting. SIGTERM or Ctrl-C stops the server once all that was shown is stored."""

DEMO_EXAMPLES = """\
  crdt-chat demo
  crdt-chat demo --port 9000

Open the printed address in two windows, select some text and write; the second link is a moderator's.
The notes are kept in
crdt-chat-demo.db: stop the demo, write on, start it again, and all of it is merged."""

MODERATOR_KEY, MODERATOR_S = "demo", 12 * 3600
"""The key that signs the moderator's link of a demo, made anew at each start, and its seconds."""

DEMO_PAGE = "demo-article"

DEMO_DB = Path("crdt-chat-demo.db")
"""Not the default file: trying the demo must not put a sample page among somebody's own."""


def add_verbs(verbs: Verbs) -> None:
    """Add `serve` and `demo`."""
    serve = add_verb(verbs, "serve", run_serve, "Serve the pages of one database.", SERVE_EXAMPLES)
    _add_settings(serve)
    serve.add_argument(
        "--open-tenant",
        action="append",
        metavar="NAME",
        dest="open_tenants",
        help="a tenant where anybody may read and write; may be given again",
    )
    demo = add_verb(verbs, "demo", run_demo, "Serve a sample page to try it on.", DEMO_EXAMPLES)
    _add_settings(demo)


def _add_settings(line: CommandLine) -> None:
    line.add_argument("--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    line.add_argument(
        "--port", metavar="PORT", help="where to listen; 0 takes a free one (default: 8700)"
    )
    line.add_argument("--db", metavar="FILE", help="the SQLite file (default: crdt-chat.db)")
    line.add_argument("--config", metavar="FILE", type=Path, help="a TOML file with settings")
    line.add_argument(
        "--limits", choices=("on", "off"), help="off lifts rates, never sizes; for benchmarks"
    )
    line.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    line.add_argument(
        "--log-json", action="store_true", default=None, help="log JSON lines instead of text"
    )
    line.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM): https and wss")
    line.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    line.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting"
    )


def run_serve(chosen: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    config = config_of(chosen)
    if not config.tenant_names() and not _stored_tenants(config.db):
        raise Mistake(
            "there is no tenant to serve: name one with `crdt-chat serve --open-tenant NAME` "
            "(anybody may then read and write there), add a closed one with `crdt-chat tenant add "
            "NAME`, or name it as `[tenants.NAME]` in a --config file"
        )
    return _serve(config, lambda url: print(f"Serving on {url} (Ctrl-C stops)", flush=True))


def _stored_tenants(db: Path) -> list[str]:
    import sqlite3

    from store.errors import StoreError
    from store.trust import names_in

    try:
        return names_in(db)
    except (sqlite3.Error, StoreError):
        # What is wrong with the file is told by the one who opens it to serve it.
        return ["unreadable"]


def run_demo(chosen: argparse.Namespace) -> int:
    """Serve the sample page, from a file of its own unless one is named."""
    from crdt_chat.config import Config

    config = config_of(chosen, demo=True)
    if config.db == Config().db:
        config = replace(config, db=DEMO_DB)
    if chosen.host is not None:
        # Told to show it elsewhere; else only this machine sees the demo.
        config = replace(config, open_tenants=(*config.open_tenants, "demo"))
    config, token = _moderated(config)

    def invite(url: str) -> None:
        print(f"Open this in two windows, select some text and write:\n\n    {url}/demo\n")
        print(
            f"As a moderator, for {MODERATOR_S // 3600} hours:\n\n    {url}/demo#moderator={token}\n"
        )
        print("Ctrl-C ends the demo.", flush=True)

    return _serve(config, invite)


def _moderated(config: "Config") -> tuple["Config", str]:
    """The demo with one more key, which nobody has but this process, and a moderator's token of it."""
    import secrets

    from crdt_chat.config import KeySettings
    from crdt_chat.identity import Grant, Role
    from crdt_chat.server.access.keys import checked
    from crdt_chat.server.access.tokens import claims_of, sign
    from crdt_chat.server.clock import system_clock

    demo = config.tenant("demo")
    if demo is None:
        raise Mistake("there is no tenant demo to moderate")
    key = KeySettings(MODERATOR_KEY, "HS256", secrets.token_urlsafe(32))
    others = tuple(tenant for tenant in config.tenants if tenant.name != demo.name)
    config = replace(config, tenants=(*others, replace(demo, keys=(*demo.keys, key))))
    until = system_clock().now() // 1000 + MODERATOR_S
    grant = Grant(
        demo.name, "moderator", "Moderator", Role.MODERATOR, pages=(DEMO_PAGE,), expires=until
    )
    token = sign(claims_of(grant, config.audience), checked(key.kid, key.algorithm, key.material))
    return config, token


def config_of(chosen: argparse.Namespace, *, demo: bool | None = None) -> "Config":
    """The configuration that the flags, the environment and the file make. Raises Mistake."""
    from crdt_chat.config import BadSetting, load

    flags: dict[str, object] = {
        name: getattr(chosen, name, None)
        for name in (
            "host",
            "port",
            "db",
            "open_tenants",
            "log_level",
            "log_json",
            "tls_cert",
            "tls_key",
        )
    }
    flags["demo"] = demo
    flags["limits_off"] = None if chosen.limits is None else chosen.limits == "off"
    for pair in chosen.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Mistake(f"--set takes NAME=VALUE, not {pair!r} (see `crdt-chat settings`)")
        flags[name] = value
    try:
        return load(flags, file=chosen.config)
    except BadSetting as error:
        raise Mistake(str(error)) from None


def _serve(config: "Config", announce: Callable[[str], None]) -> int:
    from crdt_chat.config import BadSetting
    from crdt_chat.server.process.logs import configure
    from crdt_chat.server.run import serve
    from store.errors import StoreError

    _require_place(config.db)
    _require_certificate(config)
    configure(config.log_level, as_json=config.log_json)
    try:
        serve(config, announce)
    except (StoreError, BadSetting) as error:
        raise Mistake(f"{error}") from None
    except OSError as error:
        raise Mistake(_cannot(error, config)) from error
    return 0


def _require_place(db: Path) -> None:
    if not db.absolute().parent.is_dir():
        raise Mistake(f"there is no folder {db.absolute().parent} to keep {db.name} in")
    if db.is_dir():
        raise Mistake(f"{db} is a folder: name a file with --db")


def _require_certificate(config: "Config") -> None:
    if bool(config.tls_cert) is not bool(config.tls_key):
        raise Mistake("TLS needs both --tls-cert and --tls-key")
    if not config.tls_cert:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key)
    except ssl.SSLError:
        raise Mistake(
            f"{config.tls_cert} and {config.tls_key} are no certificate and its key"
        ) from None
    except OSError as error:
        raise Mistake(
            f"cannot read {config.tls_cert} or {config.tls_key}: {error.strerror}"
        ) from None


def _cannot(error: OSError, config: "Config") -> str:
    at = f"{config.host}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{at} is in use by another program: stop it, or choose another with --port"
    if error.errno == errno.EADDRNOTAVAIL or type(error).__name__ == "gaierror":
        return f"{config.host} is no address of this machine: choose another with --host"
    if error.errno == errno.EACCES and error.filename is None:
        return f"listening on {at} is not allowed: ports below 1024 need a privilege"
    if error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}"
    return f"cannot serve: {error}"
