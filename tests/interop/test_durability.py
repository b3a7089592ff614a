"""Nothing acknowledged is lost: what the server called saved, or showed to anybody, outlives kill -9."""

import shutil

import pytest
from crashes import crashed
from entries import annotation, comment, fresh
from raw_client import raw_client
from server import RealServer
from yjs_peer import YjsPeers

from crdt_chat.protocol import wire


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 5, 10, 15])
def test_kill_9_under_load_loses_nothing_that_was_promised_and_all_agree(
    yjs: YjsPeers, server: RealServer, first: int
) -> None:
    """Twenty rounds of what bench/kill.py does for as long as one likes."""
    promised = 0
    for seed in range(first, first + 5):
        # The first at its moment, whatever was promised by then.
        outcome = crashed(yjs, server, seed, f"round-{seed}", least=0 if seed == first else 10)
        assert outcome.lost == [], f"seed {seed}"
        promised += outcome.seen + outcome.acknowledged + outcome.events
    assert promised > 100


@pytest.mark.node
def test_a_server_that_forgets_is_noticed(yjs: YjsPeers, server: RealServer) -> None:
    older = server.db.with_name("older.db")

    def forget(server: RealServer) -> None:
        server.kill()
        shutil.copy(older, server.db)
        for name in ("-wal", "-shm"):
            server.db.with_name(server.db.name + name).unlink(missing_ok=True)

    server.stop()
    shutil.copy(server.db, older)
    server.start()
    lost = crashed(yjs, server, 4, "p", forget, least=3).lost
    assert {what.split(":")[0] for what in lost} == {"seen", "acknowledged", "event"}


def test_what_was_called_saved_outlives_kill_9(server: RealServer) -> None:
    acknowledged: set[str] = set()
    for _ in range(10):
        with raw_client(server.ws(), "p", "ada") as ada:
            ada.handshake()
            ours: dict[int, str] = {}
            for turn in range(30):
                name = fresh("a")
                ada.write(
                    ("annotations", name, annotation("ada")),
                    ("comments", f"{name}/c1", comment("ada")),
                )
                ours[ada.sent] = name
                if turn >= 10:
                    ada.read()
            server.kill()
            ada.drain()
            acknowledged |= {name for frame, name in ours.items() if frame <= ada.saved}
        server.start()
        with raw_client(server.ws(), "p", "late") as late:
            late.handshake()
            assert acknowledged <= late.names("annotations")
    assert len(acknowledged) > 20


def test_saved_comes_for_each_frame_and_for_deletions_too(server: RealServer) -> None:
    with raw_client(server.ws(), "p", "ada") as ada:
        ada.handshake()
        ada.write(("annotations", "a1", annotation("ada")), ("comments", "a1/c1", comment("ada")))
        ada.flush()
        ada.write(("reactions", "a1/c1/👍/ada", {"at": 1}))
        ada.flush()
        before = ada.saved
        removal = b"\x00\x01" + wire.varuint(ada.doc.client_id) + b"\x01\x02\x01"
        ada.send(wire.update(removal))
        ada.flush()
        assert ada.saved == before + 1
        with raw_client(server.ws(), "p", "late") as late:
            late.handshake()
            assert late.names("reactions") == set()
            assert late.names("comments") == {"a1/c1"}


def test_a_refusal_is_told_with_key_rule_and_reason(server: RealServer) -> None:
    with raw_client(server.ws(), "p", "ada") as ada, raw_client(server.ws(), "p", "eve") as eve:
        ada.handshake()
        ada.write(("annotations", "a1", annotation("ada")), ("comments", "a1/c1", comment("ada")))
        ada.flush()
        eve.handshake()
        assert eve.names("comments") == {"a1/c1"}
        eve.write(("comments", "a1/c1", comment("ada", "EVIL")))
        while not any(control["type"] == "refused" for control in eve.controls):
            eve.read()
        [refused] = [control for control in eve.controls if control["type"] == "refused"]
        assert refused["reset"] is True
        [operation] = refused["operations"]
        assert operation["key"] == "comments/a1/c1"
        assert operation["rule"] == "owner"
        assert operation["reason"]
        with raw_client(server.ws(), "p", "late") as late:
            late.handshake()
            assert "EVIL" not in str(late.doc.get_update())
            assert late.names("comments") == {"a1/c1"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", 4400),
        (b"\x07", 4400),
        (b"\x00", 4400),
        (b"\x00\x03\x00", 4400),
        (b"\x00\x02\x05\x00", 4400),
        (b"\x00\x02\x01\x00", 4400),
        (b"\x00\x00\x01\xff", 4400),
        (b"\x01\x01\x05", 4400),
    ],
)
def test_a_malformed_frame_is_closed_with_its_code(
    small: RealServer, frame: bytes, code: int
) -> None:
    with raw_client(small.ws(), "p", "eve") as eve:
        eve.handshake()
        eve.send(frame)
        assert eve.closed() == code


def test_a_text_frame_is_closed_with_4400(small: RealServer) -> None:
    with raw_client(small.ws(), "p", "eve") as eve:
        eve.handshake()
        eve.socket.send("{}")
        assert eve.closed() == 4400
