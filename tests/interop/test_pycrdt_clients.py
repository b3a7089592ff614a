"""Stock pycrdt Providers, over HttpxWebsocket and over `websockets`, beside a browser on one page."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from entries import annotation, comment, fresh
from httpx_ws import AsyncWebSocketSession, HTTPXWSException, aconnect_ws
from pycrdt import Channel, Doc, Map, Provider
from pycrdt.websocket.websocket import HttpxWebsocket
from server import RealServer
from waiting import PATIENCE_S
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from yjs_peer import YjsPeers

pytestmark = [pytest.mark.node, pytest.mark.anyio]

GONE = (httpx.HTTPError, HTTPXWSException, ConnectionClosed, OSError, anyio.BrokenResourceError)

Open = Callable[[str], AbstractAsyncContextManager[Channel]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class WebsocketsChannel(Channel):
    """A connection of the `websockets` library as pycrdt wants it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @property
    def path(self) -> str:
        return "websockets"

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        await self._socket.send(message)

    async def recv(self) -> bytes:
        message = await self._socket.recv()
        assert isinstance(message, bytes)
        return message


@asynccontextmanager
async def open_websockets(url: str) -> AsyncIterator[Channel]:
    async with connect(url, max_size=None) as socket:
        yield WebsocketsChannel(socket)


@asynccontextmanager
async def open_httpx(url: str) -> AsyncIterator[Channel]:
    socket: AsyncWebSocketSession
    async with httpx.AsyncClient() as client, aconnect_ws(url, client) as socket:
        yield HttpxWebsocket(socket, url)


@pytest.fixture(params=[open_websockets, open_httpx], ids=["websockets", "httpx"])
def channel(request: pytest.FixtureRequest) -> Open:
    chosen: Open = request.param
    return chosen


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a state of a Doc."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a pycrdt Doc has no event to await here
            await anyio.sleep(0.01)


def has(doc: Doc[Map[Any]], root: str, name: str) -> bool:
    return name in doc.get(root, type=Map)


def write(doc: Doc[Map[Any]], user: str, name: str) -> None:
    with doc.transaction():
        doc.get("annotations", type=Map)[name] = annotation(user)
        doc.get("comments", type=Map)[f"{name}/c1"] = comment(user)


async def test_a_provider_and_a_browser_share_a_page(
    yjs: YjsPeers, server: RealServer, channel: Open
) -> None:
    browser = yjs.browser("ada", server.ws(), "p", user="ada")
    await anyio.to_thread.run_sync(lambda: browser.wait(synced=True))
    doc: Doc[Map[Any]] = Doc()
    async with (
        channel(f"{server.ws()}/p?user=bob&name=Bob") as socket,
        Provider(doc, socket) as provider,
    ):
        with anyio.fail_after(PATIENCE_S):
            await provider.synced.wait()
        write(doc, "bob", "b1")
        await anyio.to_thread.run_sync(lambda: browser.wait(has=[("comments", "b1/c1")]))
        browser.transact([("set", "comments", "b1/c2", comment("ada"))])
        await until(lambda: has(doc, "comments", "b1/c2"))
    assert browser.status().dials == 1


async def test_a_providers_offline_work_arrives_after_the_server_was_killed(
    yjs: YjsPeers, server: RealServer, channel: Open
) -> None:
    doc: Doc[Map[Any]] = Doc()
    url = f"{server.ws()}/p?user=bob&name=Bob"
    try:
        async with channel(url) as socket, Provider(doc, socket) as provider:
            with anyio.fail_after(PATIENCE_S):
                await provider.synced.wait()
            write(doc, "bob", "b1")
            await anyio.to_thread.run_sync(server.kill)
    except* GONE:
        if not server.gone:  # what a provider makes of a dead server is its own matter
            raise
    write(doc, "bob", "b2")
    write(doc, "bob", "b3")
    await anyio.to_thread.run_sync(server.start)
    browser = yjs.browser("ada", server.ws(), "p", user="ada")
    async with channel(url) as socket, Provider(doc, socket):
        wanted = [("comments", f"b{turn}/c1") for turn in (1, 2, 3)]
        await anyio.to_thread.run_sync(lambda: browser.wait(has=wanted))


async def test_many_providers_start_at_once_on_one_fresh_page(
    server: RealServer, channel: Open
) -> None:
    """On pycrdt-websocket's own server nine of ten hang here."""
    docs: list[Doc[Map[Any]]] = [Doc() for _ in range(10)]
    names = [fresh("a") for _ in docs]

    async def take_part(number: int) -> None:
        url = f"{server.ws()}/fresh?user=u{number}&name=U"
        async with channel(url) as socket, Provider(docs[number], socket) as provider:
            await provider.synced.wait()
            write(docs[number], f"u{number}", names[number])
            await until(lambda: all(has(docs[number], "annotations", name) for name in names))
            arrived[number].set()
            for event in arrived:
                await event.wait()

    arrived = [anyio.Event() for _ in docs]
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            for number in range(len(docs)):
                group.start_soon(take_part, number)
