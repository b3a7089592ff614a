"""`crdt-chat integrity` on real databases: sound, in use, damaged, and none at all."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from server import RealServer
from waiting import PATIENCE_S

import crdt_chat
from store.checksums import fields_crc


def integrity(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one run."""
    ran = subprocess.run(
        [sys.executable, "-m", "crdt_chat", "integrity", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def written(server: RealServer) -> RealServer:
    """A running server with a page of three threads."""
    address = server.http.replace("http", "ws", 1)
    with crdt_chat.connect(address, page="demo/article", user="ada") as page:
        for number in range(3):
            page.annotate(f"sentence {number}", f"comment {number}")
        page.flush()
    return server


def damage(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount > 0
    db.close()


def test_a_database_in_use_verifies(written):
    code, out, err = integrity("--db", str(written.db), "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["ok"] is True
    assert found["pages"] == 1
    assert found["rows"] >= 1
    assert found["keys"] >= 6
    assert found["problems"] == []


def test_it_says_in_a_sentence_that_all_is_well(written):
    written.stop()
    written.start()
    code, out, _ = integrity("--db", str(written.db))
    assert code == 0
    assert out.startswith(f"{written.db} verifies: 1 pages, ")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE log SET data = x'0000' WHERE seq = 1", "log"),
        ("DELETE FROM event WHERE rowid = (SELECT min(rowid) FROM event)", "event"),
        ("UPDATE annotation SET value = '{}'", "read model"),
    ],
)
def test_what_does_not_verify_is_named_and_changes_the_exit_code(written, statement, what):
    written.stop()
    damage(written.db, statement)
    code, out, _ = integrity("--db", str(written.db), "--json")
    found = json.loads(out)
    assert code == 1
    assert found["ok"] is False
    assert [problem["page"] for problem in found["problems"]] == ["article"]
    assert what in found["problems"][0]["what"]
    assert "does NOT verify" in integrity("--db", str(written.db))[1]
    written.start()


def test_a_read_model_that_tells_another_story_than_the_log_is_found(written):
    """Even where every checksum holds: the comparison is with what the log says."""
    written.stop()
    forge_comment(written.db)
    code, out, _ = integrity("--db", str(written.db))
    assert code == 1
    assert "is not what the log says" in out
    written.start()


def test_what_differs_from_the_log_is_worked_out_of_it_again(written):
    written.stop()
    with closing(sqlite3.connect(written.db)) as db:
        before = db.execute("SELECT name, value, crc FROM comment ORDER BY name").fetchall()
    forge_comment(written.db)
    damage(written.db, "UPDATE annotation SET value = '{}'")
    code, out, err = integrity("--db", str(written.db), "--rebuild")
    assert (code, err) == (0, "")
    assert out.startswith(f"{written.db} verifies: 1 pages, ")
    with closing(sqlite3.connect(written.db)) as db:
        assert db.execute("SELECT name, value, crc FROM comment ORDER BY name").fetchall() == before
    written.start()


def test_nothing_is_rebuilt_from_a_log_that_does_not_verify(written):
    written.stop()
    damage(written.db, "UPDATE log SET data = x'0000' WHERE seq = 1")
    with closing(sqlite3.connect(written.db)) as db:
        before = list(db.iterdump())
    code, out, _ = integrity("--db", str(written.db), "--rebuild")
    assert code == 1
    assert "does NOT verify" in out
    with closing(sqlite3.connect(written.db)) as db:
        assert list(db.iterdump()) == before
    written.start()


def test_a_file_that_is_served_is_not_rebuilt(written):
    code, out, err = integrity("--db", str(written.db), "--rebuild")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert integrity("--db", str(written.db))[0] == 0


def forge_comment(path: Path) -> None:
    """Put other words into somebody's mouth, with a checksum that holds."""
    with closing(sqlite3.connect(path)) as db, db:
        name, value = db.execute("SELECT name, value FROM comment LIMIT 1").fetchone()
        forged = json.dumps({**json.loads(value), "body": "I never said so"})
        crc = fields_crc("comments", name, forged, *name.split("/"))
        db.execute("UPDATE comment SET value = ?, crc = ? WHERE name = ?", (forged, crc, name))
    db.close()


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    path = tmp_path / "absent.db"
    code, out, err = integrity("--db", str(path))
    assert (code, out) == (2, "")
    assert str(path) in err
    assert err.count("\n") == 1
    assert not path.exists()
