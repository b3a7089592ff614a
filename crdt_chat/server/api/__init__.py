"""The JSON API under /api/v1: who may come, and who may change that.

routes is its table, answers its JSON, callers who asks; what is done lies in administration.py.
"""

from crdt_chat.server.api import erasure, moderation
from crdt_chat.server.api.callers import is_operator
from crdt_chat.server.api.routes import local_routes, routes

__all__ = ["erasure", "is_operator", "local_routes", "moderation", "routes"]
