"""Backups: a whole, verified store under its name, or nothing; taken while the file is served."""

import anyio
import pytest
from kept import annotation, commit, head

import store.backup
from store import open_store
from store.errors import Damaged

pytestmark = pytest.mark.anyio


async def test_a_copy_is_a_store_of_its_own(path, kept):
    first = commit(0, "one", "two", owners=[(7, "ada")], projected=[annotation("a", "quoted")])
    await kept.commit([first])
    copy = path.with_name("copy.db")
    await kept.backup(copy)
    await kept.commit([commit(2, "three")])
    other = open_store(copy)
    page = await other.load("t", "p")
    assert (page.seq, page.owners) == (2, [(7, "ada")])
    assert len(await other.search("t", "quoted")) == 1
    assert not (await other.integrity()).problems
    assert head((await other.commit([commit(2, "another three")]))[0]) == 3
    await other.close()
    assert (await kept.read("t", "p", 2))[0].update == b"three"


async def test_nothing_is_overwritten(path, kept):
    taken = path.with_name("taken.db")
    taken.write_text("mine")
    with pytest.raises(FileExistsError):
        await kept.backup(taken)
    assert taken.read_text() == "mine"


async def test_a_copy_that_does_not_verify_gets_no_name(path, kept, monkeypatch):
    def refuse(_):
        raise Damaged("the copy does not verify")

    monkeypatch.setattr(store.backup, "check_copy", refuse)
    with pytest.raises(Damaged):
        await kept.backup(path.with_name("copy.db"))
    assert not [other.name for other in path.parent.iterdir() if "copy" in other.name]


async def test_a_copy_taken_under_load_is_one_moment(path, kept):
    """Two pages are always written together: in the copy they are equally long."""
    done = anyio.Event()

    async def write():
        for seq in range(150):
            pair = [commit(seq, "x" * 500, page=page) for page in ("left", "right")]
            assert [head(result) for result in await kept.commit(pair)] == [seq + 1] * 2
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        number = 0
        while not done.is_set():
            number += 1
            copy = path.with_name(f"copy-{number}.db")
            await kept.backup(copy)
            other = open_store(copy)
            heads = await other.heads([("t", "left"), ("t", "right")])
            assert len(set(heads.values())) <= 1
            await other.close()
