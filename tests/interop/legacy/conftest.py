"""Ada and Bob on a page of their own, on one server for each module of tests that do not harm it."""

from collections.abc import Iterator

import pytest
from legacy_client import PAGES, Legacy
from server import RealServer, running_server
from yjs_peer import YjsBrowser, YjsPeers


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """For the tests that do no harm to their server."""
    with running_server(tmp_path_factory.mktemp("shared"), tenants=("demo", "other")) as running:
        yield running


@pytest.fixture
def ada(shared: RealServer) -> Iterator[Legacy]:
    """The legacy client of ada, on a page of its own."""
    legacy = Legacy(shared, next(PAGES), "ada")
    with legacy.http:
        yield legacy


@pytest.fixture
def bob(yjs: YjsPeers, shared: RealServer, ada: Legacy) -> YjsBrowser:
    """Bob's browser on ada's page, a stock Yjs client."""
    return yjs.browser("bob", shared.ws(), ada.page, user="bob").wait(synced=True)
