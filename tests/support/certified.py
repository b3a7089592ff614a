"""A certificate for 127.0.0.1 that nobody has signed but itself, and clients that trust it."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import InvalidMessage
from websockets.sync.client import ClientConnection, connect

TRIES = 3


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate and its key."""

    chain: Path
    key: Path

    def trust(self) -> ssl.SSLContext:
        """What a Python client takes to trust it, and only it."""
        return ssl.create_default_context(cafile=str(self.chain))


def certificate(folder: Path) -> Certificate:
    """Make one with openssl, good for a day."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(made.key), "-out", str(made.chain)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return made


def dial(address: str, trust: ssl.SSLContext, **options: Any) -> ClientConnection:
    """A socket over TLS. The handshake of this client is tried again where it comes to nothing.

    Its two threads read and write one SSL object, which Python's ssl does not protect: of 1,000
    handshakes one or two are lost on the way, whatever the server does.
    """
    for _ in range(TRIES - 1):
        try:
            return connect(address, ssl=trust, compression=None, open_timeout=10, **options)
        except (TimeoutError, InvalidMessage):
            continue
    return connect(address, ssl=trust, compression=None, **options)
