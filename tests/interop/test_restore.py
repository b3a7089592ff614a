"""Backups made under load, and going back to one: nothing erased returns, newer edits of authors do."""

import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from entries import fresh
from trusted import TrustedServer, token, trusted
from yjs_peer import YjsPeers

import crdt_chat

pytestmark = pytest.mark.node
__all__ = ["trusted"]


def connected(server: TrustedServer, page: str, user: str):
    address = server.http.replace("http", "ws", 1)
    return crdt_chat.connect(address, page=f"acme/{page}", token=token(user=user))


def restore(server: TrustedServer, backup: Path) -> dict:
    server.running.stop()
    done = json.loads(server.command("restore", str(backup), "--json"))
    server.running.start()
    return done


def look(server: TrustedServer, yjs: YjsPeers, page: str) -> dict:
    params = {"token": token(user="reader", role="viewer")}
    url = server.running.ws("acme")
    reader = yjs.browser(fresh("reader"), url, page, params=params).wait(synced=True)
    return reader.content()


def test_newer_edits_come_back_from_their_authors_without_duplicates(
    trusted: TrustedServer, yjs: YjsPeers, tmp_path: Path
) -> None:
    page, backup = fresh("restored-"), tmp_path / "backup.db"
    with connected(trusted, page, "ada") as ada, connected(trusted, page, "bob") as bob:
        old = ada.annotate("a passage", "before the backup")
        ada.flush()
        bob.flush()
        bob.reply(old.id, "also before")
        bob.flush()
        trusted.command("backup", str(backup))
        new = ada.annotate("another passage", "after the backup")
        ada.flush()
        bob.reply(old.id, "bob after the backup")
        bob.flush()
        restore(trusted, backup)
        # Their programs reconnect by themselves, and write what is theirs and missing.
        ada.flush()
        bob.flush()
        content = look(trusted, yjs, page)
        assert set(content["annotations"]) == {old.id, new.id}
        bodies = sorted(value["body"] for value in content["comments"].values())
        assert bodies == [
            "after the backup", "also before", "before the backup", "bob after the backup",
        ]  # fmt: skip
        later = bob.reply(new.id, "life goes on")
        bob.flush()
        assert later.id in {name.split("/")[1] for name in look(trusted, yjs, page)["comments"]}


def test_a_reply_waits_for_the_thread_that_its_author_brings_back(
    trusted: TrustedServer, yjs: YjsPeers, tmp_path: Path
) -> None:
    page, backup = fresh("restored-"), tmp_path / "backup.db"
    with connected(trusted, page, "bob") as bob:
        with connected(trusted, page, "ada") as ada:
            ada.annotate("a passage", "before the backup")
            ada.flush()
            trusted.command("backup", str(backup))
            new = ada.annotate("another passage", "after the backup")
            ada.flush()
            # Durable is not yet delivered: the round trip brings what the others have written.
            bob.flush()
            reply = bob.reply(new.id, "to what the backup does not have")
            bob.flush()
            with ada.offline():
                restore(trusted, backup)
                with contextlib.suppress(crdt_chat.Refused):
                    bob.flush()
                assert new.id not in look(trusted, yjs, page)["annotations"]
            ada.flush()
        with contextlib.suppress(crdt_chat.Refused):
            bob.flush()
        assert f"{new.id}/{reply.id}" in look(trusted, yjs, page)["comments"]


def test_a_stock_client_from_before_the_restore_starts_anew(
    trusted: TrustedServer, yjs: YjsPeers, tmp_path: Path
) -> None:
    page, backup = fresh("restored-"), tmp_path / "backup.db"
    with connected(trusted, page, "ada") as ada:
        ada.annotate("a passage", "before")
        ada.flush()
    params = {"token": token(user="bob")}
    bob = yjs.browser("bob", trusted.running.ws("acme"), page, params=params, backoff=200)
    bob.wait(count=("annotations", 1))
    trusted.command("backup", str(backup))
    restore(trusted, backup)
    bob.wait(denied=True)
    assert bob.status().denied["code"] == 4409
    assert len(look(trusted, yjs, page)["annotations"]) == 1


def tables_that_name(db: Path, user: str) -> set[str]:
    """Where anything says this name. Who comes back is known again, as the owner of a new Yjs client id."""
    with contextlib.closing(sqlite3.connect(db)) as reader:
        reader.text_factory = bytes
        tables = [
            name.decode()
            for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            table
            for table in tables
            for row in reader.execute(f'SELECT * FROM "{table}"')
            if any(isinstance(value, bytes) and user.encode() in value for value in row)
        }


def test_what_was_erased_since_stays_erased(
    trusted: TrustedServer, yjs: YjsPeers, tmp_path: Path
) -> None:
    page, backup, user = fresh("restored-"), tmp_path / "backup.db", "zoe@example.org"
    with connected(trusted, page, user) as zoe, connected(trusted, page, "bob") as bob:
        hers = zoe.annotate("a passage", "an unforgettable zebra")
        zoe.flush()
        his = bob.annotate("a passage", "a note that stays")
        bob.flush()
        trusted.command("backup", str(backup))
        assert b"zebra" in backup.read_bytes()
        gone = bob.annotate("a passage", "an afterthought about a lion")
        bob.flush()
        trusted.asked("erase", "acme", "--user", user)
        trusted.asked("erase", "acme", "--page", page, "--annotation", gone.id)
        done = restore(trusted, backup)
        assert done["erasures"] >= 1
        # Both programs still hold everything, and come back.
        for program in (zoe, bob):
            # Either refused at once ("deleted"), or told so later: what counts is the page.
            with contextlib.suppress(crdt_chat.Refused):
                program.flush()
        content = look(trusted, yjs, page)
        assert set(content["annotations"]) == {his.id}
        assert hers.id not in str(content)
    for path in trusted.running.db.parent.iterdir():
        replaced = path.name.startswith(trusted.running.db.name + ".replaced")
        if path.is_file() and not replaced:
            assert b"zebra" not in path.read_bytes(), path
    assert tables_that_name(trusted.running.db, user) <= {"client_owner"}


def test_a_backup_under_load_is_whole(trusted: TrustedServer, tmp_path: Path) -> None:
    page, stop = fresh("loaded-"), threading.Event()
    written = 0
    with connected(trusted, page, "ada") as ada:

        def write() -> None:
            nonlocal written
            while not stop.is_set():
                ada.annotate("a passage", f"number {written}")
                ada.flush()
                written += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                trusted.command("backup", str(tmp_path / f"{number}.db"))
        finally:
            stop.set()
            writer.join()
    assert written > 3
    for number in range(3):
        copy = tmp_path / f"{number}.db"
        db = sqlite3.connect(copy)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


def test_a_restore_under_a_running_server_is_refused(
    trusted: TrustedServer, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    trusted.command("backup", str(backup))
    before = trusted.running.db.read_bytes()[:100]
    with pytest.raises(AssertionError, match=r"nothing was restored: .*(in use|pid|served|lock)"):
        trusted.command("restore", str(backup))
    with pytest.raises(AssertionError, match="exists already"):
        trusted.command("backup", str(backup))
    assert trusted.running.db.read_bytes()[:100] == before


def test_an_erasure_names_the_copies_that_it_does_not_reach(trusted: TrustedServer) -> None:
    replaced = trusted.running.db.with_name(trusted.running.db.name + ".replaced")
    replaced.touch()
    done = trusted.asked("erase", "acme", "--user", "nobody@example.org")
    assert (done["pages"], done["copies"]) == (0, [str(replaced)])
