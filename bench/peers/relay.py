"""The floor of this Python stack: uvicorn and uvloop, every update written to all others on its path.

No document, no store, no checks; one frame is encoded once and written to the transports.
"""

import sys
from collections import defaultdict

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HOST, PORT = sys.argv[1], int(sys.argv[2])
PAGES = defaultdict(set)

UPDATE = b"\x00\x02"
"""Copying handshakes would make every client answer every other."""


class Socket(WebSocketsSansIOProtocol):
    """Offers the transport's write to the app."""

    def handle_connect(self, event) -> None:
        super().handle_connect(event)
        self.scope["extensions"]["transport"] = self.transport


def encoded(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


async def app(scope, receive, send) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    page, mine = PAGES[scope["path"]], scope["extensions"]["transport"]
    page.add(mine)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            break
        if not message["bytes"].startswith(UPDATE):
            continue
        frame = encoded(message["bytes"])
        for transport in page:
            if transport is not mine:
                transport.write(frame)
    page.discard(mine)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host=HOST,
        port=PORT,
        ws=Socket,
        loop="uvloop",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
        access_log=False,
        ws_max_size=2**26,
    )
