"""A server on a simulated disk, and callers who say what a test tells them to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

import anyio
from pycrdt import Doc, Map
from simnet.disk import Disk
from simnet.link import Link, Quality
from simnet.loop import run
from simnet.process import Process, config_of, running

from crdt_chat.config import Limits
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.protocol import wire
from crdt_chat.server.connections.connection import Visit
from crdt_chat.server.rooms.services import Clock

KEY = PageKey("t", "p")
ADA = Grant("t", "ada", "Ada", Role.EDITOR)
PERFECT = Quality(0.001, 0.001)
T0 = 1_750_000_000_000
EMPTY = b"\x00"


class Site:
    """A disk, a server on it, and whoever dials in."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.disk = Disk(Random(1), slowest=0.002)
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: T0 + int(loop.time() * 1000), loop.time)
        self.process = Process(self.disk, config_of("t", limits or Limits()), clock, Random(2))

    @property
    def room(self):
        room = self.process.rooms.find(KEY)
        assert room is not None
        return room

    def dial(
        self,
        grant: Grant = ADA,
        *,
        caps: bool = True,
        quality: Quality = PERFECT,
        page: str = "p",
        watches: bool = False,
    ) -> "Caller":
        caller = Caller()
        caller.link = Link(caller, Random(3), replace(quality), lambda _link, _frame: None)
        visit = Visit(PageKey("t", page), grant, speaks_control=caps, watches=watches)
        self.process.accept(caller.link, visit)
        return caller

    async def joined(self, *who: Any, **how: Any) -> "Caller":
        """Somebody who has dialled (the arguments are those of `dial`) and was asked what she has."""
        caller = self.dial(*who, **how)
        await caller.until(lambda: caller.count(wire.SyncStep1) == 1)
        return caller

    async def synced(self, *who: Any, **how: Any) -> "Caller":
        """Somebody who has dialled and got the page."""
        caller = self.dial(*who, **how)
        caller.say(wire.step1(EMPTY))
        await caller.until(lambda: caller.count(wire.SyncStep2) == 1)
        return caller

    async def write(self, name: str = "a1", title: str = "x") -> None:
        """A durable annotation, made by the server."""
        selector = [{"type": "TextQuoteSelector", "exact": "words"}]
        value = {"creator": "ada", "created": T0, "target": {"selector": selector}, "title": title}
        async with self.process.rooms.open(KEY) as room:
            verdict = await room.write([("annotations", name, value)], ADA)
        assert verdict.kind == "accepted", verdict


class Caller:
    """A client that says what it is told to say and remembers what it hears."""

    link: Link

    def __init__(self) -> None:
        self.heard: list[wire.Message] = []
        self.code: int | None = None

    def took(self, link: Link, frame: bytes) -> None:
        self.heard.append(wire.decode(frame))

    def ended(self, link: Link, code: int) -> None:
        self.code = code

    def say(self, frame: bytes) -> None:
        self.link.send(frame)

    def controls(self, kind: str) -> list[dict[str, object]]:
        """The control frames of this type."""
        found = [message.body for message in self.heard if isinstance(message, wire.Control)]
        return [dict(body) for body in found if body["type"] == kind]

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.heard)

    @property
    def saved(self) -> int:
        return max((int(str(body["frames"])) for body in self.controls("saved")), default=0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it in virtual time, a minute at most."""
        for _ in range(60_000):
            if condition():
                return
            await anyio.sleep(0.001)
        raise AssertionError(f"it never came: {self.heard[-5:]}")


def at_a_site(story: Callable[[Site], Awaitable[None]], limits: Limits | None = None) -> None:
    """Tell a story at a running server; the server must survive it."""

    async def main() -> None:
        site = Site(limits)
        async with running(site.process):
            await story(site)

    run(main())


def annotation(doc: Doc, name: str, *, user: str = "ada", title: str = "t") -> bytes:
    """Make an annotation in a client's document. Returns the update."""
    before = doc.get_state()
    selector = [{"type": "TextQuoteSelector", "exact": "words"}]
    value = {"creator": user, "created": 1, "target": {"selector": selector}, "title": title}
    doc.get("annotations", type=Map)[name] = value
    return doc.get_update(before)
