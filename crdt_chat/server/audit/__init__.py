"""For the audit log: who was refused, from where and how often; never what they wrote or showed.

    denials     logins (401, 403)
    refusals    operations, by rule

What administrators and moderators did is noted where it is done.
"""
