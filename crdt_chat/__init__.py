"""crdt-chat: collaborative discussions in the margins of web pages, as one Yjs document per page."""

__version__ = "0.1.0"
