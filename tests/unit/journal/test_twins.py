"""Random histories on the store in memory and on SQLite, reopened at random: they always agree."""

import json
import random

import pytest
from kept import T0, annotation, comment, event

from store import open_store
from store.memory import MemoryStore
from store.records import Failed, LogEntry, PageCommit, Projected, Rewrite

pytestmark = pytest.mark.anyio
NAMES = [(tenant, page) for tenant in "tu" for page in ("p", "q", "r")]
WORDS = ["fox", "dog", "über", "東京", "quick", "Brown"]


class History:
    """Draws verbs with their arguments; the same for both stores."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.entries = []

    def entry(self):
        chance = self.chance
        if self.entries and chance.random() < 0.15:
            return chance.choice(self.entries)
        actor = chance.choice(["ada", "grace", "\ud800" if chance.random() < 0.1 else "eve"])
        at = T0 + chance.randint(-5_000, 5_000)
        origin, update = chance.randbytes(16), chance.randbytes(chance.randint(0, 40))
        self.entries.append(LogEntry(origin, actor, "c", at, update))
        return self.entries[-1]

    def key(self):
        chance = self.chance
        ids = chance.choice("abc"), chance.choice("123")
        words = " ".join(chance.sample(WORDS, 2))
        by = json.dumps({"by": "ada", "at": T0})
        key = chance.choice(
            [
                annotation(ids[0], words, title=chance.choice(WORDS)),
                comment("/".join(ids), words),
                Projected("deleted", f"{ids[0]}/ada", by),
                Projected("deleted", f"{ids[0]}/{ids[1]}/ada", by),
                Projected("reactions", f"{ids[0]}/{ids[1]}/👍/a%20b", by),
                Projected("resolved", ids[0], by),
                Projected("page", "title", json.dumps(words)),
                Projected("closed", "page", by),
            ]
        )
        return Projected(key.root, key.name, None) if chance.random() < 0.3 else key

    def gate(self):
        chance = self.chance
        some = range(chance.choice([0, 0, 1, 2]))
        return {
            "owners": [(chance.randint(1, 5), chance.choice(["ada", "eve"])) for _ in some],
            "entities": [(chance.choice("abc"), "ada", chance.randint(1, 9)) for _ in some],
            "refused": [(chance.randint(1, 3), chance.randint(1, 3), 1, "reset") for _ in some],
            "held": [(chance.choice("abc"), chance.choice("123")) for _ in some],
            "archived": [("comments", chance.choice("abc"), chance.choice("123")) for _ in some],
        }

    def commit(self, heads):
        chance = self.chance
        tenant, page = chance.choice(NAMES)
        head = heads.get((tenant, page), 0)
        return PageCommit(
            tenant,
            page,
            max(0, head + chance.choice([0] * 9 + [-1, 1])),
            [self.entry() for _ in range(chance.randint(0, 4))],
            [event(user=chance.choice(["ada", "eve"])) for _ in range(chance.randint(0, 2))],
            [self.key() for _ in range(chance.randint(0, 3))],
            released=chance.sample("abc", chance.randint(0, 1)),
            unarchived=[("comments", key) for key in chance.sample("abc", chance.randint(0, 1))],
            usage=[(chance.choice(["updates", "bytes"]), chance.randint(1, 9))],
            **self.gate(),
        )

    def verb(self, heads):
        """The next verb and its arguments."""
        chance = self.chance
        name = chance.choice(NAMES)
        head = heads.get(name, 0)
        kind = chance.choices(["commit", "snapshot", "rewrite", "prune"], [8, 2, 1, 1])[0]
        if kind == "commit":
            return kind, [[self.commit(heads) for _ in range(chance.randint(1, 3))]], {}
        self.entries.clear()  # an origin is known as long as its row is kept, at least
        if kind == "snapshot":
            keep = {"keep": chance.choice([None, 0, 2])}
            return kind, [*name, chance.randint(0, head + 1), chance.randbytes(20)], keep
        if kind == "prune":
            ages = {
                "events_ms": chance.choice([None, 0, 2_000, 9_000]),
                "history_ms": chance.choice([None, 0, 2_000, 9_000]),
                "tenant": chance.choice([None, "t"]),
            }
            return kind, [T0 + 5_000], ages
        rewrite = Rewrite(
            LogEntry(chance.randbytes(16), "admin", "", T0, chance.randbytes(9)),
            [event() for _ in range(chance.randint(0, 2))],
            [self.key() for _ in range(chance.randint(0, 3))],
            retire=[chance.randint(1, 9)],
            erased=[chance.choice("xyz")],
            epoch=chance.choice([0, 7]),
            history=chance.choice(["keep", "redact", "delete"]),
            actors=chance.choice([None, frozenset({"ada"})]),
            keep_events=chance.random() < 0.5,
            **self.gate(),
        )
        return kind, [*name, chance.choice([None, head]), rewrite], {}


async def everything(store):
    """What all reading verbs say; rows of sets and full text hits have no order."""
    said = {"heads": await store.heads(NAMES)}
    for name in NAMES:
        page = await store.load(*name)
        if page is not None:
            for rows in (
                page.owners,
                page.entities,
                page.refused,
                page.held,
                page.archived,
                page.retired,
            ):
                rows.sort()
        said[name] = page
        for verb in ("read", "events"):
            said[name, verb] = await getattr(store, verb)(*name, 0)
        said[name, "floor"] = await store.event_floor(*name)
    for tenant in "tu":
        said[tenant, "pages"] = await store.pages(tenant)
        said[tenant, "usage"] = await store.usage(tenant, 0, 10**6)
        for word in WORDS:
            said[tenant, word] = set(await store.search(tenant, word))
        for root, key in (("annotations", "a"), ("comments", "b/2"), ("deleted", "c/ada")):
            said[tenant, root] = await store.pages_with(tenant, root, key)
    return said


def comparable(answer):
    """Both fail at the same part; how they say it is their own."""
    listed = answer if isinstance(answer, list) else [answer]
    return [Failed if isinstance(part, Failed) else part for part in listed]


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(12))
async def test_both_stores_say_the_same(path, seed):
    history, memory, sqlite = History(seed), MemoryStore(), open_store(path)
    for _ in range(40):
        verb, positional, named = history.verb(await memory.heads(NAMES))
        answers = [await getattr(s, verb)(*positional, **named) for s in (memory, sqlite)]
        assert comparable(answers[0]) == comparable(answers[1]), verb
        if history.chance.random() < 0.1:
            await sqlite.close()
            sqlite = open_store(path)
        if history.chance.random() < 0.3:
            assert await everything(memory) == await everything(sqlite)
    assert await everything(memory) == await everything(sqlite)
    assert not (await sqlite.integrity()).problems
    await sqlite.close()
