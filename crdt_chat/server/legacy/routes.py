"""The legacy endpoints as a table, each with and without a trailing slash: SDKs send both."""

from starlette.routing import BaseRoute, WebSocketRoute

from crdt_chat.server.access.auth import Authority
from crdt_chat.server.access.guard import Guard
from crdt_chat.server.legacy.answers import Handler, guarded
from crdt_chat.server.legacy.conversations import Conversations
from crdt_chat.server.legacy.event_log import EventLog
from crdt_chat.server.legacy.repeats import Repeats
from crdt_chat.server.legacy.subscriptions import Subscriptions
from crdt_chat.server.moderation.moderation import Moderation
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.web.answers import route
from crdt_chat.server.web.pace import Pace
from store.protocol import Store


def routes(
    rooms: Rooms, store: Store, authority: Authority, guard: Guard, moderation: Moderation
) -> list[BaseRoute]:
    """The REST endpoints and the socket of legacy clients (legacy-protocol 3 and 4)."""
    pace = Pace(rooms.services)
    conversations = Conversations(rooms, store, authority, moderation, pace, Repeats())
    event_log = EventLog(rooms, store, authority)
    subscriptions = Subscriptions(rooms, authority, guard)
    table: list[tuple[str, Handler, list[str]]] = [
        ("/comment-collab-chats/{tenant}", conversations.handle, ["GET", "POST"]),
        ("/comment-collab-chats/{tenant}/{chat}", conversations.delete, ["DELETE"]),
        ("/event-log/{tenant}", event_log.handle, ["GET"]),
    ]
    found: list[BaseRoute] = [
        WebSocketRoute("/sub", subscriptions.handle),
        WebSocketRoute("/sub/", subscriptions.handle),
    ]
    for path, handler, methods in table:
        endpoint = guarded(handler, authority)
        found += [route(path, methods, endpoint), route(f"{path}/", methods, endpoint)]
    return found
