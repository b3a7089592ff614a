"""Updates from the grammar of Yjs v1, with everything in it that a hostile client could write.

Most of an update is as it should be, so that it gets past the decoder and deep into the gate; each
field may be wrong by itself.
"""

import random
from typing import Any

from handmade import NOW
from hostile.soil import Soil
from hostile.writing import ODD_VALUES, any_value, overlong, text, varuint

ROOTS = ("annotations", "comments", "reactions", "resolved", "deleted", "closed", "page")
ODD_NAMES = (
    "",
    "page",
    "__proto__",
    "a b",
    "a/b/c/d/e",
    "x" * 70,
    "a0/",
    "/a0",
    "a0/c0/👍👍👍👍👍👍👍👍👍/zed",
    "a0/%7Aed",
    "\x00",
    "\ud800",
    "é" * 300,
)
ODD_CLIENTS = (0, 1, 9, 2**16, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63, 2**70)
ODD_CLOCKS = (2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1, 2**53 - 1)
CONTENTS = {
    2: b"\x01\x03[1]",
    3: b"\x02xy",
    4: b"\x03abc",
    5: b"\x02{}",
    6: b"\x01k\x01v",
    7: b"\x01",
    9: b"\x01d\x76\x00",
    11: b"\x00",
    15: b"\x01",
    31: b"",
}
"""What our page has no use for, by its content number: JSON, binary, string, embed, format, type, doc."""


