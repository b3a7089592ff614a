"""Bytes in and out: one TCP connection, its requests and WebSockets; nothing here knows pages or people.

    a new connection     http handshake
    one WebSocket        websocket reading channel
    of all together      pulse intake addresses rate

http looks at the head of a connection, websocket serves it; channel is what the rest sees of it.
"""
