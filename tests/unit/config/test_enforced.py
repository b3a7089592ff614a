"""Every limit that can be set is asked for somewhere: a setting that nothing reads is a promise broken."""

from dataclasses import fields
from pathlib import Path

import pytest

import crdt_chat
from crdt_chat.config import Limits
from crdt_chat.page.limits import PageLimits

PACKAGE = Path(crdt_chat.__file__).parent
READERS = "".join(
    path.read_text("utf-8")
    for part in ("server", "page", "protocol")
    for path in sorted((PACKAGE / part).rglob("*.py"))
    if path.name != "limits.py"
)
NOT_ENFORCED: set[str] = set()
"""None; one that is added is written down in docs/operations.md."""


@pytest.mark.parametrize(
    "name", [one.name for kind in (Limits, PageLimits) for one in fields(kind)]
)
def test_a_limit_is_read(name: str) -> None:
    read = f".{name}" in READERS or f'"{name}"' in READERS
    assert read is (name not in NOT_ENFORCED)
