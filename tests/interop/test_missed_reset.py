"""A stock client that never heard of its reset comes back with the refused replica."""

import pytest
from entries import comment, thread
from server import RealServer
from yjs_peer import YjsPeers

pytestmark = pytest.mark.node


@pytest.mark.parametrize("edited_meanwhile", [False, True])
def test_who_missed_a_reset_is_told_again(
    yjs: YjsPeers, server: RealServer, edited_meanwhile: bool
) -> None:
    # The higher client id: her refused item would stay the winner in her own replica.
    ada = yjs.browser("ada", server.ws(), "p", user="ada", client=70_000).wait(synced=True)
    ada.transact(thread("ada", "a1"))
    eve = yjs.browser("eve", server.ws(), "p", user="eve", client=9_000_000, backoff=60_000)
    eve.wait(has=[("comments", "a1/c1")])
    eve.pause()
    eve.transact([("set", "comments", "a1/c1", comment("ada", "EVIL"))])
    ada.transact(thread("ada", "a2"))
    yjs.browser("bob", server.ws(), "p", user="bob").wait(has=[("annotations", "a2")]).drop()
    eve.disconnect()
    if edited_meanwhile:
        ada.transact([("set", "comments", "a1/c1", comment("ada", "edited"))])
    eve.connect()
    eve.wait(denied=True)
    assert eve.status().closes[-1]["code"] == 4403
    fresh = yjs.browser("fresh", server.ws(), "p", user="eve").wait(content=ada.content())
    assert "EVIL" not in str(fresh.content())
