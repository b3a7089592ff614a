"""Who carries it: anyio and ASGI around the page, the protocol and the store."""
