"""Fixtures for tests with real Yjs clients and real servers."""

from server import server, start_server
from small_server import small
from trusted import trusted
from yjs_peer import yjs, yjs_process

__all__ = ["server", "small", "start_server", "trusted", "yjs", "yjs_process"]
