"""The peers themselves: what the other tests believe about them holds."""

import pytest
from contents import canonical
from yjs_peer import UNDEFINED, PeerError, YjsPeers

pytestmark = pytest.mark.node


def test_two_replicas_merge_what_they_sent(yjs: YjsPeers) -> None:
    ada, bob = yjs.replica("ada", client=7), yjs.replica("bob", gc=False)
    bob.apply(*ada.transact([("set", "comments", "a/b", {"body": "é😀", "gone": UNDEFINED})]))
    ada.apply(*bob.transact([("set", "page", "title", "T")]))
    assert ada.client == 7
    assert ada.content() == {"comments": {"a/b": {"body": "é😀"}}, "page": {"title": "T"}}
    assert canonical(ada.content()) == canonical(bob.content())


def test_undo_sends_a_deletion_and_redo_a_new_item(yjs: YjsPeers) -> None:
    ada = yjs.replica("ada", undo=True)
    ada.transact([("set", "page", "title", "first")])
    ada.transact([("set", "page", "title", "second")])
    assert len(ada.undo()) == 1
    assert ada.content() == {"page": {"title": "first"}}
    assert len(ada.redo()) == 1
    assert ada.content() == {"page": {"title": "second"}}


def test_an_update_ahead_is_pending_until_the_step_2(yjs: YjsPeers) -> None:
    ada, bob = yjs.replica("ada"), yjs.replica("bob")
    ada.transact([("set", "page", "title", "1")])
    bob.apply(*ada.transact([("set", "page", "title", "2")]))
    assert bob.pending()
    bob.apply(ada.step2(bob.state_vector()))
    assert not bob.pending()
    assert bob.content() == {"page": {"title": "2"}}


def test_merged_updates_say_the_same(yjs: YjsPeers) -> None:
    ada, bob = yjs.replica("ada"), yjs.replica("bob")
    sent = [ada.transact([("set", "page", "title", str(turn))])[0] for turn in range(3)]
    bob.apply(yjs.merge(sent))
    assert bob.content() == ada.content()


def test_a_mistake_is_an_error_and_not_a_hang(yjs: YjsPeers) -> None:
    with pytest.raises(PeerError, match="there is no peer nobody"):
        yjs.ask("content", "nobody")
