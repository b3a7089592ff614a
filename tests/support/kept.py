"""Rows for the tests of what is kept: entries, commits and the read model's JSON."""

import itertools
import json
from typing import Any

from store.records import Appended, CommitResult, EventEntry, LogEntry, PageCommit, Projected

T0 = 1_700_000_000_000
_numbers = itertools.count(1)


def entry(text: str = "", *, at: int = T0, actor: str = "ada", origin: bytes = b"") -> LogEntry:
    """An entry with an origin of its own, unless one is given."""
    number = next(_numbers)
    update = (text or f"update {number}").encode()
    return LogEntry(origin or number.to_bytes(16, "big"), actor, "connection-1", at, update)


def event(kind: str = "new-text-chat", user: str = "ada") -> EventEntry:
    """An event about annotation `a`."""
    return EventEntry(kind, f"b{next(_numbers)}", user, "a", json.dumps({"type": kind}))


def commit(seq: int, *texts: str, page: str = "p", tenant: str = "t", **parts: Any) -> PageCommit:
    """A commit of these updates on head `seq`."""
    return PageCommit(tenant, page, seq, [entry(text) for text in texts], **parts)


def annotation(name: str, quote: str = "a quote", **more: Any) -> Projected:
    """An annotation of the read model."""
    selector = [
        {"type": "TextPositionSelector", "start": 1, "end": 2},
        {"type": "TextQuoteSelector", "exact": quote, "prefix": "", "suffix": ""},
    ]
    value = {"creator": "ada", "created": T0, "target": {"selector": selector}, **more}
    return Projected("annotations", name, json.dumps(value))


def comment(name: str, body: str, **more: Any) -> Projected:
    """A comment of the read model; name is `<annotation id>/<comment id>`."""
    value = {"creator": "ada", "created": T0, "body": body, **more}
    return Projected("comments", name, json.dumps(value))


def head(result: CommitResult) -> int:
    """The head after a commit that must have succeeded."""
    assert isinstance(result, Appended), result
    return result.seq
