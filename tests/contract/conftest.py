"""The kinds of store that the contract is run on, under both event loops."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from store import open_store
from store.memory import MemoryStore
from store.protocol import Store


@dataclass
class Kind:
    """Opens stores of one kind; all of them are on the same file."""

    path: Path | None

    def open(self) -> Store:
        return MemoryStore() if self.path is None else open_store(self.path)

    async def again(self, opened: Store) -> Store:
        """Close and reopen; memory has nothing to reopen from."""
        if self.path is None:
            return opened
        await opened.close()
        return self.open()


@pytest.fixture(params=["memory", "sqlite"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return Kind(None if request.param == "memory" else tmp_path / "kept.db")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def kept(kind: Kind, anyio_backend: str) -> AsyncIterator[Store]:
    opened = kind.open()
    yield opened
    await opened.close()
