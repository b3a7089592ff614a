"""What is said: the page document, its gate and what its changes mean. Pure: no I/O, clock or ids.

    bytes            lib0 update cell skipping order merge vector
    who wins         index column document content resting
    one update       page ownership arrival draft hearing judging rules values powers limits repair
                     outgoing verdict
    beside it        ledger archive erasure rulings yjs dropping
    names and ids    layout ids json_text

docs/page.md explains them to somebody who has never seen the inside of Yjs.
"""
