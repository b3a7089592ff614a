"""A new annotation costs under 1 KB on the wire, to its author and to every receiver (promise 6)."""

import pytest
from contents import Json
from server import RealServer
from yjs_peer import Operation, YjsPeers

pytestmark = pytest.mark.node

LIMIT = 1_000
CLIENT_HEADER = 8
"""WebSocket header of a client's frame of 126 to 65535 bytes: 2, a length of 2, a mask of 4."""
SERVER_HEADER = 4


def new_annotation(letter: str = "x") -> list[Operation]:
    """Quote 60, prefix and suffix 32, position, a comment of 200 characters, one broadcastId."""
    name, first = "0192f0c1-2b3a-7c4d-8e5f-60718293a4b5", "0192f0c1-2b3a-7c4d-8e5f-60718293a4b6"
    gesture = "0192f0c1-2b3a-7c4d-8e5f-60718293a4b7"
    selector = [
        {
            "type": "TextQuoteSelector",
            "exact": letter * 60,
            "prefix": letter * 32,
            "suffix": letter * 32,
        },
        {"type": "TextPositionSelector", "start": 12345, "end": 12405},
    ]
    shared: Json = {"creator": "ada", "created": 1_763_000_000_000, "broadcastId": gesture}
    return [
        ("set", "annotations", name, {**shared, "target": {"selector": selector}}),
        ("set", "comments", f"{name}/{first}", {**shared, "body": letter * 200}),
    ]


def test_a_new_annotation_weighs_under_1000_bytes(yjs: YjsPeers, server: RealServer) -> None:
    ada = yjs.browser("ada", server.ws(), "p", user="ada", keep=True).wait(synced=True)
    bob = yjs.browser("bob", server.ws(), "p", user="bob", keep=True)
    bob.wait(synced=True, states=2)
    ada.wait(states=2)
    ada.forget()
    bob.forget()
    ada.transact(new_annotation())
    bob.wait(count=("comments", 1))
    # A newcomer is seen behind it in both queues: all that belongs to the annotation has come.
    yjs.browser("marker", server.ws(), "p", user="cat")
    bob.wait(states=3)
    ada.wait(states=3)
    out = weight(ada.frames("out"), CLIENT_HEADER)
    back = weight(ada.frames("in"), SERVER_HEADER)
    receiver = weight(bob.frames("in"), SERVER_HEADER)
    print(f"author out {out}, back {back}; receiver {receiver}")
    assert 0 < out + back < LIMIT
    assert 0 < receiver < LIMIT


def weight(frames: list[bytes], header: int) -> int:
    """Bytes of all sync frames with their WebSocket headers."""
    return sum(len(frame) + header for frame in frames if frame[0] == 0)
