"""Yjs clients: from an accepted WebSocket to a peer of its room, until either side ends it.

crdt_socket    lets it in: /ws/{tenant}/{page}
connection     reads its frames; sending writes; awareness keeps what it says of itself to a pace
"""
