"""The legacy bridge: FastComments Collab Chat clients on the same pages, in their own JSON.

    the table           routes
    asked and done      conversations repeats content visitors
    told                subscriptions feeds event_log
    JSON in, out        answers

conversations (GET, POST, DELETE) make ordinary admitted operations; subscriptions (`/sub`) and the
event log tell what commits meant. JSON shapes live in protocol/text_chat.py, nothing is kept here.
"""

from crdt_chat.server.legacy.routes import routes

__all__ = ["routes"]
