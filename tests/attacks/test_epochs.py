"""Attacks on a page that was rewritten: replicas, frames and tabs that still hold what was erased (4409)."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from arena import HONEST, Raw
from entries import annotation, comment, deletion, reply, thread
from forged import Forged
from scene import Scene
from trusted import token
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from yjs_peer import YjsBrowser

from crdt_chat.protocol import wire

pytestmark = pytest.mark.node

Stage = Callable[..., Scene]
HONESTLY = thread("ada", "n1", HONEST)


@dataclass(frozen=True)
class Kept:
    """What eve kept of the page as it was: a state, its vector, all frames, and the ids of three writers."""

    state: bytes
    vector: bytes
    frames: list[bytes]
    ada: int
    carl: int
    eve: int


def keep(scene: Scene, carl: YjsBrowser | None = None) -> Kept:
    eve = scene.eve
    frames = eve.frames("in") + eve.frames("out")
    clients = scene.ada.client, (carl or scene.bob).client, eve.client
    return Kept(eve.step2(), eve.state_vector(), frames, *clients)


@pytest.fixture(params=["comment", "thread", "person", "page"])
def erased(stage: Stage, request: pytest.FixtureRequest) -> tuple[Scene, Kept]:
    """ada's page after an erasure, while eve was away with all of it; what is erased holds the marker."""
    scene = stage()
    # Nobody of this name is on the pages of other attacks.
    user = f"carl of {scene.page}"
    carl = scene.person(user)
    carl.transact(reply(user, "e1/c3", scene.marker))
    for browser in (scene.ada, scene.bob, scene.eve):
        browser.wait(has=[("comments", "e1/c3")])
    kept = keep(scene, carl)
    scene.eve.disconnect()
    scene.erase(*{
        "comment": ("--annotation", "e1/c3", "--page", scene.page),
        "thread": ("--annotation", "e1", "--page", scene.page),
        "person": ("--user", user),
        "page": ("--page", scene.page),
    }[request.param])  # fmt: skip
    scene.start_anew("ada", "bob")
    assert scene.marker not in str(scene.before)
    return scene, kept


Erased = tuple[Scene, Kept]


def test_a_stock_replica_that_was_away(erased: Erased) -> None:
    """With what it wrote meanwhile; as often as it dials it hears 4409, until it starts anew."""
    scene, _ = erased
    scene.eve.transact([("set", "comments", "e1/c9", comment("eve", scene.marker))])
    scene.attacks = 3
    with scene.attack(ends=4409, honest=HONESTLY) as eve:
        for _ in range(3):
            before = len(eve.status().closes)
            eve.connect()
            eve.wait(closes=before + 1)
            assert eve.status().closes[-1]["code"] == 4409


def names_somebody(frame: bytes) -> bool:
    """Whether it is a sync frame with a client id in it."""
    match wire.decode(frame):
        case wire.SyncStep1(vector):
            return vector != b"\x00"
        case wire.SyncStep2(update) | wire.Update(update):
            return update != b"\x00\x00"
    return False


def forged(scene: Scene, kept: Kept) -> list[Forged]:
    """Structs, origins and deletions of ids of the old epoch, and one good operation beside such an id."""
    words, fresh = comment("eve", scene.marker), 95_000
    updates = [
        *(Forged(client, clock) for client in (kept.ada, kept.carl, kept.eve) for clock in (0, 500)),
        *(Forged(fresh).drop((client, 0)) for client in (kept.ada, kept.carl, kept.eve)),
        Forged(fresh).drop((kept.carl, 0), 1_000), Forged(fresh).drop((kept.eve, 10_000)),
    ]  # fmt: skip
    for update in updates[:3]:
        update.gc(1)
    updates[3].skip(3)
    updates[4].set("comments", "a1/f1", words)
    updates[5].tombstone("comments", "a1/f2")
    for origin in ((kept.ada, 0), (kept.eve, 77_000)):
        update = Forged(fresh)
        update.set("comments", "", words, origin)
        # The origin alone must do.
        update.deleted.clear()
        updates.append(update)
    mixed = Forged(fresh)
    mixed.set("annotations", "f3", annotation("eve", scene.marker))
    updates.append(mixed.drop((kept.carl, 0)))
    return updates


