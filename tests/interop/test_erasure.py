"""What is erased is in no file and comes back from no replica, however old (design 7, Epochs)."""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterator

import anyio
import httpx
import pytest
from contents import canonical
from entries import NOW, comment, deletion, encoded, reply, thread
from trusted import TrustedServer, token, trusted
from yjs_peer import YjsBrowser, YjsPeers

import crdt_chat
from crdt_chat.client.errors import Refused
from crdt_chat.protocol import wire
from crdt_chat.server.rooms.projection import projected
from store import open_reader
from store.records import Problem

pytestmark = pytest.mark.node
__all__ = ["trusted"]

ADA = "ada@example.org"
NUMBERS = itertools.count()
WORDS = (b"elephant", b"giraffe", b"flamingo", b"crocodile", b"hippopotamus")
"""One for each way in which her words are kept: live, edited away, deleted, hidden, quoted."""


@pytest.fixture
def page() -> str:
    return f"erased-{next(NUMBERS)}"


def browser(
    server: TrustedServer, yjs: YjsPeers, page: str, user: str, name: str, **more
) -> YjsBrowser:
    params = {"token": token(user=user, role="moderator" if user == "mod" else "editor")}
    return yjs.browser(name, server.running.ws("acme"), page, params=params, **more)


def scene(server: TrustedServer, yjs: YjsPeers, page: str) -> tuple[YjsBrowser, YjsBrowser]:
    """ada has done all that one can do; bob answered her and was answered."""
    ada = browser(server, yjs, page, ADA, "ada").wait(synced=True)
    bob = browser(server, yjs, page, "bob", "bob").wait(synced=True)
    ada.transact(thread(ADA, "a1", "an elephant"))
    ada.transact([("set", "comments", "a1/c2", comment(ADA, "a giraffe"))])
    ada.transact([("set", "comments", "a1/c2", comment(ADA, "nothing", edited=NOW))])
    ada.transact(reply(ADA, "a1/c3", "a flamingo"))
    bob.wait(has=[("comments", "a1/c3")])
    ada.transact(deletion(ADA, "a1/c3"))
    bob.transact(thread("bob", "b1", f"hello @[Ada Lovelace]({ADA})"))
    ada.wait(has=[("comments", "b1/c1")])
    ada.transact([
        *reply(ADA, "b1/c2", "a crocodile"),
        *reply(ADA, "b1/c3", "a hippopotamus"),
        ("set", "reactions", f"b1/c1/👍/{encoded(ADA)}", {"at": NOW}),
    ])  # fmt: skip
    bob.wait(has=[("comments", "b1/c3")])
    act(server, page, "hide", "b1/c2", reason=f"rude of {ADA}")
    bob.wait(lacks=[("comments", "b1/c2"), ("comments", "a1/c3")])
    return ada, bob


def act(server: TrustedServer, page: str, action: str, entity: str, **more: str) -> None:
    headers = {"authorization": f"Bearer {token(user='mod', role='moderator')}"}
    body = {"page": page, "action": action, "entity": entity, **more}
    url = f"{server.http}/api/v1/tenants/acme/moderation"
    answer = httpx.post(url, json=body, headers=headers)
    assert answer.status_code == 204, answer.text


def files(server: TrustedServer) -> Iterator[tuple[str, bytes]]:
    """Every file of the database: itself, its log, its index and what lies beside it."""
    for path in server.running.db.parent.iterdir():
        if path.name.startswith(server.running.db.name) and path.is_file():
            yield path.name, path.read_bytes()


def assert_nowhere(server: TrustedServer, *texts: bytes) -> None:
    searched = dict(files(server))
    assert server.running.db.name in searched
    for name, content in searched.items():
        for text in texts:
            assert text not in content, (name, text)


def assert_somewhere(server: TrustedServer, *texts: bytes) -> None:
    everything = b"".join(content for _, content in files(server))
    for text in texts:
        assert text in everything, text


def test_an_erased_user_is_in_no_file(trusted: TrustedServer, yjs: YjsPeers, page: str) -> None:
    _ada, bob = scene(trusted, yjs, page)
    traces = (*WORDS, ADA.encode(), encoded(ADA).encode(), b"Ada Lovelace")
    assert_somewhere(trusted, *traces)
    done = trusted.asked("erase", "acme", "--user", ADA)
    assert done["pages"] == 1
    assert_nowhere(trusted, *traces)
    bob.wait(denied=True)
    assert bob.status().denied["code"] == 4409
    fresh = browser(trusted, yjs, page, "bob", "fresh").wait(synced=True)
    content = fresh.content()
    assert set(content["annotations"]) == {"b1"}
    assert content["comments"] == {"b1/c1": comment("bob", "hello @[erased](erased)")}
    assert "reactions" not in content
    trusted.running.stop()
    assert_nowhere(trusted, *traces)
    trusted.running.start()


