"""A certificate for 127.0.0.1 that nobody has signed but itself, and clients that trust it."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


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
