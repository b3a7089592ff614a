"""What people do on a page, as Yjs updates made beforehand.

40 % annotate, 30 % reply, 15 % edit, 10 % resolve, 5 % delete: each one transaction with a broadcastId,
about 415 bytes on average.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from pycrdt import Doc, Map, TransactionEvent

ROOTS = ("annotations", "comments", "resolved", "deleted")
NOW = 1_763_000_000_000
WORDS = [
    "the",
    "margin",
    "of",
    "a",
    "page",
    "is",
    "wide",
    "enough",
    "for",
    "what",
    "readers",
    "say",
]


def identifier(rng: random.Random) -> str:
    """A UUIDv7-like id."""
    raw = f"{rng.getrandbits(128):032x}"
    return f"{raw[:8]}-{raw[8:12]}-7{raw[13:16]}-8{raw[17:20]}-{raw[20:]}"


def text(rng: random.Random, length: int) -> str:
    """Words of `length` characters in all."""
    return " ".join(rng.choices(WORDS, k=length // 3 + 1))[:length]


@dataclass
class Writer:
    """One Yjs client. `number` marks its operations: broadcastId `b<number>-<n>;` with n from 0."""

    rng: random.Random
    number: int
    user: str
    client: int = 0
    made: int = 0
    updates: list[bytes] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = self.client or self.rng.randrange(2**16, 2**32)
        self.doc: Doc[Any] = Doc(client_id=self.client)
        self.roots: dict[str, Map[Any]] = {root: self.doc.get(root, type=Map) for root in ROOTS}
        self._watch = self.doc.observe(self._take)

    def _take(self, event: TransactionEvent) -> None:
        self.updates.append(event.update)

    def _gesture(self) -> str:
        self.made += 1
        return f"b{self.number:03d}-{self.made - 1:06d};"

    def _head(self) -> dict[str, Any]:
        return {"creator": self.user, "created": NOW + self.made}

    def _acted(self) -> dict[str, Any]:
        return {"by": self.user, "at": NOW + self.made}

    def act(self) -> None:
        """One operation of the mix."""
        dice = self.rng.random()
        if dice < 0.4 or not self.comments or not self.annotations:
            self.annotate()
        elif dice < 0.7:
            self.reply()
        elif dice < 0.85:
            self.edit()
        elif dice < 0.95:
            self.resolve()
        else:
            self.delete()

    def annotate(self) -> None:
        """A new annotation (quote 60, context 32 each side) with its comment of 200 characters."""
        name, rng = identifier(self.rng), self.rng
        start = rng.randrange(100_000)
        quote = {
            "type": "TextQuoteSelector",
            "exact": text(rng, 60),
            "prefix": text(rng, 32),
            "suffix": text(rng, 32),
        }
        position = {"type": "TextPositionSelector", "start": start, "end": start + 60}
        head = {**self._head(), "broadcastId": self._gesture()}
        with self.doc.transaction():
            self.roots["annotations"][name] = {**head, "target": {"selector": [quote, position]}}
            comment = f"{name}/{identifier(rng)}"
            self.roots["comments"][comment] = {**head, "body": text(rng, 200)}
        self.annotations.append(name)
        self.comments.append(comment)

    def reply(self) -> None:
        """A comment of 80 characters on one of the writer's annotations."""
        name = f"{self.rng.choice(self.annotations)}/{identifier(self.rng)}"
        body = text(self.rng, 80)
        self.roots["comments"][name] = {
            **self._head(),
            "body": body,
            "broadcastId": self._gesture(),
        }
        self.comments.append(name)

    def edit(self, name: str | None = None) -> None:
        """Another body for one of the writer's comments."""
        name = name or self.rng.choice(self.comments)
        value = dict(self.roots["comments"][name])
        value.update(body=text(self.rng, 80), edited=NOW + self.made, broadcastId=self._gesture())
        value["created"] = int(value["created"])
        self.roots["comments"][name] = value

    def resolve(self) -> None:
        """Resolve an annotation."""
        name = self.rng.choice(self.annotations)
        value = {**self._acted(), "resolved": True, "broadcastId": self._gesture()}
        self.roots["resolved"][name] = value

    def delete(self) -> None:
        """Delete an annotation and all below it."""
        name = self.annotations.pop(self.rng.randrange(len(self.annotations)))
        gone = [each for each in self.comments if each.startswith(name)]
        self.comments = [each for each in self.comments if not each.startswith(name)]
        with self.doc.transaction():
            value = {**self._acted(), "broadcastId": self._gesture()}
            self.roots["deleted"][f"{name}/{self.user}"] = value
            for comment in gone:
                del self.roots["comments"][comment]
            if name in self.roots["resolved"]:
                del self.roots["resolved"][name]
            del self.roots["annotations"][name]


def writers(seed: int, count: int, operations: int) -> list[Writer]:
    """`count` writers who have each made `operations` updates."""
    made = []
    for number in range(count):
        writer = Writer(random.Random(f"{seed}/{number}"), number, f"writer{number:03d}")
        for _ in range(operations):
            writer.act()
        made.append(writer)
    return made


def page(seed: int, annotations: int, per_writer: int = 5) -> tuple[Writer, list[bytes]]:
    """A page of so many annotations, a new client id (of one user) every few of them, as updates."""
    rng = random.Random(f"{seed}/page")
    updates: list[bytes] = []
    last = None
    for first in range(0, annotations, per_writer):
        last = Writer(random.Random(rng.random()), 900, "author")
        for _ in range(min(per_writer, annotations - first)):
            last.annotate()
        updates += last.updates
    assert last is not None
    return last, updates


def content(updates: list[bytes]) -> str:
    """What a page says after these updates, as canonical text."""
    import hashlib
    import json

    doc: Doc[Any] = Doc()
    roots = {root: doc.get(root, type=Map) for root in ROOTS}
    with doc.transaction():
        for update in updates:
            doc.apply_update(update)
    said = {root: json.loads(str(found)) for root, found in roots.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
