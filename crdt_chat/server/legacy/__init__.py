"""The legacy bridge: FastComments Collab Chat clients on the same pages, in their own JSON.

conversations (GET, POST, DELETE) make ordinary admitted operations; subscriptions (`/sub`) and the
event log tell what commits meant. JSON shapes live in protocol/text_chat.py, nothing is kept here.
"""

from crdt_chat.server.legacy.routes import routes

__all__ = ["routes"]
