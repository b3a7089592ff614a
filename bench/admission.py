"""What one update costs at the gate: an edit, and a new annotation with its comment, on small and big pages.

    python bench/admission.py [--seed 1] [--repeat 2000] [--json] [--without-roles]

Prints the median microseconds of `Page.receive` (decode, rules, apply, index) for an edit of the comment that
was written last, of one long ago, which the page has to decode again, and for a new annotation with its
comment; for 10 and 10,000 annotations and 10 and 5,000 client ids, the same for each role beside an open
tenant's editor, and the memory of open pages of 50 annotations. The updates are those of one client in a row,
as yjs writes them.
CPU time of the thread, less the 0.3 us that the clock itself costs; the lower tenth is what it costs while
nobody else uses the core. With `--without-roles` it measures something else: the same updates with and
without the questions about roles.
"""

import argparse
import gc
import json
import random
import resource
import statistics
import time
from collections import deque
from dataclasses import replace
from itertools import pairwise

import role_cost

from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.update import Item, decode, encode
from crdt_chat.page.verdict import GateRows, Json

LIMITS = replace(PageLimits(), annotations=1_000_000, comments=1_000_000, state=2**30)
ADA = Grant("t", "ada@example.org", "Ada", Role.EDITOR)
NOW = 1_763_000_000_000


class Writer:
    """One Yjs client that annotates, comments and edits, and knows its own clock."""

    def __init__(self, seed: random.Random, client: int) -> None:
        self.seed = seed
        self.client = client
        self.clock = 0
        self.comments: list[tuple[int, dict[str, Json]]] = []

    def _id(self) -> str:
        raw = f"{self.seed.getrandbits(128):032x}"
        return f"{raw[:8]}-{raw[8:12]}-7{raw[13:16]}-{raw[16:20]}-{raw[20:]}"

    def _text(self, length: int) -> str:
        words = self.seed.choices(["the", "margin", "of", "a", "page", "is", "wide"], k=length)
        return " ".join(words)[:length]

    def annotate(self) -> bytes:
        """A new annotation (quote 60, prefix and suffix 32, position) with its comment of 200 characters."""
        annotation, comment, gesture = self._id(), self._id(), self._id()
        start = self.seed.randrange(100_000)
        quote = {
            "type": "TextQuoteSelector",
            "exact": self._text(60),
            "prefix": self._text(32),
            "suffix": self._text(32),
        }
        position = {"type": "TextPositionSelector", "start": start, "end": start + 60}
        base = {"creator": ADA.user, "created": NOW + self.clock}
        name = f"{annotation}/{comment}"
        values = (
            (
                "annotations",
                annotation,
                base | {"target": {"selector": [quote, position]}, "broadcastId": gesture},
            ),
            ("comments", name, base | {"body": self._text(200), "broadcastId": gesture}),
        )
        items = [
            Item(self.client, self.clock + number, 1, None, root, key, (value,))
            for number, (root, key, value) in enumerate(values)
        ]
        self.comments.append((self.clock + 1, values[1][2]))
        self.clock += 2
        return encode({self.client: items}, {})

    def reply(self, annotation: str) -> bytes:
        """A new comment of 200 characters on an annotation."""
        name = f"{annotation}/{self._id()}"
        base = {"creator": ADA.user, "created": NOW + self.clock}
        value = base | {"body": self._text(200), "broadcastId": self._id()}
        item = Item(self.client, self.clock, 1, None, "comments", name, (value,))
        self.comments.append((self.clock, value))
        self.clock += 1
        return encode({self.client: [item]}, {})

    def edit(self, number: int = -1) -> bytes:
        """A new body for a comment, the last one unless told otherwise."""
        before, value = self.comments[number]
        value = value | {"body": self._text(200), "edited": NOW + self.clock}
        item = Item(self.client, self.clock, 1, (self.client, before), "", "", (value,))
        self.comments[number] = self.clock, value
        self.clock += 1
        return encode({self.client: [item]}, {self.client: [(before, before + 1)]})


