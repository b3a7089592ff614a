"""A minimal y-websocket server for each test that names it."""

from collections.abc import Iterator

import pytest
from plain_yjs_server import PlainServer, plain_server

from crdt_chat.client import link


@pytest.fixture
def server() -> Iterator[PlainServer]:
    with plain_server() as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that try again soon."""
    monkeypatch.setattr(link, "LONGEST_PAUSE_S", 0.2)
