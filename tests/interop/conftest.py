"""Fixtures for tests with real Yjs clients and real servers."""

from server import server, start_server
from yjs_peer import yjs, yjs_process

__all__ = ["server", "start_server", "yjs", "yjs_process"]
