"""Who carries it: anyio and ASGI around the page, the protocol and the store.

    a connection     http handshake sockets reading intake pulse channel crdt_socket connection sending peer
                     rate awareness
    a page, live     rooms room admission turn commits batch fanout states people loading
                     recovery snapshots rest owners epochs background words
    who may come     proxies asked origins auth tenants keys tokens tickets sso revocations guard addresses
    who administers  administration requested admin_socket; api/ over HTTP
    the audit log    denials refusals rulings
    moderation       moderation moderators
    privacy          erasure erasure_log export rewriting restoring retention
    other doors      answers cors pace pages ops; legacy/ for clients of another protocol
    the process      app run stopping services clock stamps metrics tallies logs versions projection

docs/architecture.md follows one update through them.
"""
