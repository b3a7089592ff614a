"""The scenarios: each plays one crowd on one server and returns figures; content is compared at the end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from operations import Writer, content, page, writers
from servers import Running
from sockets import MARK, Crowd, Socket

SETTLE_S = 0.3


@dataclass
class Figures:
    """What one server needed. `cost` is the figure that is compared, in `unit`."""

    cost: float
    more: dict[str, float] = field(default_factory=dict)
    wrong: str = ""


class Meter:
    """The server's CPU from here on."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.cpu = server.cpu()
        self.began = time.perf_counter()

    def us(self) -> float:
        """Microseconds of CPU."""
        return (self.server.cpu() - self.cpu) * 1e6


def compare(crowd: Crowd, wanted: Sequence[bytes]) -> str:
    """ "" if every socket that kept what it was told holds this content, else what is wrong."""
    if crowd.lost:
        return f"{crowd.lost} connections lost"
    expected = content(list(wanted))
    seen: dict[tuple[bytes, ...], str] = {}
    wrong = 0
    for socket in crowd.sockets:
        if socket.keep:
            known = socket.knows()
            key = tuple(known)
            if key not in seen:
                seen[key] = content(list(known))
            wrong += seen[key] != expected
    return f"{wrong} of {len(crowd.sockets)} clients hold other content" if wrong else ""


async def gather(joins: Sequence[Awaitable[Socket]], at_once: int = 50) -> list[Socket]:
    """Join in groups, so that no server's backlog overflows."""
    found: list[Socket] = []
    for first in range(0, len(joins), at_once):
        found += await asyncio.gather(*joins[first : first + at_once])
    return found


def paced(rate: float) -> Callable[[], Awaitable[None]]:
    """Sleep so that calls come `rate` times a second."""
    began, calls = time.perf_counter(), 0

    async def wait() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(max(0.0, began + calls / rate - time.perf_counter()))

    return wait


async def fan_out(
    server: Running, seed: int, *, readers: int, rate: float, operations: int
) -> Figures:
    """One writer, so many readers: CPU us per delivery."""
    writer = writers(seed, 1, operations + 5)[0]
    crowd = Crowd(server.kind, server.port)
    mine = await crowd.join("p", writer.user, writer.client)
    await gather([crowd.join("p", f"r{n}") for n in range(readers)])
    await crowd.synced()
    for update in writer.updates[:5]:
        mine.write(update)
    await crowd.quiet(0.5)
    meter, wait = Meter(server), paced(rate)
    heard = sum(socket.frames for socket in crowd.sockets)
    for update in writer.updates[5:]:
        mine.write(update)
        await wait()
    await crowd.quiet(SETTLE_S)
    cost = meter.us() / (operations * readers)
    frames = (sum(socket.frames for socket in crowd.sockets) - heard) / readers / operations
    wrong = compare(crowd, writer.updates)
    crowd.close()
    return Figures(cost, {"frames per op": frames}, wrong)


async def saturation(server: Running, seed: int, *, readers: int, operations: int) -> Figures:
    """One writer keeps 100 operations in flight until all are seen: CPU us per operation and reader."""
    writer = writers(seed, 1, operations)[0]
    crowd = Crowd(server.kind, server.port)
    done = asyncio.get_running_loop().create_future()
    sent = seen = 0

    def observed(_socket: Socket, message: bytes) -> None:
        nonlocal seen
        seen = max(seen, *(int(number) + 1 for _, number in MARK.findall(message)), 0)
        push()

    def push() -> None:
        nonlocal sent
        while sent < operations and sent < seen + 100:
            mine.write(writer.updates[sent])
            sent += 1
        if seen >= operations and not done.done():
            done.set_result(None)

    mine = await crowd.join("p", writer.user, writer.client)
    await gather([crowd.join("p", f"r{n}") for n in range(readers)])
    await crowd.synced()
    crowd.sockets[1].on_update = observed
    meter = Meter(server)
    push()
    await asyncio.wait_for(done, 120)
    last = await crowd.quiet(SETTLE_S)
    cost = meter.us() / (operations * readers)
    rate = operations * readers / (last - meter.began)
    frames = sum(socket.updates for socket in crowd.sockets[1:]) / readers / operations * 1000
    wrong = compare(crowd, writer.updates)
    crowd.close()
    return Figures(cost, {"deliveries/s": rate, "frames per 1,000 ops": frames}, wrong)


