"""The JSON API under /api/v1: who may come, and who may change that.

    the table       routes visits moderation erasure
    JSON in, out    answers
    who asks        callers

What is done lies in admin/administration.py, moderation/ and privacy/.
"""

from crdt_chat.server.api import erasure, moderation
from crdt_chat.server.api.callers import is_operator
from crdt_chat.server.api.routes import local_routes, routes

__all__ = ["erasure", "is_operator", "local_routes", "moderation", "routes"]
