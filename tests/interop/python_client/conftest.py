"""Ada and Bob, Python programs on a page of their own of the real server."""

from collections.abc import Iterator

import pytest
from python_pages import Place
from server import RealServer, running_server

from crdt_chat.client import link
from crdt_chat.client.page import Page


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """For the tests that do no harm to their server."""
    with running_server(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """On the test's own server if it names one, else on the shared one. Clients there are impatient."""
    monkeypatch.setattr(link, "LONGEST_PAUSE_S", 0.3)
    own = "server" in request.fixturenames
    server = request.getfixturevalue("server" if own else "shared_server")
    return Place(server, f"demo/{request.node.name}")


@pytest.fixture
def ada(place: Place) -> Iterator[Page]:
    with place.open("ada", "Ada") as page:
        yield page


@pytest.fixture
def bob(place: Place) -> Iterator[Page]:
    with place.open("bob", "Bob") as page:
        yield page
