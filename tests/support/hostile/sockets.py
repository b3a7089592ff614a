"""Hostile inputs through real sockets of a real server, an honest person on the same page."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from contents import canonical
from entries import annotation, comment
from hostile.inputs import Inputs, mutate
from hostile.soil import ATTACKER, Soil
from pycrdt import Map
from raw_client import RawClient
from server import RealServer
from simulation.forgery import clocks
from trusted import token
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from crdt_chat.errors import Malformed
from crdt_chat.identity import Role
from crdt_chat.page.update import decode
from crdt_chat.protocol import wire

ROUNDS = 8
"""Connections of the attacker on one page."""

FRAMES = 30
"""Well-formed inputs of one connection, about."""

END = b"\x00\x02\x01\xff"
"""A frame that surely ends the connection."""

TENANT = "acme"
ROOTS = ("annotations", "comments", "reactions", "resolved", "deleted", "closed", "page")


@dataclass(slots=True)
class Seen:
    """What came of it. waits: seconds until each write of the honest person was called durable."""

    counts: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)


@contextmanager
def client(server: RealServer, page: str, user: str, role: str) -> Iterator[RawClient]:
    """A connected client of the closed tenant, with a token of its own."""
    query = {"caps": "crdt-chat.1", "token": token(TENANT, user, role=role)}
    address = f"{server.ws(TENANT)}/{page}?{urlencode(query)}"
    with connect(address, compression=None, max_size=2**26, max_queue=None) as socket:
        yield RawClient(socket, user)


def _shown(person: RawClient) -> str:
    content = {root: json.loads(str(person.doc.get(root, type=Map))) for root in ROOTS}
    return canonical(content)


def _well_formed(data: bytes) -> bool:
    try:
        decode(data)
    except Malformed:
        return False
    return True


class Siege:
    """One page, one honest person on it, and an attacker of some role who comes again and again."""

    def __init__(self, server: RealServer, seed: int, number: int, seen: Seen) -> None:
        self.rng = random.Random(f"sockets/{seed}/{number}")
        self.server = server
        self.page = f"siege-{seed}-{number}"
        self.role = tuple(Role)[number % len(Role)]
        self.seen = seen

    def play(self) -> None:
        """All of it. Raises AssertionError if the honest person was harmed."""
        with client(self.server, self.page, "ada", "editor") as ada:
            ada.handshake()
            ada.write(
                ("annotations", "a0", annotation("ada")), ("comments", "a0/c0", comment("ada"))
            )
            ada.flush()
            for turn in range(ROUNDS):
                self._attack(ada)
                self._speak(ada, turn)
            self._compare(ada)

    def _speak(self, ada: RawClient, turn: int) -> None:
        began = time.perf_counter()
        ada.write(("comments", f"a0/h{turn}", comment("ada", f"still here {turn}")))
        ada.flush()
        self.seen.waits.append(time.perf_counter() - began)

    def _attack(self, ada: RawClient) -> None:
        soil = Soil(ATTACKER, [self.rng.randrange(2**16, 2**53) for _ in range(2)])
        soil.clients = clocks(ada.doc.get_state())
        soil.names = [(root, name) for root in ROOTS for name in ada.names(root)]
        source = Inputs(self.rng, soil)
        with client(self.server, self.page, ATTACKER, self.role.name.lower()) as attacker:
            try:
                attacker.handshake()
                self._send(attacker, source)
            except ConnectionClosed:
                self.seen.counts["closed early"] += 1
            attacker.drain()
        self.seen.counts[f"closed with {attacker.socket.close_code}"] += 1

    def _send(self, attacker: RawClient, source: Inputs) -> None:
        """Well-formed updates first, a malformed one or a torn frame at the end."""
        for _ in range(2 * FRAMES):
            _kind, _mark, data = source.next()
            if _well_formed(data):
                self._frame(attacker, self.rng.choice((wire.update, wire.step2))(data))
        while _well_formed(data):
            _kind, _mark, data = source.next()
        whole = wire.update(data)
        self._frame(attacker, whole if self.rng.random() < 0.5 else mutate(whole, self.rng))
        attacker.send(END)

    def _frame(self, attacker: RawClient, frame: bytes) -> None:
        attacker.send(frame)
        self.seen.counts["inputs"] += 1
        self.seen.counts[f"as {self.role.name.lower()}"] += 1

    def _compare(self, ada: RawClient) -> None:
        ada.flush()
        with client(self.server, self.page, "late", "viewer") as late:
            late.handshake()
            self._speak(ada, ROUNDS)
            try:
                while _shown(late) != _shown(ada):
                    late.read()
            except TimeoutError as error:
                raise AssertionError("the honest person and a late joiner differ") from error
        if self.role < Role.MODERATOR:
            for name in ("a0/c0", *(f"a0/h{turn}" for turn in range(ROUNDS + 1))):
                assert name in ada.names("comments"), f"{name} is gone"


def besiege(server: RealServer, seed: int, inputs: int, seen: Seen) -> None:
    """Sieges until so many inputs were sent. Raises AssertionError."""
    number = 0
    while seen.counts["inputs"] < inputs:
        try:
            Siege(server, seed, number, seen).play()
        except AssertionError as error:
            raise AssertionError(f"siege {number}: {error}") from error
        number += 1
    assert server.get("/readyz")[0] == 200
