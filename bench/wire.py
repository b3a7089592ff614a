"""Bytes on the wire of each kind of operation, by script, between stock y-websocket clients.

python bench/wire.py [--markdown]: out (author to server), back (server to author) and receiver,
sync frames with their WebSocket headers, uncompressed, from a real server.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from contents import Json  # noqa: E402
from server import RealServer, running_server  # noqa: E402
from yjs_peer import Operation, YjsBrowser, YjsPeers  # noqa: E402

SCRIPTS = {"Latin": "x", "Cyrillic": "ж", "CJK": "字"}
NOW = 1_763_000_000_000
ID = "0192f0c1-2b3a-7c4d-8e5f-60718293a4"
THREAD, FIRST, SECOND, GESTURE = (ID + end for end in ("b5", "b6", "b7", "b8"))
SHARED: Json = {"creator": "ada", "created": NOW, "broadcastId": GESTURE}


def header(size: int, *, masked: bool) -> int:
    """Bytes of the WebSocket header before a payload of this size (RFC 6455, 5.2)."""
    length = 2 if size < 126 else 4 if size < 2**16 else 10
    return length + (4 if masked else 0)


def operations(letter: str) -> list[tuple[str, list[Operation]]]:
    """Each kind of operation once, in an order in which all are allowed."""
    selector = [
        {
            "type": "TextQuoteSelector",
            "exact": letter * 60,
            "prefix": letter * 32,
            "suffix": letter * 32,
        },
        {"type": "TextPositionSelector", "start": 12345, "end": 12405},
    ]
    reply = {**SHARED, "body": letter * 80, "parent": FIRST}
    flag = {"by": "ada", "at": NOW, "resolved": True, "broadcastId": GESTURE}
    entry = {"by": "ada", "at": NOW, "broadcastId": GESTURE}
    reaction = f"{THREAD}/{FIRST}/👍/ada"
    return [
        (
            "new annotation, comment of 200",
            [
                ("set", "annotations", THREAD, {**SHARED, "target": {"selector": selector}}),
                ("set", "comments", f"{THREAD}/{FIRST}", {**SHARED, "body": letter * 200}),
            ],
        ),
        ("reply of 80", [("set", "comments", f"{THREAD}/{SECOND}", reply)]),
        ("edit of it", [("set", "comments", f"{THREAD}/{SECOND}", {**reply, "edited": NOW})]),
        ("reaction", [("set", "reactions", reaction, {"at": NOW, "broadcastId": GESTURE})]),
        ("reaction taken back", [("delete", "reactions", reaction)]),
        ("resolve", [("set", "resolved", THREAD, flag)]),
        (
            "comment deleted",
            [
                ("set", "deleted", f"{THREAD}/{SECOND}/ada", entry),
                ("delete", "comments", f"{THREAD}/{SECOND}"),
            ],
        ),
        ("deletion lifted", [("delete", "deleted", f"{THREAD}/{SECOND}/ada")]),
    ]


def weight(browser: YjsBrowser, way: str) -> int:
    """Bytes of the sync frames that went this way since the last `forget`."""
    frames = browser.frames("in" if way == "in" else "out")
    sizes = [len(frame) for frame in frames if frame[0] == 0]
    return sum(size + header(size, masked=way == "out") for size in sizes)


def weigh(yjs: YjsPeers, server: RealServer, script: str) -> list[tuple[str, int, int, int]]:
    """(operation, out, back, receiver) for each kind of operation in this script."""
    rows = []
    ada = yjs.browser("ada", server.ws(), script, user="ada", keep=True).wait(synced=True)
    bob = yjs.browser("bob", server.ws(), script, user="bob", keep=True).wait(synced=True, states=2)
    ada.wait(states=2)
    for name, writes in operations(SCRIPTS[script]):
        ada.forget()
        bob.forget()
        ada.transact(writes)
        # A newcomer is seen behind it in both queues: all that belongs to it has come by then.
        marker = yjs.browser("marker", server.ws(), script, user="cat")
        ada.wait(states=3)
        # Only now: what a lifted deletion brings back the server writes after her.
        bob.wait(states=3, content=ada.content())
        rows.append((name, weight(ada, "out"), weight(ada, "in"), weight(bob, "in")))
        marker.drop()
        ada.wait(states=2)
        bob.wait(states=2)
    ada.drop()
    bob.drop()
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="as a Markdown table")
    options = parser.parse_args()
    line: Callable[..., str] = (
        "| {:32} | {:8} | {:>5} | {:>5} | {:>8} |".format
        if options.markdown
        else "{:32}  {:8}  {:>5}  {:>5}  {:>8}".format
    )
    print(line("operation", "script", "out", "back", "receiver"))
    if options.markdown:
        print("|---|---|---:|---:|---:|")
    with (
        tempfile.TemporaryDirectory() as folder,
        YjsPeers() as yjs,
        running_server(Path(folder)) as server,
    ):
        for script in SCRIPTS:
            for row in weigh(yjs, server, script):
                print(line(row[0], script, *row[1:]))


if __name__ == "__main__":
    main()
