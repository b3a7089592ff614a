"""What administrators change: stored and audited first, then in force at once.

requested          what they asked for, parsed
administration     what is done
admin_socket       FILE.sock, for who may open the file; api/ is the other door to the same
"""
