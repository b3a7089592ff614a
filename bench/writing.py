"""Scenarios of people who write: each plays one crowd on one server; content is compared at the end."""

import asyncio
import random
import time

from figures import SETTLE_S, Figures, Meter, compare, gather, paced
from operations import Writer, writers
from servers import Running
from sockets import MARK, Crowd, Socket


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
