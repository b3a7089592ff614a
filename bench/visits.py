"""Scenarios of people who come, go and stay: what joins, presence, connections and open pages cost."""

import asyncio
import time

from figures import SETTLE_S, Figures, Meter, compare, gather
from operations import page
from servers import Running
from sockets import Crowd

EDITS = 8
"""Seconds for which an open page is written to before it is weighed."""

TRIMMED_S = 20.0
"""Seconds after which what our server has freed has been given back to the system, as far as it can be."""


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


async def open_pages(
    server: Running, seed: int, *, count: int, annotations: int, quiet_s: float
) -> Figures:
    """KiB that an open page costs, one reader on each: while written to, and (ours) once it is quiet.

    While written to means once a second; after a minute without a write ours keeps a page packed.
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
    # What writing them took for a moment is given back by then.
    await asyncio.sleep(TRIMMED_S if quiet_s else 2.0)
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
        await asyncio.sleep(TRIMMED_S)
        more["KiB after 20 s"] = (server.memory() - before) / 1024 / count
        await asyncio.sleep(quiet_s)
        more["quiet KiB"] = (server.memory() - before) / 1024 / count
    crowd.close()
    warm.close()
    return Figures(cost, more)


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