def build(seed: random.Random, annotations: int, clients: int) -> Page:
    """A page with so many annotations, made by so many clients of one user."""
    updates = []
    rows = GateRows()
    writers = [Writer(seed, 2**20 + seed.getrandbits(32)) for _ in range(clients)]
    probe = Page(LIMITS, 9)
    for number in range(max(annotations, clients)):
        writer = writers[number % clients]
        if number < annotations:
            updates.append(writer.annotate())
        else:
            item = Item(writer.client, 0, 1, None, "comments", f"x/{number}", None)
            updates.append(encode({writer.client: [item]}, {writer.client: [(0, 1)]}))
        if number < annotations:
            verdict = probe.receive(updates[-1], "update", ADA, NOW)
            assert verdict.kind == "accepted", verdict
            rows.entities += verdict.rows.entities
    rows.owners = [(writer.client, ADA.user) for writer in writers]
    return Page.load(None, updates, rows, LIMITS, 9)


def clock_cost() -> int:
    """Nanoseconds that every figure would have too many: what it costs to look at the clock."""
    looks = [time.thread_time_ns() for _ in range(2_001)]
    return int(statistics.median(later - look for look, later in pairwise(looks)))


def measure(seed: random.Random, page: Page, repeat: int) -> dict[str, float]:
    """Microseconds of an edit of the last comment, of one long ago, and of a new annotation with its comment.

    Median and lower tenth of each.
    """
    writer = Writer(seed, 2**20 + seed.getrandbits(32))
    clock = clock_cost()
    updates = [(writer.annotate(), writer.edit()) for _ in range(repeat)]
    creations, edits = [], []
    for created, edited in updates:
        creations.append(_taken(page, created, clock))
        edits.append(_taken(page, edited, clock))
    older = [_taken(page, writer.edit(number), clock) for number in range(repeat)]
    found = {}
    for name, taken in (("edit", edits), ("older", older), ("new", creations)):
        found[name] = statistics.median(taken) / 1000
        found[f"{name}, lower tenth"] = statistics.quantiles(taken, n=10)[0] / 1000
    return found


def _taken(page: Page, update: bytes, clock: int) -> int:
    start = time.thread_time_ns()
    verdict = page.receive(update, "update", ADA, NOW)
    kind = verdict.kind
    # Else the next update, of another kind, would be charged with letting it go.
    del verdict
    taken = time.thread_time_ns() - start - clock
    assert kind == "accepted", kind
    return taken


GRANTS = {"open tenant's editor": ADA} | {
    role.name.lower(): replace(
        ADA, role=role, pages=("blog/*", "news/*"), expires=NOW / 1000 + 3600, key="k1", token="j1"
    )
    for role in Role
}
"""Who writes: as an open tenant believes anybody, and with a token of each role."""

Costs = dict[str, list[int]]


def measure_roles(seed: int, repeat: int) -> dict[str, dict[str, tuple[float, float, str]]]:
    """By grant and operation: median and lower tenth of its microseconds, and what the verdict was.

    Each writes the same updates on a page of its own; the grants take turns after every operation.
    """
    pages = {name: build(random.Random(seed), 200, 10) for name in GRANTS}
    thread = next(iter(pages["editor"].items("annotations")))[0]
    writers = {name: Writer(random.Random(seed + 1), 2**20 + 7) for name in GRANTS}
    costs: dict[str, Costs] = {name: {"reply": [], "edit": [], "new": []} for name in GRANTS}
    verdicts: dict[tuple[str, str], str] = {}
    turns, clock = deque(GRANTS.items()), clock_cost()
    for _ in range(repeat):
        turns.rotate()  # whoever comes first finds the caches cold
        for operation in ("reply", "edit", "new"):
            for name, grant in turns:
                writer = writers[name]
                update = (
                    writer.reply(thread)
                    if operation == "reply"
                    else writer.edit()
                    if operation == "edit"
                    else writer.annotate()
                )
                start = time.thread_time_ns()
                verdict = pages[name].receive(update, "update", grant, NOW)
                costs[name][operation].append(time.thread_time_ns() - start - clock)
                verdicts[name, operation] = verdict.kind
    return {
        name: {
            operation: (
                statistics.median(taken) / 1000,
                statistics.quantiles(taken, n=10)[0] / 1000,
                verdicts[name, operation],
            )
            for operation, taken in costs[name].items()
        }
        for name in GRANTS
    }


