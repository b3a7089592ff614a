"""The writer thread: one transaction for all that is queued, one wake-up, nobody left waiting."""

import threading

import anyio
import anyio.to_thread
import pytest
from kept import commit, head

import store.writer
from store import open_store
from store.errors import Closed
from store.records import Appended, Conflict

pytestmark = pytest.mark.anyio


class Gate:
    """Holds the writer thread before a commit and counts what each transaction takes."""

    def __init__(self, monkeypatch):
        self.sizes, self.real = [], store.writer.commit_all
        self.reached, self.open = threading.Event(), threading.Event()
        monkeypatch.setattr(store.writer, "commit_all", self)

    def __call__(self, db, heads, commits):
        self.sizes.append(len(commits))
        self.reached.set()
        assert self.open.wait(60)
        return self.real(db, heads, commits)

    async def wait(self):
        await anyio.to_thread.run_sync(self.reached.wait)


async def queued(kept, gate, parts):
    """Commit `parts` one by one while the writer is held; how many each transaction took."""
    results = {}

    async def one(number, part):
        (results[number],) = await kept.commit([part])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, -1, commit(0, "first", page="first"))
        await gate.wait()
        for number, part in enumerate(parts):
            tasks.start_soon(one, number, part)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert all(isinstance(result, Appended) for result in results.values())
    assert len(results) == len(parts) + 1
    return gate.sizes


async def test_what_queues_during_a_commit_is_the_next_one(kept, monkeypatch):
    parts = [commit(0, "x", page=f"page-{n}") for n in range(100)]
    assert await queued(kept, Gate(monkeypatch), parts) == [1, 100]


async def test_a_transaction_has_at_most_512_rows(kept, monkeypatch):
    parts = [commit(0, *"xyz", page=f"page-{n}") for n in range(200)]
    assert await queued(kept, Gate(monkeypatch), parts) == [1, 170, 30]


async def test_a_transaction_has_at_most_a_mebibyte(kept, monkeypatch):
    parts = [commit(0, "x" * 300_000, page=f"page-{n}") for n in range(7)]
    assert await queued(kept, Gate(monkeypatch), parts) == [1, 3, 3, 1]


async def test_other_work_keeps_its_place_between_commits(kept, monkeypatch):
    gate, order = Gate(monkeypatch), []

    async def append(seq):
        order.append(head((await kept.commit([commit(seq, "x")]))[0]))

    async def snapshot():
        assert await kept.snapshot("t", "p", 2, b"at two")
        order.append("snapshot")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append, 0)
        await gate.wait()
        for step in ((append, 1), (snapshot,), (append, 2)):
            tasks.start_soon(*step)
            await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert order == [1, 2, "snapshot", 3]
    assert gate.sizes == [1, 1, 1]


async def test_closing_commits_what_is_queued(path, monkeypatch):
    kept, gate, heads = open_store(path), Gate(monkeypatch), []

    async def append(number):
        heads.append(head((await kept.commit([commit(0, "x", page=f"page-{number}")]))[0]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append, 0)
        await gate.wait()
        for number in range(1, 20):
            tasks.start_soon(append, number)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(kept.close)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert heads == [1] * 20
    with pytest.raises(Closed):
        await kept.commit([commit(0, "late")])
    again = open_store(path)
    assert len(await again.pages("t")) == 20
    await again.close()


async def test_a_cancelled_caller_waits_for_the_outcome(kept, monkeypatch):
    gate, ended = Gate(monkeypatch), []

    async def append():
        try:
            await kept.commit([commit(0, "x")])
        finally:
            ended.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)
        await gate.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            assert not ended
            gate.open.set()
    assert ended
    assert (await kept.load("t", "p")).seq == 1


async def test_an_error_of_our_own_in_the_thread_leaves_nobody_waiting(path, monkeypatch):
    kept, gate = open_store(path), Gate(monkeypatch)
    gate.real = lambda *_: 1 / 0
    gate.open.set()
    deaths = []
    monkeypatch.setattr(threading, "excepthook", deaths.append)
    (result,) = await kept.commit([commit(0, "x")])
    assert isinstance(result.error, Closed)
    await kept.close()
    assert [death.exc_type for death in deaths] == [ZeroDivisionError]
    with pytest.raises(Closed):
        await kept.commit([commit(0, "x")])


async def test_several_event_loops_share_a_store(kept):
    def elsewhere(backend):
        async def run():
            for seq in range(20):
                (result,) = await kept.commit([commit(seq, "x", page=backend)])
                assert head(result) == seq + 1
            return (await kept.load("t", backend)).seq

        return anyio.run(run, backend=backend)

    async with anyio.create_task_group() as tasks:
        for backend in ("asyncio", "trio"):
            tasks.start_soon(anyio.to_thread.run_sync, elsewhere, backend)
        for seq in range(20):
            assert head((await kept.commit([commit(seq, "x", page="here")]))[0]) == seq + 1
    assert await kept.heads([("t", name) for name in ("asyncio", "trio", "here")]) == {
        ("t", "asyncio"): 20,
        ("t", "trio"): 20,
        ("t", "here"): 20,
    }


async def test_pipelined_commits_of_one_page_in_one_transaction(kept, monkeypatch):
    gate, results = Gate(monkeypatch), []

    async def append(seq):
        results.append((await kept.commit([commit(seq, f"{seq}")]))[0])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append, 0)
        await gate.wait()
        for seq in (1, 2, 2, 3):
            tasks.start_soon(append, seq)
            await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert [type(result) for result in results] == [
        Appended,
        Appended,
        Appended,
        Conflict,
        Appended,
    ]
    assert [row.update for row in await kept.read("t", "p", 0)] == [b"0", b"1", b"2", b"3"]