def test_every_kind_of_frame_that_knows_the_old_epoch(erased: Erased) -> None:
    """A state, a vector, the old frames one by one, and what is forged: each ends a socket of its own."""
    scene, kept = erased
    updates = [kept.state, *(each.data() for each in forged(scene, kept))]
    frames = [make(update) for update in updates for make in (wire.update, wire.step2)]
    frames += [wire.step1(kept.vector), *filter(names_somebody, kept.frames)]
    scene.attacks = len(frames)
    with scene.attack(ends="free", honest=HONESTLY):
        for frame in frames:
            with scene.raw() as thief:
                thief.send(frame)
                assert thief.closed() == 4409, frame


def test_a_retired_id_that_is_announced_first(erased: Erased) -> None:
    """The victim's and her own: neither makes what is written under it any fresher."""
    scene, kept = erased
    scene.attacks = 2
    with scene.attack(ends="free", honest=HONESTLY):
        for client in (kept.ada, kept.eve):
            update = Forged(client)
            update.set("annotations", "f1", annotation("eve", scene.marker))
            with scene.raw() as thief:
                entry = wire.AwarenessEntry(client, 1, json.dumps({"said": "hello"}))
                thief.send(wire.awareness_of([wire.encode_entry(entry)]), update.update())
                assert thief.closed() == 4409


def test_a_socket_that_was_open_and_goes_on_sending(stage: Stage) -> None:
    """It does not care that it was closed: what it sent before and after is of the old epoch."""
    scene = stage()
    scene.ada.transact(reply("ada", "e1/c3", scene.marker))
    scene.eve.wait(has=[("comments", "e1/c3")])
    kept = keep(scene)
    with scene.raw() as thief:
        thief.send(wire.step1(b"\x00"))
        while not isinstance(thief.read(), wire.SyncStep2):
            pass
        thief.frames.clear()
        scene.erase("--annotation", "e1/c3", "--page", scene.page)
        scene.start_anew("ada", "bob", "eve")
        with scene.attack(ends="free", honest=HONESTLY):
            with contextlib.suppress(ConnectionClosed):
                for _ in range(20):
                    thief.send(wire.step2(kept.state), wire.update(kept.state), wire.step1(b"\x00"))
            assert thief.closed() == 4409


def test_an_old_tab_beside_a_fresh_one(stage: Stage) -> None:
    """Tabs of one browser pass on to each other what they have: with an old one open none gets in."""
    scene = stage()
    scene.ada.transact(reply("ada", "e1/c3", scene.marker))
    scene.eve.wait(has=[("comments", "e1/c3")])
    old = scene.person("eve", tabs=True)
    scene.erase("--annotation", "e1/c3", "--page", scene.page)
    old.wait(denied=True)
    scene.start_anew("ada", "bob", "eve")
    with scene.attack(ends="free", honest=HONESTLY):
        fresh = scene.person("eve", tabs=True, connect=False)
        fresh.connect()
        fresh.wait(denied=True, has=[("comments", "e1/c3")])
        assert fresh.status().denied["code"] == 4409
        for browser in (old, fresh):
            browser.disconnect()


@pytest.mark.parametrize(
    ("epoch", "code"),
    [("1", 4409), ("3", 4409), ("0", 4409), ("999999999999999", 4409), ("9" * 16, 4400), ("-1", 4400),
     ("2.0", 4400), ("", None), ("two", 4400), ("2", None), ("\u0662", None)],
)  # fmt: skip
def test_the_epoch_in_the_address(stage: Stage, epoch: str, code: int | None) -> None:
    """Another epoch than the page's is told so at once; what is no number is malformed."""
    scene = stage()
    scene.erase("--annotation", "a1/c2", "--page", scene.page)
    scene.start_anew("ada", "bob", "eve")
    with scene.attack(ends="free", honest=HONESTLY):
        query = urlencode(
            {"token": token(scene.tenant, "eve"), "epoch": epoch, "caps": "crdt-chat.1"}
        )
        address = f"{scene.arena.server.running.ws(scene.tenant)}/{scene.page}?{query}"
        with connect(address, compression=None) as socket:
            thief = Raw(socket)
            scene.raws.append(thief)
            if code is None:
                assert thief.controls("hello")["epoch"] == 2
            else:
                assert thief.closed() == code


def test_replicas_of_two_epochs_after_a_second_erasure_and_a_crash(erased: Erased) -> None:
    """Ids stay retired for ever: over another erasure, kill -9, and in a page that was let go."""
    scene, first = erased
    scene.ada.transact(thread("ada", "m1", HONEST))
    scene.bob.wait(has=[("comments", "m1/c1")])
    second = scene.person("eve").wait(has=[("comments", "m1/c1")])
    states = [first.state, second.step2()]
    scene.erase("--annotation", "m1/c1", "--page", scene.page)
    scene.start_anew("ada", "bob")
    scene.arena.server.running.kill()
    scene.arena.server.running.start()
    scene.restarted()
    scene.attacks = 3
    with scene.attack(ends=4409, honest=HONESTLY) as eve:
        eve.connect()
        for state in states:
            with scene.raw() as thief:
                thief.send(wire.step2(state))
                assert thief.closed() == 4409


