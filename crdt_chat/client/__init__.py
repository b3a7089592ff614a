"""The Python peer: a page that a program or a notebook edits, offline too (design 13).

Reading order: page.py (what a script sees) -> aio.py -> author.py -> gestures.py (what is written)
-> peer.py -> session.py (what is said on the wire) -> link.py (the socket). model.py is what comes
back; replica.py and mirror.py hold the document.
"""
