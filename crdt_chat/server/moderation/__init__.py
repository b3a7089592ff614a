"""What readers flag and moderators do.

moderation     by request: flags, hide, restore, close, each with its reason
by_document    by a CRDT client, in the document: for the audit log
moderators     what they are told on their sockets
"""