async def pages(server: Running, seed: int, *, count: int, rate: float, seconds: float) -> Figures:
    """Many pages of five users who each do a little: CPU us per delivery."""
    each = round(rate * seconds)
    authors = writers(seed, count * 5, each)
    crowd = Crowd(server.kind, server.port)
    sockets = await gather(
        [crowd.join(f"p{n // 5}", w.user, w.client) for n, w in enumerate(authors)]
    )
    await crowd.synced()
    await crowd.quiet(0.5)
    meter, wait = Meter(server), paced(count * 5 * rate)
    for turn in range(each):
        for socket, author in zip(sockets, authors, strict=True):
            socket.write(author.updates[turn])
            await wait()
    await crowd.quiet(SETTLE_S)
    cost = meter.us() / (each * count * 5 * 4)
    wrong = ""
    for n in range(0, count * 5, 5 * max(1, count // 10)):
        some = Crowd(server.kind, server.port)
        some.sockets, some.lost = sockets[n : n + 5], crowd.lost
        wanted = [update for author in authors[n : n + 5] for update in author.updates]
        wrong = wrong or compare(some, wanted)
    crowd.close()
    return Figures(cost, {}, wrong)


async def burst(
    server: Running, seed: int, *, users: int, each: int, spread_s: float = 0.0
) -> Figures:
    """Everybody writes at once: CPU us per operation and receiver, frames that a client receives."""
    authors = writers(seed, users, each)
    crowd = Crowd(server.kind, server.port)
    sockets = await gather([crowd.join("p", author.user, author.client) for author in authors])
    await crowd.synced()
    await crowd.quiet(0.5)
    heard: set[bytes] = set()
    crowd.sockets[0].on_update = crowd.sockets[1].on_update = lambda _socket, message: heard.update(
        last for last in lasts if last in message
    )
    lasts = [b"b%03d-%06d;" % (author.number, each - 1) for author in authors]
    meter, wait = Meter(server), paced(users * each / spread_s if spread_s else 1e9)
    for turn in range(each):
        for socket, author in zip(sockets, authors, strict=True):
            socket.write(author.updates[turn])
            if spread_s:
                await wait()
    while len(heard) < users and time.perf_counter() - meter.began < 60:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    last = await crowd.quiet(SETTLE_S)
    cost = meter.us() / (users * each * (users - 1))
    frames = sum(socket.updates for socket in sockets) / users * 1000 / (users * each)
    wrong = compare(crowd, [update for author in authors for update in author.updates])
    crowd.close()
    return Figures(
        cost, {"frames per 1,000 ops": frames, "ms to the last": (last - meter.began) * 1e3}, wrong
    )


async def filled(
    server: Running, seed: int, annotations: int, name: str = "p"
) -> tuple[list[bytes], Crowd]:
    """A page of so many annotations on this server; its updates, and the crowd with one who stays on it."""
    _, updates = page(seed, annotations)
    crowd = Crowd(server.kind, server.port)
    author = await crowd.join(name, "author", 77, keep=False)
    observer = await crowd.join(name, "observer", keep=False)
    await crowd.synced()
    for first in range(0, len(updates), 100):
        before = observer.updates
        for update in updates[first : first + 100]:
            author.write(update)
        while observer.updates == before:  # noqa: ASYNC110 - the protocol object has no event
            await asyncio.sleep(0.005)
    await crowd.quiet(1.0)
    author.leave()
    return updates, crowd


async def at_rest(server: Running, at_most: float = 30.0) -> None:
    """Wait until the server has stored what it wants to store: it uses no CPU to speak of for 2 s."""
    end = time.perf_counter() + at_most
    while time.perf_counter() < end:
        before = server.cpu()
        await asyncio.sleep(2.0)
        if server.cpu() - before < 0.02:
            return


async def joins(
    server: Running, seed: int, *, annotations: int, count: int, at_once: int
) -> Figures:
    """Cold joins of a page: CPU ms each, and the memory that they add at their peak (MiB)."""
    updates, stays = await filled(server, seed, annotations)
    await at_rest(server)
    crowd = Crowd(server.kind, server.port)
    before = server.memory()
    server.forget_peak()
    meter = Meter(server)
    for first in range(0, count, at_once):
        together = range(first, min(first + at_once, count))
        await asyncio.gather(*(crowd.join("p", f"j{n}") for n in together))
        await crowd.synced()
    cost = meter.us() / 1e3 / count
    added = (server.peak() - before) / 2**20
    wrong = compare(crowd, updates)
    crowd.close()
    stays.close()
    return Figures(cost, {"MiB added": added}, wrong)


async def idle(server: Running, _seed: int, *, connections: int) -> Figures:
    """KiB that an idle connection costs."""
    crowd = Crowd(server.kind, server.port)
    await gather([crowd.join("p", f"u{n}") for n in range(50)])
    await asyncio.sleep(0.5)
    before = server.memory()
    await gather([crowd.join("p", f"v{n}") for n in range(connections)])
    await crowd.synced()
    await asyncio.sleep(1.0)
    cost = (server.memory() - before) / 1024 / connections
    crowd.close()
    return Figures(cost)


EDITS = 8
"""Seconds for which an open page is written to before it is weighed."""

FOLDED_S = 20.0
"""Seconds after which what our server gives up first has been given back to the system."""


async def open_pages(
    server: Running, seed: int, *, count: int, annotations: int, quiet_s: float
) -> Figures:
    """KiB that an open page costs, one reader on each: while written to, and (ours) once it is quiet.

    While written to means once a second: what ours has not seen written for 3 s it keeps encoded.
    """
    author, updates = page(seed, annotations)
    for _ in range(EDITS):
        author.edit()
    edits = author.updates[-EDITS:]
    # What caches of the process take (SQLite's are 16 MiB) is no page's: fill them first.
    warm = Crowd(server.kind, server.port)
    for number in range(count):
        socket = await warm.join(f"warm{number}", "author", 98, keep=False)
        await asyncio.wait_for(socket.synced, 10)
        for update in updates:
            socket.write(update)
        await asyncio.sleep(0.01)
    # Until these pages are at rest: else what they give up would be taken from the others' cost.
    await asyncio.sleep(FOLDED_S if quiet_s else 2.0)
    crowd = Crowd(server.kind, server.port)
    readers = await gather([crowd.join(f"p{n}", "author", 99, keep=False) for n in range(count)])
    await crowd.synced()
    await asyncio.sleep(0.5)
    before = server.memory()
    for socket in readers:
        for update in updates:
            socket.write(update)
        await asyncio.sleep(0.01)
    for edit in edits:
        for socket in readers:
            socket.write(edit)
        await asyncio.sleep(1.0)
    cost = (server.memory() - before) / 1024 / count
    more = {}
    if quiet_s and server.kind.name in ("ours", "before"):
        await asyncio.sleep(FOLDED_S)
        more["KiB after 20 s"] = (server.memory() - before) / 1024 / count
        await asyncio.sleep(quiet_s)
        more["quiet KiB"] = (server.memory() - before) / 1024 / count
    crowd.close()
    warm.close()
    return Figures(cost, more)


async def offline(server: Running, seed: int, *, devices: int, edits: int) -> Figures:
    """One person's devices return with edits of the same comments: CPU ms per device."""
    first = Writer(random.Random(seed), 0, "writer000")
    for _ in range(edits):
        first.annotate()
    crowd = Crowd(server.kind, server.port)
    mine = await crowd.join("p", first.user, first.client)
    await crowd.synced()
    base = list(first.updates)
    for update in base:
        mine.write(update)
    await crowd.quiet(0.5)
    batches = []
    for number in range(1, devices + 1):
        device = Writer(random.Random(seed + number), number, first.user)
        for update in base:
            device.doc.apply_update(update)
        device.updates.clear()
        vector = device.doc.get_state()
        for comment in first.comments:
            device.edit(comment)
        batches.append((device.client, device.doc.get_update(vector), list(device.updates)))
    meter = Meter(server)
    for client, batch, _ in batches:
        await crowd.join("p", first.user, client, offline=batch)
    await crowd.synced()
    await crowd.quiet(SETTLE_S)
    cost = meter.us() / 1e3 / devices
    everything = base + [update for _, _, updates in batches for update in updates]
    wrong = compare(crowd, everything)
    crowd.close()
    return Figures(cost, {}, wrong)


async def churn(server: Running, _seed: int, *, stay: int, events: int) -> Figures:
    """People come and go before others who stay: CPU us per event (come or go) and client."""
    crowd = Crowd(server.kind, server.port)
    staying = await gather([crowd.join("p", f"u{n}", 1000 + n, keep=False) for n in range(stay)])
    await crowd.synced()
    await asyncio.sleep(1.0)
    before = sum(socket.presence for socket in staying)
    meter = Meter(server)
    for number in range(events // 2):
        guest = await crowd.join("p", f"g{number}", 100_000 + number, keep=False)
        await asyncio.wait_for(guest.synced, 10)
        await asyncio.sleep(0.01)
        guest.leave()
        await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_S)
    cost = meter.us() / (events * stay)
    frames = (sum(socket.presence for socket in staying) - before) / stay / events
    crowd.close()
    return Figures(cost, {"frames per event": frames}, f"{crowd.lost} lost" if crowd.lost else "")


async def durable(server: Running, seed: int, *, each: int) -> Figures:
    """40 writers (20 pages of one, one page of 20), 5 operations in flight each; an observer per page."""
    authors = writers(seed, 40, each)
    crowd = Crowd(server.kind, server.port)
    place = [f"p{n}" if n < 20 else "all" for n in range(40)]
    sockets = await gather(
        [
            crowd.join(name, author.user, author.client)
            for name, author in zip(place, authors, strict=True)
        ]
    )
    sent, seen, left = [0] * 40, [0] * 40, 40
    done = asyncio.get_running_loop().create_future()

    def observed(_socket: Socket, message: bytes) -> None:
        reached: dict[int, int] = {}
        for writer, number in MARK.findall(message):
            index = int(writer)
            reached[index] = max(reached.get(index, 0), int(number) + 1)
        for index, number in reached.items():
            push(index, number)

    def push(index: int, number: int) -> None:
        nonlocal left
        if number <= seen[index] and number:
            return
        seen[index] = number
        while sent[index] < each and sent[index] < number + 5:
            sockets[index].write(authors[index].updates[sent[index]])
            sent[index] += 1
        if number >= each:
            left -= 1
            if not left:
                done.set_result(None)

    for name in dict.fromkeys(place):
        await crowd.join(name, "observer", on_update=observed)
    await crowd.synced()
    meter = Meter(server)
    for index in range(40):
        push(index, 0)
    await asyncio.wait_for(done, 120)
    seconds = time.perf_counter() - meter.began
    operations = 40 * each
    cost = meter.us() / operations
    await crowd.quiet(SETTLE_S)
    wrong = ""
    for name in dict.fromkeys(place):
        some = Crowd(server.kind, server.port)
        some.lost = crowd.lost
        some.sockets = [socket for socket in crowd.sockets if socket.page == name]
        wanted = [
            update
            for where, author in zip(place, authors, strict=True)
            if where == name
            for update in author.updates
        ]
        wrong = wrong or compare(some, wanted)
    crowd.close()
    return Figures(cost, {"operations/s": operations / seconds}, wrong)
