"""`serve(channel)` takes any pycrdt Channel: pycrdt's Provider and pycrdt-websocket's ASGI channel."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pycrdt import Channel, Doc, Map, Provider
from pycrdt.websocket.asgi_server import ASGIWebsocket

from crdt_chat.config import Config
from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.protocol import wire
from crdt_chat.server.app import App, build
from crdt_chat.server.connections.connection import Visit, serve
from store.memory import MemoryStore

pytestmark = pytest.mark.anyio
KEY = PageKey("open", "p")


class MemoryChannel(Channel):
    """One end of a pair of channels in memory."""

    def __init__(
        self,
        inward: MemoryObjectReceiveStream[bytes],
        outward: MemoryObjectSendStream[bytes],
    ) -> None:
        self._inward, self._outward = inward, outward

    @property
    def path(self) -> str:
        return "memory"

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        await self._outward.send(message)

    async def recv(self) -> bytes:
        return await self._inward.receive()


@asynccontextmanager
async def connected(app: App, user: str) -> AsyncIterator[MemoryChannel]:
    """The client's end of a channel that the server serves for `user`."""
    up, from_client = anyio.create_memory_object_stream[bytes](100)
    down, from_server = anyio.create_memory_object_stream[bytes](100)
    visit = Visit(KEY, Grant("open", user, user, Role.EDITOR))
    with up, from_client, down, from_server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, MemoryChannel(from_client, down), visit, app.rooms)
            yield MemoryChannel(from_server, up)
            up.close()
            tasks.cancel_scope.cancel()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with build(Config(open_tenants=("open",)), MemoryStore()) as built:
        yield built


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a pycrdt Doc has no event to await
            await anyio.sleep(0.001)


async def test_providers_meet_over_channels_in_memory(app: App) -> None:
    ada: Doc[Map[Any]] = Doc()
    bob: Doc[Map[Any]] = Doc()
    async with (
        connected(app, "ada") as left,
        connected(app, "bob") as right,
        Provider(ada, left) as one,
        Provider(bob, right) as two,
    ):
        await one.synced.wait()
        await two.synced.wait()
        note = {"creator": "ada", "created": 1, "target": {"selector": []}}
        note["target"] = {"selector": [{"type": "TextQuoteSelector", "exact": "here"}]}
        ada.get("annotations", type=Map)["a1"] = note
        await until(lambda: "a1" in bob.get("annotations", type=Map))


async def test_the_asgi_channel_of_pycrdt_websocket_is_served(app: App) -> None:
    to_server, received = anyio.create_memory_object_stream[dict[str, Any]](10)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    channel = ASGIWebsocket(received.receive, send, "/p")
    visit = Visit(KEY, Grant("open", "ada", "Ada", Role.EDITOR))
    with to_server, received:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, channel, visit, app.rooms)
            await to_server.send({"type": "websocket.receive", "bytes": wire.step1(b"\x00")})
            await until(lambda: len(sent) >= 2)
            await to_server.send({"type": "websocket.disconnect", "code": 1000})
    assert [wire.decode(message["bytes"]) for message in sent] == [
        wire.SyncStep1(b"\x00"),
        wire.SyncStep2(b"\x00\x00"),
    ]


async def test_a_fault_is_raised_where_a_channel_has_no_close_codes(app: App) -> None:
    up, from_client = anyio.create_memory_object_stream[bytes](10)
    down, from_server = anyio.create_memory_object_stream[bytes](10)
    visit = Visit(KEY, Grant("open", "eve", "Eve", Role.EDITOR))
    with up, from_client, down, from_server:
        await up.send(b"\x07")
        with pytest.raises(Malformed):
            await serve(MemoryChannel(from_client, down), visit, app.rooms)
