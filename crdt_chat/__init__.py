"""crdt-chat: discussions in the margins of web pages, as one Yjs document per page.

The house, each room using only those below it (import-linter holds it):

    cli          arguments -> Config -> server; one file per group of verbs
    server       WHO CARRIES IT     sockets, tasks, clocks, ids: anyio and ASGI around the rest
    client       the other end      a Python program or a notebook as a peer of a page
    config       every setting and limit, from flag, environment and file
    protocol     HOW IT IS SAID     sans-IO: wire codec, presence, outbox, text-chat events
    formats      HOW ELSE IT IS WRITTEN   other encodings of a page
    page         WHAT IS SAID       the document of a page and the gate that judges every update
    identity     who asks, and for which page         errors   whose fault it is
    store        WHAT IS KEPT       a package of its own, beside this one: SQLite, knows no chat

The commit path, the only way anything changes a page:

    bytes -> protocol.wire      a message                                   (server.connections)
          -> page.update        items, decoded strictly
          -> page.rules         one verdict per key; repairs for what is refused
          -> page.page          applied to the document                     (server.rooms.room receives)
          -> store.writer       durable: one transaction for all pages      (server.rooms.commits)
          -> server.rooms       fan-out, "saved", text-chat events          (and only now)

Nothing leaves the server before the commit that contains it. To read it in one sitting:
server/connections/connection.py, page/page.py, page/rules.py, server/rooms/room.py, store/writer.py.
docs/page.md explains items and delete sets to somebody who has never seen the inside of Yjs. Each room has a
map of its own in its `__init__.py`.
"""

from importlib import import_module

__version__ = "0.1.0"

# Their types are in __init__.pyi: naming them here would let every room see the client.
_NAMES = {
    "connect": "crdt_chat.client.page",
    "aconnect": "crdt_chat.client.aio",
    "demo": "crdt_chat.client.demo",
    "Refused": "crdt_chat.client.errors",
    "Offline": "crdt_chat.client.errors",
}
__all__ = ["Offline", "Refused", "__version__", "aconnect", "connect", "demo"]


def __getattr__(name: str) -> object:
    # Imported when asked for (PEP 562): the command line must not wait for the client.
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