class Grammar:
    """One hostile writer on one page. mark: a text that every value of the next update holds."""

    def __init__(self, rng: random.Random, soil: Soil) -> None:
        self.rng = rng
        self.soil = soil
        self.mark = ""
        self._ends: dict[int, int] = {}
        self._deleted: list[tuple[int, int, int]] = []

    def update(self) -> bytes:
        """One update."""
        rng = self.rng
        self._ends, self._deleted = {}, []
        sections = 1 if rng.random() < 0.7 else rng.randrange(4)
        out = bytearray()
        self._uint(out, sections)
        for _ in range(sections):
            self._section(out)
        self._delete_set(out)
        if rng.random() < 0.02:
            del out[rng.randrange(len(out)) :]
        elif rng.random() < 0.01:
            out += rng.randbytes(rng.randrange(1, 5))
        return bytes(out)

    def _uint(self, out: bytearray, value: int) -> None:
        (overlong if self.rng.random() < 0.002 else varuint)(out, value)

    def _client(self) -> int:
        dice = self.rng.random()
        if dice < 0.6:
            return self.rng.choice(self.soil.own)
        if dice < 0.85 and self.soil.clients:
            return self.rng.choice(list(self.soil.clients))
        if dice < 0.95:
            return self.rng.randrange(2**16, 2**53)
        return self.rng.choice(ODD_CLIENTS)

    def _section(self, out: bytearray) -> None:
        rng = self.rng
        client = self._client()
        clock = self._ends.get(client, self.soil.clients.get(client, 0))
        dice = rng.random()
        if dice < 0.08:
            clock = max(0, clock - rng.randrange(1, 4))
        elif dice < 0.12:
            clock += rng.randrange(1, 4)
        elif dice < 0.13:
            clock = rng.choice(ODD_CLOCKS)
        count = 1 if rng.random() < 0.5 else rng.randrange(1, 8)
        self._uint(out, count if rng.random() > 0.01 else rng.choice((0, count + 1, 2**31)))
        self._uint(out, client)
        self._uint(out, clock)
        for _ in range(count):
            clock += self._struct(out, client, clock)
        self._ends[client] = clock

    def _struct(self, out: bytearray, client: int, clock: int) -> int:
        rng = self.rng
        dice = rng.random()
        if dice < 0.82:
            return self._item(out, client, clock, 8)
        if dice < 0.88:
            return self._item(out, client, clock, 1)
        if dice < 0.95:
            length = self._length()
            out.append(0 if dice < 0.93 else 10)
            self._uint(out, length)
            return length
        if dice < 0.99:
            return self._item(out, client, clock, rng.choice(list(CONTENTS)))
        out.append(rng.randrange(256))
        return 1

    def _length(self) -> int:
        dice = self.rng.random()
        if dice < 0.7:
            return 1
        if dice < 0.95:
            return self.rng.randrange(1, 6)
        return self.rng.choice((0, 100, 2**31 - 1, 2**32, 2**53 - 1))

    def _item(self, out: bytearray, client: int, clock: int, content: int) -> int:
        rng = self.rng
        root, name = self._place()
        origin = self._origin(root, name, client, clock)
        info = content
        if origin is not None:
            info |= 0x80 | (0x20 if rng.random() < 0.5 else 0)
        elif rng.random() > 0.01:
            info |= 0x20
        if rng.random() < 0.01:
            info |= 0x40
        out.append(info)
        if origin is not None:
            self._uint(out, origin[0])
            self._uint(out, origin[1])
            if rng.random() < 0.85:
                self._deleted.append((*origin, 1))
        if info & 0x40:
            self._uint(out, client)
            self._uint(out, max(0, clock - 1))
        if origin is None:
            self._parent(out, client, clock, root, name)
        return self._content(out, content, client, clock, root, name)

    def _parent(self, out: bytearray, client: int, clock: int, root: str, name: str) -> None:
        if self.rng.random() < 0.01:
            out.append(self.rng.choice((0, 2, 255)))
            self._uint(out, client)
            self._uint(out, max(0, clock - 1))
        else:
            out.append(1)
            text(out, root)
        text(out, name)

    def _content(
        self, out: bytearray, content: int, client: int, clock: int, root: str, name: str
    ) -> int:
        if content == 1:
            length = self._length()
            self._uint(out, length)
            if self.rng.random() < 0.9:
                self._deleted.append((client, clock, length))
            return length
        if content != 8:
            out += CONTENTS[content]
            return 1
        length = 1 if self.rng.random() < 0.93 else self.rng.randrange(0, 5)
        self._uint(out, length)
        for _ in range(length):
            any_value(out, self._value(root, name))
        if length > 1 and self.rng.random() < 0.7:
            self._deleted.append((client, clock, length))
        return length

    def _place(self) -> tuple[str, str]:
        rng, soil = self.rng, self.soil
        dice = rng.random()
        if dice < 0.45 and soil.names:
            return rng.choice(soil.names)
        root = rng.choice(ROOTS) if dice < 0.97 else rng.choice(("", "x", "Comments", "\ud800"))
        if dice > 0.92:
            return root, rng.choice(ODD_NAMES)
        return root, self._name(root)

    def _name(self, root: str) -> str:
        rng = self.rng
        threads = [name for kind, name in self.soil.names if kind == "annotations"]
        comments = [name for kind, name in self.soil.names if kind == "comments"]
        thread = rng.choice(threads) if threads and rng.random() < 0.8 else f"n{rng.getrandbits(9)}"
        said = rng.choice(comments) if comments else f"{thread}/c0"
        user = self.soil.user if rng.random() < 0.8 else rng.choice(("ada", "mod", "%7Aed"))
        if root == "annotations":
            return f"n{rng.getrandbits(9)}"
        if root == "comments":
            return f"{thread}/n{rng.getrandbits(9)}"
        if root == "reactions":
            return f"{said}/{rng.choice('👍🎉x')}/{user}"
        if root == "deleted":
            return f"{rng.choice((thread, said))}/{user}"
        return rng.choice((thread, "page", "title")) if root != "page" else "title"

    def _origin(self, root: str, name: str, client: int, clock: int) -> tuple[int, int] | None:
        rng, soil = self.rng, self.soil
        dice = rng.random()
        tip = soil.tips.get((root, name))
        if tip is not None and dice < 0.85:
            return tip
        if dice < 0.9:
            return None
        if dice < 0.95 and soil.clients:
            known = rng.choice(list(soil.clients))
            return known, rng.randrange(soil.clients[known] + 2)
        if dice < 0.98 and clock:
            return client, clock - 1
        return rng.choice(ODD_CLIENTS), rng.choice((0, clock, clock + 1, *ODD_CLOCKS))

    def _value(self, root: str, name: str) -> Any:
        rng = self.rng
        if rng.random() < 0.04:
            return rng.choice(ODD_VALUES)
        value = self._good(root)
        if isinstance(value, dict) and rng.random() < 0.15:
            wrong = rng.choice([*value, "x", "edited", "parent"])
            value[wrong] = rng.choice(
                (*ODD_VALUES, -1, 1.5, 2**60, None, [], {}, self.mark, self.mark * 900)
            )
        return value

    def _good(self, root: str) -> Any:
        rng = self.rng
        user = self.soil.user if rng.random() < 0.85 else rng.choice(("ada", "ben", "mod", ""))
        made = NOW - rng.randrange(100)
        if root == "page":
            return self.mark
        value: dict[str, Any] = {"broadcastId": self.mark}
        if root == "annotations":
            quote = {"type": "TextQuoteSelector", "exact": self.mark}
            return value | {"creator": user, "created": made, "target": {"selector": [quote]}}
        if root == "comments":
            return value | {"creator": user, "created": made, "body": self.mark}
        if root == "reactions":
            return value | {"at": made}
        value |= {"by": user, "at": made}
        if root != "deleted":
            value[root] = rng.random() < 0.5
        return value

    def _delete_set(self, out: bytearray) -> None:
        rng, soil = self.rng, self.soil
        ranges = self._deleted
        while rng.random() < 0.3:
            known = rng.choice([*soil.clients, *self._ends, self._client()])
            end = soil.clients.get(known, 3) + 2
            ranges.append((known, rng.randrange(end), self._length()))
        clients: dict[int, list[tuple[int, int]]] = {}
        for client, clock, length in ranges:
            clients.setdefault(client, []).append((clock, length))
        self._uint(out, len(clients))
        for client, named in clients.items():
            self._uint(out, client)
            self._uint(out, len(named) if rng.random() > 0.005 else rng.choice((0, 2**31)))
            for clock, length in named:
                self._uint(out, clock)
                self._uint(out, length)
