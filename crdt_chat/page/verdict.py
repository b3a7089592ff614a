"""What the gate says of one update: the types that travel from the page to the room and the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from crdt_chat.page.outgoing import Outgoing

Sync = Literal["update", "step2", "last"]
"""How it came: an increment, a step 2, or a step 2 after the patience with gaps has run out."""

Kind = Literal["accepted", "refused", "trimmed", "gap"]
"""Malformed updates have no verdict: they raise errors.Malformed and close their sender."""

Repair = Literal["none", "rollback", "reset"]

Json = Any
"""A JSON value as Python has it: None, bool, int, float, str, list, dict."""


class Refusal(NamedTuple):
    """One refused key: `rule` is a rule name of design 4, `reason` a sentence for people."""

    key: str
    rule: str
    reason: str


class Change(NamedTuple):
    """The net effect of one update on one key: `before` and `after` are values, None for absent."""

    root: str
    name: str
    before: Json
    after: Json


class Counts(NamedTuple):
    """How many annotations and comments of a page are live."""

    annotations: int
    comments: int


@dataclass(slots=True)
class GateRows:
    """Rows of the gate's own state that a verdict adds; they are kept beside the document.

    owners: (Yjs client id, user id) · entities: (name, creator, created ms), name = annotation id or
    `<annotation id>/<comment id>` · refused: (client, clock, length, repair) · held: hidden names ·
    released: names no longer hidden · erased: digests of names that nobody may write again.
    """

    owners: list[tuple[int, str]] = field(default_factory=list)
    entities: list[tuple[str, str, int]] = field(default_factory=list)
    refused: list[tuple[int, int, int, Repair]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Verdict:
    """The gate's answer to one update that was decodable.

    keys maps `root/name` (or `?/client:clock`) to `accepted` or `refused:<rule>`. update is the
    canonical encoding of what was applied, b"" where nothing was: exactly this is journaled and fanned
    out. echo tells whether the sender must receive it too (something was refused, dropped, cut or
    added), False when her own bytes said the same. changes are what the tree says of it (index.py), in
    the order in which the update names them. applied is what `update` says, not to be changed, where that
    is short: who merges it with others need not decode it.
    """

    kind: Kind
    keys: Mapping[str, str] = field(default_factory=dict)
    repair: Repair = "none"
    refusals: tuple[Refusal, ...] = ()
    update: bytes = b""
    echo: bool = False
    changes: tuple[Change, ...] = ()
    rows: GateRows = field(default_factory=GateRows)
    operations: int = 0
    applied: "Outgoing | None" = None
