"""What readers flag and moderators do.

moderation     by request: flags, hide, restore, close, each with its reason
moderators     what they are told on their sockets

What is noted with it, and of what CRDT clients do, is made in rooms/rulings.py: it is part of the commit.
"""
