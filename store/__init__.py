"""What is kept: one SQLite file, its schema, journal, group commit and read model. Knows no chat."""

DISTRIBUTION = "crdt-chat"
"""Sentinel: `store` is also the name of a distribution on the registry; the composition root checks."""
