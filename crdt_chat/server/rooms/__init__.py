"""A page, live: judged, committed, and only then shown.

    a page in memory       rooms room loading rest owners turn
    one update             admission batch rulings commits fanout
    those who are there    peer people states watching words
    when it goes wrong     recovery epochs
    beside it              snapshots projection
    what all are given     services

Read room, then commits: nothing leaves a room before the commit that contains it.
"""
