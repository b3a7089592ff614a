"""The disk of the real server fails: readers stay, nothing is shown that is not durable, it resumes.

The long forms are bench/disk_faults.py and bench/power_cut.py.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashes import crashed
from crowd import Outcome
from disk_faults import Full, Locked, WriteFails, durable, refused_start, troubled
from entries import annotation, comment
from failing_disk import ALWAYS, FailingDisk
from loop_disk import MIB, LoopDisk, loop_disk
from raw_client import raw_client
from server import RealServer
from yjs_peer import YjsPeers

pytestmark = pytest.mark.node


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[tuple[FailingDisk, RealServer]]:
    """A disk that fails on command, and a server that is not started yet on it."""
    disk = FailingDisk(tmp_path, tmp_path / "crdt-chat.db")
    server = RealServer(tmp_path, environment=disk.environment)
    yield disk, server
    disk.heal()
    if not server.gone:
        server.kill()
    disk.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[LoopDisk, RealServer]]:
    """A file system of 24 MiB, and a server that is not started yet on it."""
    with loop_disk(tmp_path, 24 * MIB) as disk:
        server = RealServer(disk.where)
        server.log_path = tmp_path / "server.log"
        yield disk, server
        if not server.gone:
            server.kill()


def kept(outcome: Outcome) -> None:
    """Enough was promised for the round to mean something, and all of it is there."""
    assert outcome.lost == []
    assert outcome.seen + outcome.acknowledged > 5


@pytest.mark.cc
@pytest.mark.parametrize(
    ("nth", "times", "error"),
    [(1, 1, "EIO"), (4, ALWAYS, "EIO"), (11, 1, "EIO"), (30, ALWAYS, "EROFS"), (58, 1, "ENOSPC")],
)
def test_a_write_that_fails_is_never_acknowledged_and_the_service_resumes(
    yjs: YjsPeers, failing: tuple[FailingDisk, RealServer], nth: int, times: int, error: str
) -> None:
    disk, server = failing
    server.start()
    trouble = WriteFails(disk, nth, times, getattr(errno, error))
    kept(troubled(yjs, server, nth, "p", trouble))


@pytest.mark.cc
def test_a_start_on_a_failing_disk_is_refused_in_a_sentence_and_harms_nothing(
    failing: tuple[FailingDisk, RealServer],
) -> None:
    disk, server = failing
    server.start()
    with raw_client(server.ws(), "p", "ada") as ada:
        ada.handshake()
        ada.write(("annotations", "a1", annotation("ada")), ("comments", "a1/c1", comment("ada")))
        ada.flush()
    server.kill()
    sentences = []
    for nth in (1, 2, 3, 5):
        disk.fail(nth, ALWAYS)
        sentences.append(refused_start(server))
        disk.heal()
        if not server.gone:
            server.kill()
    assert any(sentences)
    server.start()
    assert set(durable(server.db, "p")["comments"]) == {"a1/c1"}


@pytest.mark.loop
def test_a_full_disk_shows_and_acknowledges_nothing_until_there_is_room(
    yjs: YjsPeers, small: tuple[LoopDisk, RealServer]
) -> None:
    disk, server = small
    server.start()
    for seed in (1, 2):
        kept(troubled(yjs, server, seed, f"p{seed}", Full(disk, server)))


@pytest.mark.slow
def test_a_file_that_another_process_holds_is_waited_for(yjs: YjsPeers, server: RealServer) -> None:
    kept(troubled(yjs, server, 1, "p", Locked(server)))
    # A commit that failed is logged with its stack: the fixture would take that for a fault of ours.
    server.log_path.unlink()
    server.log_path.touch()


@pytest.mark.loop
def test_a_read_only_file_system_refuses_the_start_in_a_sentence(
    small: tuple[LoopDisk, RealServer],
) -> None:
    disk, server = small
    server.start()
    server.stop()
    disk.remount(writable=False)
    assert refused_start(server) != ""
    disk.remount(writable=True)
    server.start()


@pytest.mark.loop
def test_what_was_promised_outlives_power_cuts(
    yjs: YjsPeers, small: tuple[LoopDisk, RealServer]
) -> None:
    disk, server = small
    server.start()

    def cut(server: RealServer) -> None:
        disk.cut_under(server.process)
        server.kill()
        disk.unmount()
        disk.mount()

    for seed in (1, 2):
        kept(crashed(yjs, server, seed, f"p{seed}", cut, least=4))