def test_an_export_holds_everything_about_her_and_nothing_after_the_erasure(
    trusted: TrustedServer, yjs: YjsPeers, page: str
) -> None:
    scene(trusted, yjs, page)
    told = trusted.command("export", "acme", "--user", ADA)
    assert all(word.decode() in told for word in WORDS)
    found = json.loads(told)["pages"][page]
    names = {(entry["root"], entry["name"]) for entry in found["content"]}
    assert {("annotations", "a1"), ("reactions", f"b1/c1/👍/{encoded(ADA)}")} <= names
    assert [entry["name"] for entry in found["deleted"]] == ["a1/c3"]
    assert [entry["name"] for entry in found["hidden"]] == ["b1/c2"]
    assert found["mentioned"] == ["b1/c1"]
    assert "@[Ada" not in json.dumps(found)
    trusted.asked("erase", "acme", "--user", ADA)
    assert json.loads(trusted.command("export", "acme", "--user", ADA))["pages"] == {}
    trusted.asked("erase", "acme", "--user", ADA)


def test_no_replica_brings_it_back(trusted: TrustedServer, yjs: YjsPeers, page: str) -> None:
    ada, bob = scene(trusted, yjs, page)
    # She was away, wrote more, and knows nothing; so does he.
    ada.disconnect()
    ada.transact(thread(ADA, "a9", "a giraffe from afar"))
    bob.disconnect()
    bob.transact(reply("bob", "a1/c8", "about the elephant"))
    trusted.asked("erase", "acme", "--user", ADA)
    for old in (ada, bob):
        old.connect()
        old.wait(denied=True)
        assert old.status().denied["code"] == 4409
    # Raw: their whole documents, pushed by somebody who reads no close code.
    for number, old in enumerate((ada, bob)):
        pusher = browser(trusted, yjs, page, "eve", f"pusher{number}").wait(synced=True)
        pusher.inject(wire.update(old.step2()))
        pusher.wait(denied=True)
    trusted.running.stop()
    trusted.running.start()
    late = browser(trusted, yjs, page, "bob", "late").wait(synced=True)
    assert "elephant" not in canonical(late.content())
    assert set(late.content()["annotations"]) == {"b1"}
    assert_nowhere(trusted, b"elephant", b"giraffe", ADA.encode())


def test_our_own_clients_go_on_and_keep_what_is_theirs(
    trusted: TrustedServer, yjs: YjsPeers, page: str
) -> None:
    address = trusted.http.replace("http", "ws", 1)
    with (
        crdt_chat.connect(address, page=f"acme/{page}", token=token(user=ADA)) as hers,
        crdt_chat.connect(address, page=f"acme/{page}", token=token(user="bob")) as his,
    ):
        note = hers.annotate("a passage", "an elephant")
        hers.flush()
        other = his.annotate("another passage", "a harmless note")
        his.flush()
        trusted.asked("erase", "acme", "--page", page, "--annotation", note.id)
        his.reply(other.id, "written after the erasure")
        his.flush()
        with pytest.raises(Refused, match="deleted"):
            hers.flush()
        late = browser(trusted, yjs, page, "bob", "late").wait(synced=True)
        late.wait(count=("comments", 2))
        assert set(late.content()["annotations"]) == {other.id}
        assert [note.id for note in hers.annotations] == [other.id]
    assert_nowhere(trusted, b"an elephant")


def test_an_erased_page_is_empty_and_can_be_used_again(
    trusted: TrustedServer, yjs: YjsPeers, page: str
) -> None:
    ada, _bob = scene(trusted, yjs, page)
    trusted.asked("erase", "acme", "--page", page)
    assert_nowhere(trusted, *WORDS)
    again = browser(trusted, yjs, page, "bob", "again").wait(synced=True)
    assert again.content() == {}
    # The same name as before is refused, a new one is not.
    again.transact(thread("bob", "b1", "from an old copy"))
    again.wait(lacks=[("annotations", "b1")])
    again.transact(thread("bob", "b7", "a new beginning"))
    seen = browser(trusted, yjs, page, "eve", "seen").wait(has=[("comments", "b7/c1")])
    assert set(seen.content()["annotations"]) == {"b7"}
    assert not ada.status().connected


