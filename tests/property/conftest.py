"""Fixtures for property tests with real Yjs clients."""

from yjs_peer import yjs, yjs_process

__all__ = ["yjs", "yjs_process"]