@pytest.mark.parametrize("before", ["deleted", "hidden"])
def test_what_lay_aside_when_it_was_erased_is_not_put_back(stage: Stage, before: str) -> None:
    """Deleted or hidden words are erased where they are kept, so no moderator's verb finds them again."""
    scene = stage()
    scene.ada.transact(reply("ada", "a1/c3", scene.marker))
    scene.eve.wait(has=[("comments", "a1/c3")])
    kept = keep(scene)
    if before == "hidden":
        scene.moderate("hide", "a1/c3", reason="rude")
    else:
        scene.ada.transact(deletion("ada", "a1/c3"))
    scene.bob.wait(lacks=[("comments", "a1/c3")])
    scene.erase("--annotation", "a1/c3", "--page", scene.page)
    scene.start_anew("ada", "bob", "eve")
    url = f"{scene.arena.server.http}/api/v1/tenants/{scene.tenant}/moderation"
    scene.attacks = 4
    with scene.attack(ends="free", honest=HONESTLY):
        for action in ("restore", "unhide"):
            body = {"page": scene.page, "action": action, "entity": "a1/c3"}
            scene.arena.http.post(url, json=body, headers=scene.bearer("mod", "moderator"))
        lifting = Forged(96_000)
        lifting.drop((kept.ada, 0), 50)
        for frame in (lifting.update(), wire.update(kept.state)):
            with scene.raw("mod", "moderator") as thief:
                thief.send(frame)
                assert thief.closed() == 4409
        told = scene.arena.http.get(
            url, params={"page": scene.page}, headers=scene.bearer("mod", "moderator")
        )
        assert scene.marker not in told.text


def test_an_erasure_outlives_a_backup_that_still_has_it(stage: Stage, tmp_path: Path) -> None:
    """The backup is restored, the erasure done again: neither it nor any replica brings the words back."""
    scene = stage()
    server, backup = scene.arena.server, tmp_path / "backup.db"
    scene.ada.transact(reply("ada", "e1/c3", scene.marker))
    scene.eve.wait(has=[("comments", "e1/c3")])
    first = keep(scene)
    server.command("backup", str(backup))
    assert scene.marker.encode() in backup.read_bytes()
    scene.erase("--annotation", "e1/c3", "--page", scene.page)
    scene.start_anew("ada", "bob", "eve")
    second = scene.person("eve").step2()
    server.running.stop()
    server.command("restore", str(backup))
    server.running.start()
    scene.restarted()
    for browser in (scene.ada, scene.bob):
        browser.wait(closes=1)
    scene.start_anew("ada", "bob")
    assert "e1/c3" not in scene.before["comments"]
    scene.attacks = 3
    with scene.attack(ends=4409, honest=HONESTLY) as eve:
        eve.connect()
        for state in (first.state, second):
            with scene.raw() as thief:
                thief.send(wire.step2(state))
                assert thief.closed() == 4409


def test_what_legacy_and_json_clients_ask_for_after_an_erasure(erased: Erased) -> None:
    """The log of events, from its beginning too, listings, moderation and audit: nobody is told of it."""
    scene, _ = erased
    http, root = scene.arena.http, scene.arena.server.http
    api = f"{root}/api/v1/tenants/{scene.tenant}"
    asked = [
        (f"{root}/event-log/{scene.tenant}", {"urlId": scene.page}),
        (f"{root}/event-log/{scene.tenant}", {"urlId": scene.page, "startTime": "0", "endTime": str(2**52)}),
        (f"{root}/comment-collab-chats/{scene.tenant}", {"urlId": scene.page}),
        (f"{api}/moderation", {"page": scene.page}), (f"{api}/moderation", {}), (f"{api}/audit", {}),
        (f"{api}/exports", {"user": "ada"}), (f"{api}/exports", {"user": f"carl of {scene.page}"}),
    ]  # fmt: skip
    scene.attacks = len(asked)
    with scene.attack(ends="free", honest=HONESTLY):
        for url, query in asked:
            answer = http.get(url, params=query, headers=scene.bearer("root", "admin"))
            assert answer.is_success, (url, answer.text)
            assert scene.marker not in answer.text, url
