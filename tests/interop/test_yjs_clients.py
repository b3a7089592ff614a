"""Everyone converges: yjs 13.6 with y-websocket 3.1 under Node against a real server."""

from collections.abc import Sequence

import pytest
from contents import canonical
from entries import annotation, comment, deletion, reply, thread
from server import RealServer, StartServer
from tcp_proxy import proxied
from yjs_peer import YjsBrowser, YjsPeers, running_peers

pytestmark = pytest.mark.node


def assert_equal(*browsers: YjsBrowser) -> None:
    """All show the same and wait for nothing."""
    first, *others = browsers
    content = first.content()
    for other in others:
        other.wait(content=content)
    assert not any(browser.pending() for browser in browsers)


def synced(browsers: Sequence[YjsBrowser]) -> None:
    for browser in browsers:
        browser.wait(synced=True)


def test_two_browsers_annotate_together(yjs: YjsPeers, server: RealServer) -> None:
    ada = yjs.browser("ada", server.ws(), "p", user="ada").wait(synced=True)
    bob = yjs.browser("bob", server.ws(), "p", user="bob").wait(synced=True)
    ada.transact(thread("ada", "a1"))
    bob.wait(has=[("annotations", "a1"), ("comments", "a1/c1")])
    bob.transact(reply("bob", "a1/c2"))
    ada.wait(has=[("comments", "a1/c2")])
    assert_equal(ada, bob)


def test_browsers_of_several_processes_meet(yjs: YjsPeers, server: RealServer) -> None:
    with running_peers() as others:
        ada = yjs.browser("ada", server.ws(), "p", user="ada").wait(synced=True)
        bob = others.browser("bob", server.ws(), "p", user="bob").wait(synced=True)
        ada.transact(thread("ada", "a1"))
        bob.wait(has=[("comments", "a1/c1")])
        bob.transact(reply("bob", "a1/c2"))
        ada.wait(has=[("comments", "a1/c2")])
        assert_equal(ada, bob)
        assert others.complaints() == []


def test_pages_and_tenants_do_not_mix(yjs: YjsPeers, start_server: StartServer) -> None:
    server = start_server(tenants=["one", "two"])
    ada = yjs.browser("ada", server.ws("one"), "p%2F1", user="ada").wait(synced=True)
    same = yjs.browser("same", server.ws("one"), "p%2F1", user="bob").wait(synced=True)
    page = yjs.browser("page", server.ws("one"), "p", user="bob").wait(synced=True)
    tenant = yjs.browser("tenant", server.ws("two"), "p%2F1", user="bob").wait(synced=True)
    ada.transact(thread("ada", "a1"))
    same.wait(has=[("annotations", "a1")])
    assert page.content() == tenant.content() == {}
    # A fresh answer of the server says so too.
    late = yjs.browser("late", server.ws("two"), "p%2F1", user="bob").wait(synced=True)
    assert late.content() == {}


def test_an_unknown_tenant_is_refused_once_and_for_good(yjs: YjsPeers, server: RealServer) -> None:
    ada = yjs.browser("ada", server.ws("nobody"), "p", user="ada").wait(denied=True)
    assert ada.status().denied == {"code": 4404, "reason": ada.status().closes[0]["reason"]}
    assert ada.status().dials == 1


def test_offline_edits_on_both_sides_merge(yjs: YjsPeers, server: RealServer) -> None:
    ada = yjs.browser("ada", server.ws(), "p", user="ada", backoff=200).wait(synced=True)
    bob = yjs.browser("bob", server.ws(), "p", user="bob", backoff=200).wait(synced=True)
    ada.transact(thread("ada", "a1"))
    bob.wait(has=[("annotations", "a1")])
    server.kill()
    ada.wait(connected=False)
    bob.wait(connected=False)
    ada.transact(thread("ada", "a2"))
    ada.transact([("set", "comments", "a1/c1", comment("ada", "edited", edited=5))])
    bob.transact(reply("bob", "a1/c2"))
    server.start()
    wanted = [("annotations", "a2"), ("comments", "a1/c2"), ("annotations", "a1")]
    ada.wait(has=wanted)
    bob.wait(has=wanted, value=("comments", "a1/c1", comment("ada", "edited", edited=5)))
    assert_equal(ada, bob)


def test_a_paused_network_loses_nothing(yjs: YjsPeers, server: RealServer) -> None:
    with proxied(server.port) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/ws/demo"
        ada = yjs.browser("ada", url, "p", user="ada", backoff=200).wait(synced=True)
        bob = yjs.browser("bob", server.ws(), "p", user="bob").wait(synced=True)
        proxy.pause()
        ada.transact(thread("ada", "a1"))
        bob.transact(thread("bob", "b1"))
        proxy.reset()
        ada.wait(connected=False)
        ada.transact(reply("ada", "a1/c2"))
        proxy.resume()
        bob.wait(has=[("annotations", "a1"), ("comments", "a1/c2")])
        ada.wait(has=[("annotations", "b1")])
        assert_equal(ada, bob)
        ada.disconnect()


