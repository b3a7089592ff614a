"""What the rules of a page refuse to a Python program, which goes on; honest writes beside it survive."""

import contextlib
import random
from typing import Any

import pytest
from python_pages import SECRET, Place, client_id, force, roots, sync
from server import RealServer, StartServer
from waiting import PATIENCE_S

import crdt_chat
from crdt_chat.client.model import Annotation
from crdt_chat.client.page import Page
from crdt_chat.client.replica import Operation
from crdt_chat.errors import CrdtChatError, TooLarge


def test_a_deleted_thread_is_gone_with_all_below_it_and_a_late_reply_does_no_harm(
    ada: Page, bob: Page
) -> None:
    thread = ada.annotate("quote", "to be deleted")
    sync(ada, bob)
    with bob.offline():
        late = bob.reply(thread.id, "unaware")
        ada.delete(thread)
        ada.flush()
    sync(ada, bob)
    assert ada.annotations == bob.annotations == []
    # "A comment under a new id is kept, below a deleted thread too (moderators see it)."
    assert list(roots(ada)["comments"]) == [late.name]
    assert roots(ada) == roots(bob)


def test_an_edit_that_lost_to_a_deletion_is_told_and_rolled_back(
    place: Place, ada: Page, bob: Page
) -> None:
    thread = ada.annotate("quote", "why?")
    with place.open("ada") as phone:
        comment = phone[thread.id].comments[0]
        branch = phone.offline()
        branch.__enter__()
        phone.edit(comment, "why not?")
        ada.delete(comment)
        ada.flush()
        with pytest.raises(crdt_chat.Refused) as refused:
            branch.__exit__(None, None, None)
        assert refused.value.rule == "deleted"
        assert refused.value.value["body"] == "why not?"
        before = client_id(phone)
        phone.reply(thread.id, "still here")
        sync(phone, ada, bob)
        assert client_id(phone) == before  # an honest race costs no document
        assert roots(phone) == roots(ada) == roots(bob)


def test_a_forbidden_write_reaches_nobody_and_its_author_goes_on(
    server: RealServer, ada: Page, bob: Page
) -> None:
    thread = ada.annotate("quote", "ada's own")
    sync(ada, bob)
    name = thread.comments[0].name
    forged = dict(roots(bob)["comments"][name]) | {"body": SECRET}
    force(bob, ("comments", name, forged))
    with pytest.raises(crdt_chat.Refused) as refused:
        bob.flush()
    assert (refused.value.key, refused.value.rule) == (f"comments/{name}", "owner")
    assert refused.value.value["body"] == SECRET
    bob.reply(thread.id, "sorry")
    sync(bob, ada)
    assert roots(ada) == roots(bob)
    assert [comment.body for comment in bob[thread.id].comments] == ["ada's own", "sorry"]
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in _files(server))


def _files(server: RealServer) -> list[Any]:
    return [path for path in server.db.parent.glob(server.db.name + "*") if path.is_file()]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_refused_honest_writes_beside_it_survive(
    place: Place, ada: Page, bob: Page, seed: int
) -> None:
    chance = random.Random(seed)
    threads = [ada.annotate("quote", f"ada's {number}") for number in range(4)]
    sync(ada, bob)
    own = [bob.annotate("quote", f"bob's {number}") for number in range(3)]
    bob.flush()
    branch = bob.offline()
    branch.__enter__()
    honest = {bob.reply(chance.choice(threads).id, f"fine {n}").name for n in range(3)}
    honest.add(bob.annotate("another", "fine too").comments[0].name)
    for thread in chance.sample(threads, 3):
        force(bob, *_forbidden(chance, thread))
    honest.add(bob.reply(own[0], "and this").name)
    with pytest.raises(crdt_chat.Refused):
        branch.__exit__(None, None, None)
    sync(bob, ada)
    assert roots(ada) == roots(bob)
    assert honest <= roots(ada)["comments"].keys()
    assert len(ada.annotations) == 8
    assert (bob.status, bob.unsaved) == ("synced", 0)
    assert place.seen_by_a_late_joiner() == ada.annotations


def _forbidden(chance: random.Random, thread: Annotation) -> list[Operation]:
    """What bob may not do to a thread of ada's."""
    comment = thread.comments[0].name
    base = {"creator": "ada", "created": 1, "body": SECRET}
    return chance.choice(
        [
            [("comments", comment, None)],
            [("annotations", thread.id, None), ("comments", comment, None)],
            [("comments", comment, base)],
            [("comments", f"{thread.id}/forged", base)],
            [("deleted", f"{thread.id}/bob", {"by": "bob", "at": 1}), ("comments", comment, None)],
            [("deleted", f"{thread.id}/ada", {"by": "ada", "at": 1})],
            [("resolved", thread.id, {"by": "bob", "at": 1, "resolved": True})],
            [("closed", thread.id, {"by": "bob", "at": 1, "closed": True})],
            [("reactions", f"{comment}/👍/ada", {"at": 1})],
            [("page", "title", SECRET)],
        ]
    )


def test_a_batch_that_is_too_large_is_told_and_keeps_what_was_written(
    start_server: StartServer,
) -> None:
    """The server reads on and drops it, so that its code arrives: the end comes while she still sends."""
    server = start_server(arguments=["--set", "limits.first_batch_bytes=1100000"])
    address = server.http.replace("http", "ws", 1)
    page = crdt_chat.connect(address, page="demo/too-large", user="ada")
    try:
        # Said at the end of it, or later where the machine is slow.
        with contextlib.suppress(CrdtChatError), page.offline():
            for number in range(1_500):
                page.annotate(f"quote {number}", "x" * 9_000)
        with pytest.raises(TooLarge):
            page.flush(PATIENCE_S)
        assert len(page.annotations) == 1_500
    finally:
        with pytest.raises(TooLarge):
            page.close(PATIENCE_S)
