"""Who carries it: anyio and ASGI around the page, the protocol and the store.

Each folder uses only those below it (import-linter holds it), and has a map of its own:

    the process        run restoring            serve until a signal; a backup in place of the database
                       app                      the composition root: puts everything together
    doors              api legacy               JSON for administrators, moderators and older clients
    a CRDT client      connections              from a socket to a peer of a room
    what must go       privacy                  erasure, export, retention
    who decides        admin moderation         tenants and revocations; flags and hiding
    HTTP               web                      what the JSON doors share; /demo, /healthz, /metrics
    time and chance    clock stamps             the time of day and ids, read and drawn here alone
    a page, live       rooms                    judged, committed, and only then shown
    who may come       access                   from a request to a Grant
    bytes              sockets                  one TCP connection, its requests and WebSockets
    the audit log      audit                    who was refused
    underneath         process                  metrics, logs, tasks

docs/architecture.md follows one update through them.
"""
