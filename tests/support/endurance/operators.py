"""Those who restart, erase, check and measure during a soak."""

import asyncio
import sys

from endurance.book import SLOTS, TENANT, Book
from endurance.people import number_of
from waiting import PATIENCE_S

import crdt_chat
from crdt_chat.client.errors import Offline
from crdt_chat.errors import RemoteFault

CALM = (0.25, 0.85)
"""The part of the time without restarts: there memory must not grow."""

SAMPLE_S = 2.0


async def restart(book: Book, pause: float) -> None:
    """kill -9 and SIGTERM in turn, before and after the calm."""
    turn = 0
    while not book.over:
        await asyncio.sleep(book.rng.uniform(0.6, 1.2) * pause)
        share = book.now / book.seconds
        if (turn > 1 and CALM[0] < share < CALM[1]) or (turn > 1 and share > 0.97):
            continue
        async with book.restarting:
            book.serving.clear()
            what = "SIGTERM" if turn % 2 else "kill -9"
            await asyncio.to_thread(book.server.stop if turn % 2 else book.server.kill)
            book.events.append((book.now, what))
            book.counts[what] += 1
            await asyncio.sleep(book.rng.uniform(0, 2))
            await asyncio.to_thread(book.server.start)
            book.serving.set()
        turn += 1
        await check(book)


async def erase(book: Book, pause: float) -> None:
    """A page after the other is left for a new one and erased."""
    turn = 0
    while not book.over:
        await asyncio.sleep(pause)
        slot = turn % SLOTS
        turn += 1
        old, book.pages[slot] = book.pages[slot], book.new_page()
        await asyncio.sleep(3)
        if not book.kept(old):
            del book.durable[old]
            continue  # nobody has said anything: there is nothing to erase
        async with book.restarting:
            words = ["erase", TENANT, "--page", old, "--db", str(book.server.db), "--json"]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "crdt_chat", *words,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        book.counts["pages erased"] += 1
        del book.durable[old]


async def check(book: Book) -> None:
    """A newcomer sees everything on every page that was called durable before she came."""
    for name in list(book.pages):
        wanted = dict(book.kept(name))
        shown = await _shown(book, name)
        if shown is None or name not in book.pages:
            continue
        still = book.kept(name)
        for comment, number in wanted.items():
            if comment in still and shown.get(comment, -1) < number:
                book.lost.append(
                    f"{book.now:.0f} s: {name} {comment} {number}: {shown.get(comment)}"
                )
        book.counts["checks of a page"] += 1
        book.counts["durable writes checked"] += len(wanted)


async def _shown(book: Book, name: str) -> dict[str, int] | None:
    """The number in the text of each comment; None if the server could not be asked."""
    url = f"ws://127.0.0.1:{book.server.port}"
    page = crdt_chat.aconnect(url, f"{TENANT}/{name}", "checker")
    await page.__aenter__()
    try:
        await page.flush(PATIENCE_S)
    except (Offline, RemoteFault):
        return None
    finally:
        await page.leave()
    return {one.name: number_of(one.body) for note in page.annotations for one in note.comments}


async def check_often(book: Book, pause: float) -> None:
    """The same every now and then."""
    while not book.over:
        await asyncio.sleep(pause)
        await check(book)


async def measure(book: Book) -> None:
    """A sample every two seconds."""
    while not book.over:
        await asyncio.sleep(SAMPLE_S)
        if book.serving.is_set():
            book.sample()
