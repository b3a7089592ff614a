"""What tests of work beside the loop leave behind is put back."""

from collections.abc import Iterator

import pytest

from crdt_chat.server.rooms.turn import thaw


@pytest.fixture
def thawed() -> Iterator[None]:
    """What jobs set aside is hidden from whoever asks the garbage collector, so put it back."""
    yield
    thaw()