def measure_batch(seed: random.Random, count: int) -> tuple[float, float]:
    """Milliseconds to judge one offline batch of so many annotations with comments, and to load them."""
    writer = Writer(seed, 2**20)
    updates = [decode(writer.annotate()) for _ in range(count)]
    items = [item for update in updates for item in update.structs[writer.client]]
    page = Page(LIMITS, 9)
    batch = encode({writer.client: items}, {})
    start = time.perf_counter()
    verdict = page.receive(batch, "step2", ADA, NOW)
    judged = time.perf_counter() - start
    assert verdict.kind == "accepted", verdict
    state = page.state()
    start = time.perf_counter()
    Page.load(state, (), verdict.rows, LIMITS, 9)
    return judged * 1000, (time.perf_counter() - start) * 1000


def memory(seed: random.Random, pages: int = 200) -> float:
    """KiB of resident memory for each open page of 50 annotations by 10 clients."""
    updates = [build(seed, 50, 10).state() for _ in range(10)]
    rows = GateRows()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = [Page.load(updates[number % 10], (), rows, LIMITS, 9) for number in range(pages)]
    gc.collect()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / len(kept)


def print_role_cost(seed: int, repeat: int, *, as_json: bool) -> None:
    """Measure and print what role_cost.py says, on pages of 200 annotations by 10 clients."""
    found = role_cost.measure(
        lambda: build(random.Random(seed), 200, 10),
        lambda: Writer(random.Random(seed + 1), 2**20 + 7),
        {name: grant for name, grant in GRANTS.items() if name != "viewer"},
        repeat=repeat,
        now=NOW,
    )
    print(
        json.dumps({"seed": seed, "roles": found})
        if as_json
        else f"seed {seed}\n{role_cost.table(found)}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--without-roles", action="store_true", help="what the roles cost, in pairs"
    )
    options = parser.parse_args()
    if options.without_roles:
        print_role_cost(options.seed, options.repeat, as_json=options.json)
        return
    seed = random.Random(options.seed)
    found: list[dict[str, float]] = []
    kib = memory(seed)
    for annotations, clients in ((10, 10), (10_000, 10), (10, 5_000), (10_000, 5_000)):
        page = build(seed, annotations, clients)
        costs = measure(seed, page, options.repeat)
        found.append({"annotations": annotations, "clients": clients} | costs)
    judged, loaded = measure_batch(seed, 5_000)
    roles = measure_roles(options.seed, options.repeat)
    if options.json:
        batch = {"judged ms": judged, "loaded ms": loaded}
        whole = {
            "seed": options.seed,
            "KiB per page of 50": kib,
            "microseconds": found,
            "roles": roles,
            "5000": batch,
        }
        print(json.dumps(whole))
        return
    print(f"seed {options.seed}; an open page of 50 annotations: {kib:.0f} KiB")
    print(
        "annotations  client ids  edit us (lower tenth)  of an old comment  new annotation + comment"
    )
    for row in found:
        edit, older, new = (
            f"{row[name]:.1f} ({row[f'{name}, lower tenth']:.1f})"
            for name in ("edit", "older", "new")
        )
        print(f"{row['annotations']:11}  {row['clients']:10}  {edit:>21}  {older:>17}  {new:>24}")
    print(
        f"an offline batch of 5,000 annotations: judged in {judged:.0f} ms, loaded in {loaded:.0f} ms"
    )
    print("on a page of 200 annotations, us (lower tenth) and verdict:")
    for name, row in roles.items():
        cells = [
            f"{operation} {median:6.1f} ({tenth:.1f}) {kind}"
            for operation, (median, tenth, kind) in row.items()
        ]
        print(f"{name:>22}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
