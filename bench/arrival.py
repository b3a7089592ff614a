"""What a frame costs in the loop before the gate sees it, and a visit from its first byte to its last.

    python bench/arrival.py [--frames 2000] [--visits 200] [--repeat 7]

The whole server is in this process, its store, too; sockets write to nothing. Prints microseconds of CPU of
the loop's thread, the best of the repeats, for: a frame that says nothing (auth: read, unmasked, decoded,
charged) in a read of its own, the same in reads of twenty, and a visit (head, handshake, step 1 and 2,
awareness, close frame). Nothing is random. PYTHONPATH says which checkout is measured.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from sockets import EMPTY_STEP2, frame, sized, varuint

from crdt_chat.config import Config
from crdt_chat.server.app import App, build
from store import open_store

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from served import Served, turn

HEAD = (
    b"GET /ws/bench/p?user=ada&name=Ada HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
AUTH = frame(b"\x02" + b"x" * 300)
ANSWERS = (
    frame(b"\x00\x00\x01\x00"),
    frame(EMPTY_STEP2),
    frame(b"\x01" + sized(b"\x01" + varuint(70_000) + b"\x01" + sized(b"{}"))),
)
GOODBYE = b"\x88\x82\0\0\0\0\x03\xe8"


async def come(app: App) -> Served:
    """A socket that has had its step 2."""
    served = Served(app)
    served.wire.write = lambda _data: None
    served.socket.data_received(HEAD)
    await turn()
    for answer in ANSWERS:
        served.socket.data_received(answer)
        await turn()
    return served


async def go(served: Served) -> None:
    """It says goodbye."""
    served.socket.data_received(GOODBYE)
    served.socket.connection_lost(None)
    await served.done()


async def say(app: App, served: Served, reads: int, frames: int) -> None:
    """So many reads of so many frames each, the next when the last one has been taken."""
    traffic = app.services.metrics.traffic
    for _ in range(reads):
        wanted = traffic.frames_in + frames
        served.socket.data_received(AUTH * frames)
        while traffic.frames_in < wanted or served.socket.held_back:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)


async def visit(app: App, count: int) -> None:
    """So many who come and go."""
    for _ in range(count):
        await go(await come(app))


async def best(repeat: int, count: int, work: Callable[[], Awaitable[None]]) -> float:
    """Microseconds of this thread for one of `count`."""
    found = []
    for _ in range(repeat):
        began = time.thread_time()
        await work()
        found.append((time.thread_time() - began) / count * 1e6)
    return min(found)


async def play(folder: Path, frames: int, visits: int, repeat: int) -> None:
    """Measure and print."""
    config = Config(db=folder / "arrival.db", open_tenants=("bench",), limits_off=True)
    store = open_store(config.db)
    try:
        async with build(config, store) as app:
            stays = await come(app)
            alone = await best(repeat, frames, lambda: say(app, stays, frames, 1))
            twenty = await best(repeat, frames, lambda: say(app, stays, frames // 20, 20))
            visited = await best(repeat, visits, lambda: visit(app, visits))
            await go(stays)
        print(f"a frame {alone:.1f} us, in reads of twenty {twenty:.1f}, a visit {visited:.0f}")
    finally:
        await store.close()


def main() -> None:
    """Say how often, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2_000)
    parser.add_argument("--visits", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=7)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(
            play, Path(folder), chosen.frames, chosen.visits, chosen.repeat,
            backend_options={"use_uvloop": True},
        )  # fmt: skip


if __name__ == "__main__":
    main()
