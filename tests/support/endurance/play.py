"""A whole soak: a real server, everybody who troubles it, and what must be so at the end."""

import asyncio
import random
import statistics
from pathlib import Path

from endurance import operators, people
from endurance.book import SLOTS, TENANT, Book, Sample
from server import running_server
from tcp_proxy import TcpProxy

REGULARS = 8
GROWTH = 16.0
"""MiB of resident memory that the server may gain from the first to the last fifth of the calm."""


async def _play(book: Book, proxy: TcpProxy) -> None:
    book.serving.set()
    book.pages += [book.new_page() for _ in range(SLOTS)]
    unit = min(60.0, book.seconds / 8)
    # Every other regular comes by a network that is disturbed.
    ports = [book.server.port, proxy.port]
    async with asyncio.TaskGroup() as tasks:
        for number in range(REGULARS):
            tasks.create_task(people.Regular(book, number, ports[number // SLOTS % 2]).live())
        tasks.create_task(people.Pair(book).live())
        for _ in range(2):
            tasks.create_task(people.pass_by(book))
            tasks.create_task(people.read_slowly(book))
        tasks.create_task(people.forge(book))
        tasks.create_task(people.disturb(book, proxy))
        tasks.create_task(operators.restart(book, unit))
        tasks.create_task(operators.erase(book, max(6.0, unit / 2)))
        tasks.create_task(operators.check_often(book, unit / 3))
        tasks.create_task(operators.measure(book))
    await operators.check(book)


def soak(folder: Path, seed: int, seconds: float, wanted: tuple[str, ...] = ()) -> Book:
    """Play for so long, and longer until all that is `wanted` was counted.

    Raises AssertionError for a traceback in the server's log, or a task's fault.
    """
    with running_server(folder, tenants=(TENANT,)) as server:
        book = Book(server, random.Random(seed), seconds, wanted)
        with TcpProxy(server.port) as proxy:
            asyncio.run(_play(book, proxy))
    return book


def calm(book: Book) -> list[Sample]:
    """The samples of the part without restarts, when the server has warmed up."""
    first, end = operators.CALM
    began = max([first * book.seconds, *(at for at, _ in book.events if at < end * book.seconds)])
    return [one for one in book.samples if began + 5 < one.at < end * book.seconds]


def growth(book: Book) -> float:
    """MiB of resident memory gained from the first to the last fifth of the calm, 0 if there was none."""
    sizes = [one.memory for one in calm(book)]
    if not sizes:
        return 0.0
    fifth = max(1, len(sizes) // 5)
    return statistics.median(sizes[-fifth:]) - statistics.median(sizes[:fifth])
