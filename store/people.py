"""Where a person appears: for erasure and for the export of everything about her."""

import sqlite3
from collections.abc import Sequence

_NAMES = """
SELECT name FROM page WHERE tenant = :tenant AND (
    EXISTS (SELECT 1 FROM client_owner WHERE page = page.id AND user = :user)
    OR EXISTS (SELECT 1 FROM entity WHERE page = page.id AND creator = :user)
    OR EXISTS (SELECT 1 FROM log WHERE page = page.id AND (actor = :user OR {data}))
    OR EXISTS (SELECT 1 FROM snapshot WHERE page = page.id AND {data})
    OR EXISTS (SELECT 1 FROM event WHERE page = page.id AND (user = :user OR {body}))
    OR EXISTS (SELECT 1 FROM held WHERE page = page.id AND {content})
    OR EXISTS (SELECT 1 FROM archived WHERE page = page.id AND ({content} OR {name}))
    OR EXISTS (SELECT 1 FROM annotation WHERE page = page.id AND {value})
    OR EXISTS (SELECT 1 FROM comment WHERE page = page.id AND {value})
    OR EXISTS (SELECT 1 FROM resolved WHERE page = page.id AND {value})
    OR EXISTS (SELECT 1 FROM reaction WHERE page = page.id AND {name})
    OR EXISTS (SELECT 1 FROM deleted WHERE page = page.id AND ({name} OR {value}))
    OR EXISTS (SELECT 1 FROM fact WHERE page = page.id AND {value})
) ORDER BY name
"""
_USERS = """
SELECT user FROM client_owner JOIN page ON page.id = page WHERE tenant = :tenant
UNION SELECT creator FROM entity JOIN page ON page.id = page WHERE tenant = :tenant
UNION SELECT creator FROM annotation JOIN page ON page.id = page WHERE tenant = :tenant
UNION SELECT creator FROM comment JOIN page ON page.id = page WHERE tenant = :tenant
UNION SELECT actor FROM log JOIN page ON page.id = page WHERE tenant = :tenant
UNION SELECT user FROM event JOIN page ON page.id = page WHERE tenant = :tenant
UNION SELECT user FROM moderation WHERE tenant = :tenant
"""


def pages_naming(
    db: sqlite3.Connection, tenant: str, user: str, texts: Sequence[str], ending: str
) -> list[str]:
    """The tenant's pages on which `user` appears, as herself or by one of `texts`, or a name's `ending`.

    Looks through everything that is kept of every page: for the rare erasure.
    """
    values = {"tenant": tenant, "user": user, "ending": ending, "length": -len(ending)}
    values |= {f"t{number}": text for number, text in enumerate(texts)}

    def holds(column: str) -> str:
        return "(" + " OR ".join(f"instr({column}, :t{n})" for n in range(len(texts))) + ")"

    def blob(column: str) -> str:
        there = [f"instr({column}, CAST(:t{n} AS BLOB))" for n in range(len(texts))]
        return "(" + " OR ".join([*there, f"instr({column}, CAST(:ending AS BLOB))"]) + ")"

    query = _NAMES.format(
        data=blob("data"),
        body=holds("body"),
        content=holds("content"),
        value=holds("value"),
        name="substr(name, :length) = :ending",
    )
    return [name for (name,) in db.execute(query, values)]


def users(db: sqlite3.Connection, tenant: str) -> list[str]:
    """Everybody who appears in the columns that hold user ids."""
    return [user for (user,) in db.execute(_USERS, {"tenant": tenant}) if user]
