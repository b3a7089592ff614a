"""Which versions decide how this server behaves: for /version, `crdt-chat version`, bug reports."""

import platform
import sqlite3
from importlib.metadata import version

import crdt_chat


def versions() -> dict[str, str]:
    """Name to version of crdt-chat, Python, pycrdt and SQLite."""
    return {
        "crdt-chat": crdt_chat.__version__,
        "python": platform.python_version(),
        "pycrdt": version("pycrdt"),
        "sqlite": sqlite3.sqlite_version,
    }
