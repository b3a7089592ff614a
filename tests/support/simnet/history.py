"""What happens in a simulated history, step by step, and how it ends."""

from collections import Counter
from collections.abc import Awaitable, Callable

import anyio
from simulation import attacks, people
from simulation.people import CAST
from yjs_peer import Operation

from crdt_chat.errors import RemoteFault, TryLater
from crdt_chat.identity import Grant, Role
from crdt_chat.page.update import decode
from crdt_chat.server.privacy.rewriting import kept_in, replacement
from store.errors import StoreError
from store.records import Rewrite, StoredPage

from .client import Client
from .desks import moderate
from .loop import run
from .process import Process
from .turns import watching
from .world import TENANT, World, own_settings

STEPS = 60


class History(World):
    """A world in which `steps` random things happen, one after the other."""

    def __init__(self, seed: int, steps: int = STEPS) -> None:
        super().__init__(seed)
        self.seed = seed
        self.steps = steps

    async def play(self) -> None:
        """The whole history. Raises what went wrong."""
        try:
            await self.boot()
            for user in CAST:
                for _ in range(self.rng.choice([1, 1, 2])):
                    self.sit_down(user)
            for _ in range(self.steps):
                await self.step()
                self.check()
            await self.settle()
            self.compare()
            await self.thin_out()
            await self.empty()
            self.check()
        finally:
            if self.process is not None:
                await self.kill()
            for client in self.clients:
                client.replica.drop()

    async def step(self) -> None:
        """One thing happens, then some time passes."""
        does, weights = zip(*self.choices(), strict=True)
        chosen = self.rng.choices(does, weights)[0]
        self.counts[chosen.__name__] += 1
        outcome = chosen()
        if outcome is not None:
            await outcome
        await anyio.sleep(self.rng.choice([0.0, 0.001, 0.02, 0.1, 0.1, 0.5, 3.0]))
        if self.process is None and self.rng.random() < 0.5:
            self.note("boot")
            await self.boot()

    def choices(self) -> list[tuple[Callable[[], Awaitable[None] | None], int]]:
        """What may happen, and how often."""
        return [
            (self.act, 50),
            (self.burst, 5),
            (self.attack, 5),
            (self.write_over_http, 6),
            (self.moderate, 5),
            (self.toggle, 8),
            (self.reset, 6),
            (self.vanish, 3),
            (self.reload, 3),
            (self.stop_reading, 6),
            (self.read_again, 6),
            (self.fail_once, 4),
            (self.change_disk, 3),
            (self.break_page, 2),
            (self.begin_epoch, 2),
            (self.crash, 4),
            (self.restart, 2),
            (self.jump, 2),
            (self.come_or_go, 2),
            (self.wait, 2),
        ]

    # People

    def pick(self, *, attacker: bool = False, online: bool | None = None) -> Client | None:
        """Somebody, or None if there is nobody like that."""
        able = [
            client
            for client in self.clients
            if client.attacker == attacker and online in (None, client.online)
        ]
        return self.rng.choice(able) if able else None

    def desk(self, client: Client) -> people.Desk:
        """Where a gesture of this client is made."""
        view = people.believable(client.replica.content())
        return people.Desk(client.grant, view, self.now(), self.rng, self.fresh)

    def act(self) -> None:
        """Somebody does something honest."""
        client = self.pick()
        if client is None:
            return
        desk = self.desk(client)
        operations: list[Operation] = []
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            name, writes = people.gesture(desk)
            if writes:
                self.note(f"{client.name} {name} {writes}")
                operations += writes
                desk.did(writes)
        if operations:
            client.transact(operations)

    def burst(self) -> None:
        """Many do something at once."""
        for _ in range(self.rng.randrange(3, 12)):
            self.act()

    def attack(self) -> None:
        """The attacker does something forbidden."""
        client = self.pick(attacker=True)
        if client is None:
            return
        plotted = attacks.plot(self.desk(client))
        if plotted is not None:
            name, attack = plotted
            self.note(f"{client.name} ATTACKS {name}")
            for operations in attack.transactions:
                client.transact(operations)

    def write_over_http(self) -> None:
        """Somebody without a document writes; what is answered must be durable."""
        if self.process is not None and self.process.alive:
            self.process.tasks.start_soon(self._write_over_http, self.process)

    def moderate(self) -> None:
        """Somebody flags something, or a moderator acts, without a document."""
        if self.process is not None and self.process.alive:
            self.process.tasks.start_soon(self._moderate, self.process)

    async def _moderate(self, process: Process) -> None:
        self.writing += 1
        try:
            await moderate(self, process)
        finally:
            self.writing -= 1

    async def _write_over_http(self, process: Process) -> None:
        self.writing += 1
        try:
            await self._request(process)
        finally:
            self.writing -= 1

    async def _request(self, process: Process) -> None:
        key = self.rng.choice(self.pages)
        user = self.rng.choice(["ada", "bob"])
        grant = Grant(TENANT, user, user.title(), Role.EDITOR)
        view = self.durable[key.page].content()
        desk = people.Desk(grant, view, self.now(), self.rng, self.fresh)
        makes = (people.annotate, people.reply, people.edit, people.delete_comment)
        operations = self.rng.choice(makes)(desk)
        writes = [(root, name, rest[0] if rest else None) for _, root, name, *rest in operations]
        if not writes:
            return
        self.note(f"HTTP {user} {writes}")
        self.counts["server writes"] += 1
        try:
            async with process.rooms.open(key) as room:
                verdict = await room.write(writes, grant)
        except RemoteFault as fault:
            self.note(f"HTTP is answered {fault!r}")
            return
        if verdict.update and not process.handle.dead:
            lacking = self.durable[key.page].lacks(decode(verdict.update))
            if lacking is not None:
                self.failed(AssertionError(f"answered before it is durable: {lacking}"))

    def come_or_go(self) -> None:
        """A client more, or one less."""
        if self.rng.random() < 0.6 or len(self.clients) < 4:
            self.sit_down(self.rng.choice(sorted(CAST)))
            return
        # What one tab has not sent, another of the browser may show: the one whose it is must come back.
        able = [client for client in self.clients if len(client.browser) == 1]
        if not able:
            return
        client = self.rng.choice(able)
        self.note(f"{client.name} leaves for good")
        client.wanted = False
        client.hang_up()
        client.browser.remove(client)
        client.replica.drop()
        self.clients.remove(client)

    # The network

    def toggle(self) -> None:
        """Somebody goes offline, or comes back."""
        client = self.rng.choice(self.clients)
        client.wanted = not client.wanted
        if client.wanted:
            client.dial()
        else:
            client.hang_up()
        self.note(f"{client.name} {'comes' if client.wanted else 'goes'}")

    def reset(self) -> None:
        """A connection is reset."""
        client = self.pick(online=True)
        if client is not None and client.link is not None:
            self.note(f"{client.name} is reset")
            client.link.reset()

    def vanish(self) -> None:
        """A connection goes silent: the client notices at once or late, the server by its ping."""
        client = self.pick(online=True)
        if client is not None and client.link is not None:
            self.note(f"{client.name} vanishes")
            client.link.vanish(self.rng.choice([0.0, 1.0, None]))

    def reload(self) -> None:
        """Somebody reloads the page: an old copy under a new client id."""
        client = self.pick()
        if client is not None:
            self.note(f"{client.name} reloads")
            client.reload()

    def stop_reading(self) -> None:
        """Somebody reads nothing any more, with a small buffer between."""
        client = self.pick(online=True)
        if client is not None and client.link is not None:
            self.note(f"{client.name} stops reading")
            client.link.quality = type(self.quality)(buffer=self.rng.choice([1, 500, 4_000]))
            client.link.down.paused = True
            for _ in range(self.rng.choice([0, 0, 3])):
                # Something to lag behind.
                self.loop.call_later(self.rng.uniform(0.5, 3.0), self.burst)

    def read_again(self) -> None:
        """Who stopped reading reads again, for a while or for good."""
        for client in self.clients:
            if client.link is not None and client.link.down.paused and self.rng.random() < 0.7:
                self.note(f"{client.name} reads again")
                client.link.down.resume()

    # The machine

    def fail_once(self) -> None:
        """The next commits fail, or are said to have failed."""
        kind = self.rng.choice(["fails", "fails", "lies", "raises"])
        self.note(f"a commit {kind}")
        setattr(self.disk, kind, self.rng.choice([0.3, 1.0]))
        self.act()
        self.loop.call_later(self.rng.choice([0.01, 0.2, 2.0]), setattr, self.disk, kind, 0.0)

    def change_disk(self) -> None:
        """The disk is full for a while, or slow."""
        if self.rng.random() < 0.5:
            self.note("the disk is full")
            self.disk.full = True
            self.loop.call_later(self.rng.uniform(0.1, 10.0), setattr, self.disk, "full", False)
        else:
            self.disk.slowest = self.rng.choice([0.0, 0.004, 0.1, 1.0])

    def break_page(self) -> None:
        """The page fails half way: it cannot be touched any more."""
        if self.process is None or not self.process.alive:
            return
        free = [room for room in self.process.rooms if not room.turn.busy]
        rooms = [room for room in free if not room.page.rests]
        if rooms:
            room = self.rng.choice(rooms)
            room.page._being.broken = self.broke = True
            self.note(f"{room.key.page} breaks")

    def begin_epoch(self) -> None:
        """An operator has a page written anew, with all that is on it."""
        if self.process is not None and self.process.alive:
            if self.rng.random() < 0.5:
                self.burst()
                self.fail_once()
            self.process.tasks.start_soon(self._begin_epoch, self.process)

    async def _begin_epoch(self, process: Process) -> None:
        services = process.rooms.services

        def same(stored: StoredPage) -> Rewrite:
            page, kept = kept_in(stored, services.config.page)
            return replacement(services, stored, page, kept, "operator")

        try:
            async with process.rooms.open(self.rng.choice(self.pages)) as room:
                await room.rewrite(same)
        except (TryLater, StoreError) as fault:
            self.note(f"no new epoch: {fault!r}")

    async def crash(self) -> None:
        """kill -9; somebody starts it again."""
        self.note("kill -9")
        await self.kill()

    async def restart(self) -> None:
        """SIGTERM; somebody starts it again."""
        self.note("SIGTERM")
        await self.stop()

    def jump(self) -> None:
        """The wall clock is set."""
        by = self.rng.choice([-3_600_000, -1_000, 1_000, 3_600_000])
        self.note(f"the clock jumps by {by} ms")
        self.wall_offset += by
        self.went_back |= by < 0

    async def wait(self) -> None:
        """Time passes."""
        await anyio.sleep(self.rng.choice([5.0, 30.0, 70.0]))


class Failure(AssertionError):
    """A seed that failed, with its log."""


def simulate(seed: int, steps: int = STEPS, played: list[History] | None = None) -> Counter[str]:
    """Play one history. Returns what happened, by name; raises Failure.

    played: where the history is put, for those who want to read its log afterwards.
    """
    played = [] if played is None else played

    async def main() -> None:
        with own_settings():
            played.append(History(seed, steps))
            with watching(played[0].failed):
                await played[0].play()

    try:
        run(main())
    except Exception as error:
        story = "\n".join(played[0].log[-60:]) if played else ""
        raise Failure(f"seed {seed}: {error!r}\n{story}") from error
    return played[0].counts
