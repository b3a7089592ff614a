"""The process itself; nothing here knows a page or a person.

what it tells    metrics tallies logs versions
what it runs     background scopes stopping
"""