def test_nothing_of_others_is_lost_while_it_happens(
    trusted: TrustedServer, yjs: YjsPeers, page: str
) -> None:
    """bob writes without a pause while ada is erased again and again."""
    address = trusted.http.replace("http", "ws", 1)
    written: list[str] = []
    stop = threading.Event()
    with crdt_chat.connect(address, page=f"acme/{page}", token=token(user="bob")) as his:

        def write() -> None:
            while not stop.is_set():
                written.append(his.annotate("a passage", f"number {len(written)}").id)
                his.flush()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                name = f"ada-{page}-{number}"
                ada = browser(trusted, yjs, page, ADA, name).wait(synced=True)
                ada.transact(thread(ADA, f"x{number}", f"elephant {number}"))
                browser(trusted, yjs, page, "eve", f"{name}-seen").wait(
                    has=[("comments", f"x{number}/c1")]
                )
                trusted.asked("erase", "acme", "--user", ADA)
        finally:
            stop.set()
            writer.join()
        his.flush()
    late = browser(trusted, yjs, page, "bob", "late").wait(synced=True)
    assert set(late.content()["annotations"]) == set(written)
    assert len(late.content()["comments"]) == len(written) > 3
    assert_nowhere(trusted, b"elephant", ADA.encode())


def test_legacy_clients_hear_of_it_without_its_words(
    trusted: TrustedServer, yjs: YjsPeers, page: str
) -> None:
    scene(trusted, yjs, page)
    trusted.asked("erase", "acme", "--user", ADA)
    headers = {"authorization": f"Bearer {token(user='bob')}"}
    params = {"urlId": page, "userIdWS": "anon", "startTime": "0"}
    answer = httpx.get(f"{trusted.http}/event-log/acme", params=params, headers=headers)
    told = [json.loads(row["data"]) for row in answer.json()["events"]]
    kinds = {(event["type"], event["chat"]["_id"]) for event in told}
    assert ("deleted-text-chat", "a1") in kinds
    assert ("updated-text-chat", "b1") in kinds
    assert not any(word in answer.content for word in (*WORDS, ADA.encode()))


def test_who_may_erase_and_what_is_a_mistake(trusted: TrustedServer, page: str) -> None:
    url = f"{trusted.http}/api/v1/tenants/acme/erasures"
    for role, status in (("moderator", 403), ("admin", 404)):
        headers = {"authorization": f"Bearer {token(role=role)}"}
        assert httpx.post(url, json={"page": page}, headers=headers).status_code == status
    headers = {"authorization": f"Bearer {token(role='admin')}"}
    for body in ({}, {"user": "a", "page": "b"}, {"annotation": "a1"}, {"user": "a\u0001"}):
        assert httpx.post(url, json=body, headers=headers).status_code == 400
    entries = [json.loads(line) for line in trusted.command("audit", "acme", "--json").splitlines()]
    assert any(entry["action"] == "erase.user" for entry in entries)


def test_an_erasure_that_was_killed_is_finished_by_asking_again(
    trusted: TrustedServer, yjs: YjsPeers, page: str
) -> None:
    """kill -9 anywhere in it leaves each page as it was or erased, and the log tells of it."""
    scene(trusted, yjs, page)
    yjs.clear()
    words = ["erase", "acme", "--user", ADA]
    for delay in (0.0, 0.02, 0.05):
        asking = threading.Thread(target=lambda: suppressed(trusted, words))
        asking.start()
        log = trusted.running.db.with_name(trusted.running.db.name + ".erasures")
        before = log.stat().st_size if log.exists() else 0
        while asking.is_alive() and (not log.exists() or log.stat().st_size == before):
            time.sleep(0.001)
        time.sleep(delay)
        trusted.running.kill()
        asking.join()
        trusted.running.start()
    trusted.asked(*words)
    assert_nowhere(trusted, *WORDS, ADA.encode())
    late = browser(trusted, yjs, page, "bob", "late").wait(synced=True)
    assert set(late.content()["annotations"]) == {"b1"}
    assert anyio.run(problems, trusted) == []


async def problems(server: TrustedServer) -> list[Problem]:
    """What `integrity` finds."""
    reader = open_reader(server.running.db)
    found = (await reader.integrity(projected)).problems
    await reader.close()
    return found


def suppressed(server: TrustedServer, words: list[str]) -> None:
    """The command, whose server is killed while it runs."""
    with contextlib.suppress(AssertionError):
        server.command(*words)
