"""The people of a soak: regulars, passers-by, slow readers, a forger, and a pair that measures."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

from endurance.book import SLOTS, TENANT, Book
from pycrdt import Doc, Map
from tcp_proxy import TcpProxy
from waiting import PATIENCE_S
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

import crdt_chat
from crdt_chat.client.aio import AsyncPage
from crdt_chat.client.errors import Offline, Refused
from crdt_chat.client.lookup import NoSuchNote
from crdt_chat.client.model import Event
from crdt_chat.errors import RemoteFault
from crdt_chat.protocol import wire

TROUBLE = (OSError, WebSocketException, TimeoutError)


def number_of(body: str) -> int:
    """The number at the end of a text."""
    return int(body.rpartition(" ")[2])


class Regular:
    """Somebody who reads and writes on the page of her slot all the time, through our own client."""

    def __init__(self, book: Book, number: int, port: int) -> None:
        self.book = book
        self.slot = number % SLOTS
        self.user = f"regular-{number}"
        self.url = f"ws://127.0.0.1:{port}"
        self.said = 0
        self.waiting: dict[str, int] = {}

    async def live(self) -> None:
        """From page to page until the time is up."""
        while not self.book.over:
            name = self.book.pages[self.slot]
            self.waiting.clear()
            page = crdt_chat.aconnect(self.url, f"{TENANT}/{name}", self.user)
            with contextlib.suppress(RemoteFault, Offline, Refused):
                await page.__aenter__()
                try:
                    await self._stay(page, name)
                finally:
                    await page.leave()

    async def _stay(self, page: AsyncPage, name: str) -> None:
        rng = self.book.rng
        while not self.book.over and self.book.pages[self.slot] == name:
            await asyncio.sleep(rng.uniform(0.4, 1.2))
            if rng.random() < 0.06:
                await self._branch(page, name)
            else:
                await self._act(page, name)
            await self._save(page, name)

    async def _branch(self, page: AsyncPage, name: str) -> None:
        """Some time without a network."""
        self.book.counts["offline branches"] += 1
        with contextlib.suppress(Offline, Refused):
            async with page.offline():
                for _ in range(5):
                    await self._act(page, name)
                    await asyncio.sleep(self.book.rng.uniform(0.1, 1.0))

    async def _act(self, page: AsyncPage, name: str) -> None:
        rng, notes = self.book.rng, page.annotations
        self.said += 1
        text = f"{'words ' * rng.randrange(1, 12)}{self.said}"
        mine = [one for note in notes for one in note.comments if one.creator == self.user]
        with contextlib.suppress(Refused, NoSuchNote):
            dice = rng.random()
            if len(notes) < 12 and dice < 0.2:
                note = await page.annotate("a sentence", text)
                self.waiting[note.comments[0].name] = self.said
            elif mine and (dice < 0.6 or len(mine) > 12):
                comment = rng.choice(mine)
                if dice > 0.5:
                    self._forget(name, comment.name)
                    await page.delete(comment)
                else:
                    await page.edit(comment, text)
                    self.waiting[comment.name] = self.said
            elif notes and dice < 0.9:
                comment = await page.reply(rng.choice(notes), text)
                self.waiting[comment.name] = self.said
            elif mine:
                await page.react(rng.choice(mine), "👍", on=rng.random() < 0.6)

    def _forget(self, name: str, comment: str) -> None:
        self.waiting.pop(comment, None)
        self.book.kept(name).pop(comment, None)

    async def _save(self, page: AsyncPage, name: str) -> None:
        """What a flush has called durable must never be lost."""
        try:
            await page.flush(PATIENCE_S)
        except Offline:
            self.book.counts["flushes that found no server"] += 1
            return
        except Refused as fault:
            for refusal in fault.refusals:
                gone = "" if name in self.book.pages else " on an erased page"
                self.book.counts[f"own writes refused{gone}: {refusal.rule}"] += 1
                self._forget(name, refusal.key.partition("/")[2])
        self.book.kept(name).update(self.waiting)
        self.book.counts["writes called durable"] += len(self.waiting)
        self.waiting.clear()


class Pair:
    """One writes, one reads: how long it takes."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.sent: dict[int, float] = {}

    async def live(self) -> None:
        url = f"ws://127.0.0.1:{self.book.server.port}"
        async with (
            crdt_chat.aconnect(url, f"{TENANT}/pair", "reader") as reader,
            crdt_chat.aconnect(url, f"{TENANT}/pair", "writer") as writer,
        ):
            reader.listen(lambda event: self._see(event, reader))
            note = await writer.annotate("a sentence", "number 0")
            await writer.flush(PATIENCE_S)
            await reader.flush(PATIENCE_S)
            number = 0
            while not self.book.over:
                await asyncio.sleep(0.25)
                if writer.status != "synced" or reader.status != "synced":
                    self.sent.clear()
                    continue
                number += 1
                self.sent[number] = time.perf_counter()
                await writer.edit(note.comments[0].name, f"number {number}")
            await writer.leave()
            await reader.leave()

    def _see(self, event: Event, reader: AsyncPage) -> None:
        if event.type == "status":
            self.sent.clear()
            return
        now = time.perf_counter()
        for note in reader.annotations:
            for comment in note.comments:
                sent = self.sent.pop(number_of(comment.body), None)
                if sent is not None:
                    self.book.waits.append(now - sent)
                    self.book.counts["waits measured"] += 1


