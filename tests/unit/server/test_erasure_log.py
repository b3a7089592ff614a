"""The log of erasures: each entry whole on the disk before anything is erased, or not there."""

import errno
import os

import pytest

from crdt_chat.server.privacy.erasure_log import USER, Erased, ErasureLog, digest


def entry(number: int) -> Erased:
    return Erased(str(number), number, "acme", USER, None, "salt", digest("salt", "ada"), ["n"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chat.db.erasures"


def test_entries_come_back_in_order(path):
    for number in range(3):
        ErasureLog(path).append(entry(number))
    assert list(ErasureLog(path)) == [entry(number) for number in range(3)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_crash_left_of_a_line_does_not_spoil_the_log(path):
    log = ErasureLog(path)
    log.append(entry(1))
    with path.open("ab") as file:
        file.write(b'{"id": "2", "at":')
    assert list(log) == [entry(1)]
    log.append(entry(3))
    assert list(log) == [entry(1), entry(3)]


def test_a_disk_that_takes_a_part_only_is_an_error_and_leaves_no_part(path, monkeypatch):
    log = ErasureLog(path)
    log.append(entry(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:20]))
    with pytest.raises(OSError, match="space") as error:
        log.append(entry(2))
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert list(log) == [entry(1)]
    log.append(entry(3))
    assert list(log) == [entry(1), entry(3)]


def test_the_folder_is_synced_with_the_first_entry(path, monkeypatch):
    synced = []
    monkeypatch.setattr("crdt_chat.server.privacy.erasure_log.sync", synced.append)
    log = ErasureLog(path)
    for number in range(2):
        log.append(entry(number))
    assert synced == [path.parent]