def test_a_reply_made_offline_survives_the_deletion_of_its_thread(
    yjs: YjsPeers, server: RealServer
) -> None:
    ada = yjs.browser("ada", server.ws(), "p", user="ada").wait(synced=True)
    bob = yjs.browser("bob", server.ws(), "p", user="bob", backoff=200).wait(synced=True)
    ada.transact(thread("ada", "a1"))
    bob.wait(has=[("comments", "a1/c1")])
    bob.disconnect()
    bob.transact(reply("bob", "a1/c2"))
    ada.transact(deletion("ada", "a1", ("comments", "a1/c1")))
    bob.connect()
    bob.wait(lacks=[("annotations", "a1"), ("comments", "a1/c1")], has=[("comments", "a1/c2")])
    ada.wait(has=[("comments", "a1/c2")])
    assert_equal(ada, bob)


def test_the_same_key_from_two_sides_ends_the_same_everywhere(
    yjs: YjsPeers, server: RealServer
) -> None:
    one = yjs.browser("one", server.ws(), "p", user="ada").wait(synced=True)
    two = yjs.browser("two", server.ws(), "p", user="ada").wait(synced=True)
    one.transact(thread("ada", "a1"))
    two.wait(has=[("comments", "a1/c1")])
    one.disconnect()
    two.disconnect()
    one.transact([("set", "comments", "a1/c1", comment("ada", "from one"))])
    two.transact([("set", "comments", "a1/c1", comment("ada", "from two"))])
    one.connect()
    two.connect()
    synced([one, two])
    watcher = yjs.browser("watcher", server.ws(), "p", user="bob")
    higher = one if one.client > two.client else two
    wanted = higher.content()
    for browser in (one, two, watcher):
        browser.wait(content=wanted)


def test_two_tabs_of_one_browser_sync_without_the_server_and_with_it(
    yjs: YjsPeers, server: RealServer
) -> None:
    server.kill()
    one = yjs.browser("one", server.ws(), "p", user="ada", tabs=True, backoff=200)
    two = yjs.browser("two", server.ws(), "p", user="ada", tabs=True, backoff=200)
    one.transact(thread("ada", "a1"))
    two.wait(has=[("annotations", "a1")])
    two.transact(reply("ada", "a1/c2"))
    one.wait(has=[("comments", "a1/c2")])
    server.start()
    bob = yjs.browser("bob", server.ws(), "p", user="bob")
    bob.wait(has=[("annotations", "a1"), ("comments", "a1/c2")])
    synced([one, two])
    one.transact(reply("ada", "a1/c3"))
    two.transact(reply("ada", "a1/c4"))
    bob.wait(has=[("comments", "a1/c3"), ("comments", "a1/c4")])
    assert_equal(one, two, bob)


def test_an_edit_before_the_handshake_arrives(yjs: YjsPeers, server: RealServer) -> None:
    bob = yjs.browser("bob", server.ws(), "p", user="bob").wait(synced=True)
    ada = yjs.browser("ada", server.ws(), "p", user="ada", connect=False)
    ada.transact(thread("ada", "a1"))
    ada.connect()
    # As soon as the socket is open, before the server's step 1 has come.
    ada.wait(connected=True)
    ada.transact(reply("ada", "a1/c2"))
    bob.wait(has=[("annotations", "a1"), ("comments", "a1/c2")])
    assert_equal(ada.wait(synced=True), bob)


def test_a_gap_is_answered_with_step_1(yjs: YjsPeers, server: RealServer) -> None:
    bob = yjs.browser("bob", server.ws(), "p", user="bob").wait(synced=True)
    ada = yjs.browser("ada", server.ws(), "p", user="ada").wait(synced=True)
    lost = yjs.replica("lost", client=ada.client + 1)
    lost.transact(thread("ada", "a1"))
    [ahead] = lost.transact(reply("ada", "a1/c2"))
    ada.apply(lost.step2())  # in her replica, but never sent: y-websocket sends only local changes
    asked = ada.status().count("in", "sync-step-1")
    ada.inject(b"\x00\x02" + bytes([len(ahead)]) + ahead)
    bob.wait(has=[("annotations", "a1"), ("comments", "a1/c2")])
    assert ada.status().count("in", "sync-step-1") == asked + 1
    assert_equal(ada, bob)


def test_a_reload_of_the_server_changes_nothing(yjs: YjsPeers, server: RealServer) -> None:
    ada = yjs.browser("ada", server.ws(), "p", user="ada", backoff=200).wait(synced=True)
    for turn in range(20):
        ada.transact(thread("ada", f"a{turn}"))
        ada.transact([("set", "comments", f"a{turn}/c1", comment("ada", f"edit {turn}"))])
    ada.transact(deletion("ada", "a3", ("comments", "a3/c1")))
    ada.transact([("set", "annotations", "a4", annotation("ada", "elsewhere"))])
    bob = yjs.browser("bob", server.ws(), "p", user="bob").wait(content=ada.content())
    before = canonical(bob.content())
    for _ in range(2):
        server.restart()
        late = yjs.browser("late", server.ws(), "p", user="cat").wait(synced=True)
        assert canonical(late.content()) == before
        late.drop()