class Stranger:
    """A bare socket with a Doc, for what our own client would not do."""

    def __init__(self, book: Book, page: str, user: str) -> None:
        self.book = book
        query = urlencode({"user": user, "name": user})
        self.address = f"{book.server.ws(TENANT)}/{page}?{query}"
        self.doc: Doc[Map[object]] = Doc()

    @contextlib.asynccontextmanager
    async def here(self) -> AsyncIterator[ClientConnection]:
        """A connection that has been greeted. Raises what TROUBLE names."""
        connecting = connect(self.address, compression=None, max_size=2**26, max_queue=None)
        async with connecting as socket:
            await self.greet(socket)
            yield socket

    async def greet(self, socket: ClientConnection) -> None:
        """Step 1 and announcement, until the server's step 2 is applied."""
        await socket.send(wire.step1(self.doc.get_state()))
        entry = wire.AwarenessEntry(self.doc.client_id, 1, "{}")
        await socket.send(wire.awareness_of([wire.encode_entry(entry)]))
        while not isinstance(await self.read(socket), wire.SyncStep2):
            pass

    async def read(self, socket: ClientConnection) -> wire.Message:
        """Handle the next frame."""
        raw = await asyncio.wait_for(socket.recv(), PATIENCE_S)
        assert isinstance(raw, bytes)
        message = wire.decode(raw)
        match message:
            case wire.SyncStep1(state_vector):
                await socket.send(wire.step2(self.doc.get_update(state_vector)))
            case wire.SyncStep2(update) | wire.Update(update):
                self.doc.apply_update(update)
            case _:
                pass
        return message

    def comments(self) -> list[str]:
        """The names of all comments that it sees."""
        return sorted(self.doc.get("comments", type=Map).keys())


async def pass_by(book: Book) -> None:
    """Somebody looks in and is gone, politely or not."""
    while not book.over:
        await asyncio.sleep(book.rng.uniform(0.2, 0.8))
        stranger = Stranger(book, book.rng.choice(book.pages), f"guest-{book.rng.randrange(50)}")
        with contextlib.suppress(*TROUBLE):
            async with stranger.here() as socket:
                book.counts["joins"] += 1
                await asyncio.sleep(book.rng.uniform(0, 2))
                if book.rng.random() < 0.5:
                    book.counts["connections killed"] += 1
                    socket.transport.abort()


async def read_slowly(book: Book) -> None:
    """A reader who stops reading for a while, then catches up with everybody."""
    while not book.over:
        await asyncio.sleep(book.rng.uniform(1, 4))
        page = book.rng.choice(book.pages)
        stranger = Stranger(book, page, "slow")
        with contextlib.suppress(*TROUBLE):
            async with stranger.here() as socket:
                socket.transport.pause_reading()
                book.counts["readers paused"] += 1
                await asyncio.sleep(book.rng.uniform(5, 20))
                socket.transport.resume_reading()
                await _caught_up(book, stranger, socket, page)


async def _caught_up(book: Book, slow: Stranger, socket: ClientConnection, page: str) -> None:
    """It must come to see all that is durable by now, unless its page or its server goes meanwhile."""
    wanted = set(book.kept(page))
    while page in book.pages and not wanted <= set(slow.comments()):
        await slow.read(socket)
        wanted &= set(book.kept(page))  # what was deleted since
    book.counts["readers caught up"] += page in book.pages


async def forge(book: Book) -> None:
    """Somebody writes over another's comment, again and again."""
    while not book.over:
        await asyncio.sleep(book.rng.uniform(1.5, 3))
        page = book.rng.choice(book.pages)
        stranger = Stranger(book, page, "forger")
        with contextlib.suppress(*TROUBLE):
            async with stranger.here() as socket:
                names = [name for name in stranger.comments() if name in book.kept(page)]
                if names:
                    await _write_over(book, stranger, socket, book.rng.choice(names))


async def _write_over(book: Book, stranger: Stranger, socket: ClientConnection, name: str) -> None:
    before = stranger.doc.get_state()
    value = {"creator": "forger", "created": 1, "body": f"forged {secrets.token_hex(8)} -1"}
    stranger.doc.get("comments", type=Map)[name] = value
    await socket.send(wire.update(stranger.doc.get_update(before)))
    book.counts["forgeries"] += 1
    try:
        while True:
            await stranger.read(socket)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else "no code"
        book.counts[f"forgeries answered with {code}"] += 1


async def disturb(book: Book, proxy: TcpProxy) -> None:
    """The network of those who come by the proxy goes silent, breaks and is reset."""
    while not book.over:
        await asyncio.sleep(book.rng.uniform(5, 15))
        what = book.rng.choice(["silence", "cut", "reset"])
        book.counts[f"network: {what}"] += 1
        if what == "silence":
            proxy.pause()
            await asyncio.sleep(book.rng.uniform(2, 15))
            proxy.resume()
        else:
            await asyncio.to_thread(proxy.cut if what == "cut" else proxy.reset)
