"""What the tests of the file share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store import open_store
from store.sqlite_store import SqliteStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


@pytest.fixture
async def kept(path: Path, anyio_backend: str) -> AsyncIterator[SqliteStore]:
    opened = open_store(path)
    yield opened
    await opened.close()
