"""What moderation, erasure and restore need of every store."""

import json
from dataclasses import replace

import pytest
from kept import T0, annotation, comment, commit, entry, event

from store.moderation import ModerationEntry
from store.records import PageCommit, Projected, Rewrite
from store.tenants import AuditEntry

pytestmark = pytest.mark.anyio
TRACES = (['"ada"', "](ada)"], "/ada")


def did(user="mod", entity="a", *, page="p", tenant="t", reason=""):
    return ModerationEntry(tenant, page, T0, user, "hide", entity, reason)


async def test_what_deletions_took_away_is_kept_until_it_is_back(kind):
    store = kind.open()
    rows = [("annotations", "a", "{}"), ("comments", "a/1", '{"body":"x"}')]
    await store.commit([commit(0, "one", archived=rows)])
    await store.commit([commit(1, "two", unarchived=[("annotations", "a")])])
    store = await kind.again(store)
    assert (await store.load("t", "p")).archived == [("comments", "a/1", '{"body":"x"}')]
    await store.commit([commit(2, "three", archived=[("comments", "a/1", "{}")])])
    assert (await store.load("t", "p")).archived == [("comments", "a/1", "{}")]
    await store.close()


async def test_digests_of_what_was_erased_outlive_epochs(kind):
    store = kind.open()
    await store.commit([commit(0, "one", archived=[("annotations", "a", "{}")])])
    await store.rewrite("t", "p", 1, Rewrite(entry("two"), erased=["d1"], epoch=7))
    await store.rewrite("t", "p", 2, Rewrite(entry("three"), erased=["d2"]))
    store = await kind.again(store)
    page = await store.load("t", "p")
    assert (page.epoch, sorted(page.erased), page.archived) == (8, ["d1", "d2"], [])
    await store.wipe()
    assert (await store.load("t", "p")) == page
    await store.close()


async def test_moderation_is_listed_by_page_and_by_person(kept):
    kept = kept.moderation
    for one in (did(), did("ada", "a/1"), did(page="q"), did(tenant="u")):
        await kept.note(one)
    assert [(e.user, e.entity) for e in await kept.of("t", "p")] == [("mod", "a"), ("ada", "a/1")]
    assert [e.page for e in await kept.by("t", "mod")] == ["p", "q"]
    assert len({e.id for e in await kept.by("t", "mod")}) == 2


async def test_moderation_is_noted_with_its_commit_or_not_at_all(kind):
    store = kind.open()
    audit = AuditEntry(T0, "mod", "192.0.2.1", "t", "moderation.hide", "a")
    noted = {"moderated": [did(reason="rude")], "audit": [audit]}
    first = commit(0, "one", **noted)
    kinds = [type(result).__name__ for result in await store.commit([
        first,
        commit(7, "of another head", **noted),
        commit(0, "a bad row", page="q", events=[event(user="\udfff")], **noted),
        commit(0, "a bad reason", page="r", moderated=[did(page="r", reason="\udfff")], audit=[audit]),
        commit(0, "a bad subject", page="s", audit=[replace(audit, subject="\udfff")]),
    ])]  # fmt: skip
    assert kinds == ["Appended", "Conflict", "Failed", "Failed", "Failed"]
    await store.commit([first])
    store = await kind.again(store)
    assert [(e.action, e.reason) for e in await store.moderation.by("t", "mod")] == [
        ("hide", "rude")
    ]
    assert [replace(row, id=0) for row in await store.trust.audit("t")] == [audit]
    assert await store.load("t", "r") is await store.load("t", "s") is None
    await store.close()


async def test_flags_wait_until_they_are_answered_whatever_their_page(kept):
    def flag(entity, **more):
        return replace(did("ada", entity, **more), action="flag")

    for one in (
        flag("a"), flag("b"), flag("b"), flag("b", page="q"), flag("b", tenant="u"),
        replace(did(entity="a"), action="close"), did(entity="b"), flag("b", reason="again"),
    ):  # fmt: skip
        await kept.moderation.note(one)
    found = await kept.moderation.flagged("t", ("hide", "dismiss"))
    assert [(e.page, e.entity, e.reason) for e in found] == [
        ("p", "a", ""),
        ("q", "b", ""),
        ("p", "b", "again"),
    ]


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ({"page": "p"}, ["b@q"]),
        ({"page": "p", "entities": ["a"]}, ["ab", "b@q"]),
        ({"page": "p", "entities": ["a/1"]}, ["a", "ab", "b@q"]),
        ({"user": "ada"}, ["a", "ab"]),
    ],
)
async def test_moderation_goes_with_what_was_erased(kept, how, left):
    entries = [did(), did("ada", "a/1"), did(entity="ab"), did("ada", "b@q", page="q")]
    for one in entries:
        await kept.moderation.note(one)
    await kept.moderation.erase("t", **how)
    found = [*await kept.moderation.of("t", "p"), *await kept.moderation.of("t", "q")]
    assert [one.entity for one in found] == left


async def test_a_short_name_takes_no_words_of_others_with_it(kept):
    kept, user = kept.moderation, "a"
    reasons = ["a!", "ask a", "(a)", "a's words", "abuse", "spam, again", ""]
    for one in (
        *(did(entity="x1", reason=reason) for reason in reasons),
        did("a"),
        did(entity="ba"),
    ):
        await kept.note(one)
    await kept.erase("t", user=user)
    left = [(one.entity, one.reason) for one in await kept.of("t", "p")]
    assert left == [("x1", "abuse"), ("x1", "spam, again"), ("x1", ""), ("ba", "")]


@pytest.mark.parametrize(
    "parts",
    [
        {"owners": [(7, "ada")]},
        {"entities": [("a", "ada", T0)]},
        {"events": [event(user="ada")]},
        {"held": [("a", '{"by": "ada"}')]},
        {"archived": [("reactions", "a/1/👍/ada", "{}")]},
        {"archived": [("comments", "a/1", '{"creator": "ada"}')]},
        {"projected": [annotation("a")]},
        {"projected": [comment("a/1", "ask @[Ada](ada)", creator="bob")]},
        {"projected": [Projected("reactions", "a/1/👍/ada", json.dumps({"at": 1}))]},
        {"projected": [Projected("closed", "page", json.dumps({"by": "ada"}))]},
    ],
)
async def test_pages_are_found_by_every_trace_of_a_person(kept, parts):
    quiet = PageCommit("t", "quiet", 0, [entry(actor="bob")])
    loud = PageCommit("t", "loud", 0, [entry(actor="bob")], **parts)
    await kept.commit([quiet, loud])
    assert await kept.pages_naming("t", "ada", *TRACES) == ["loud"]
    assert await kept.pages_naming("u", "ada", *TRACES) == []


async def test_a_person_is_found_in_the_history_alone(kept):
    await kept.commit([commit(0, "a key that ends so: /ada"), commit(0, "no", page="q")])
    assert await kept.pages_naming("t", "zoe", ["](zoe)"], "/ada") == ["p"]
    assert await kept.pages_naming("t", "zoe", ["no"], "/zoe") == ["q"]


async def test_people_and_pages_are_listed(kept):
    await kept.commit([commit(0, "one", owners=[(7, "bob"), (8, "")])])
    await kept.commit([commit(0, "one", tenant="u", page="q", events=[event(user="eve")])])
    assert await kept.users("t") == ["ada", "bob"]
    assert await kept.users("u") == ["ada", "eve"]
    assert await kept.names() == [("t", "p"), ("u", "q")]


@pytest.mark.parametrize("user", ["reason", "id", "p", "acme", "viewer", "a1", "rules", "shape"])
async def test_whoever_is_called_like_a_word_of_the_audit_log_takes_nothing_else_with_her(
    kept, user
):
    """A user id is hers to choose at many sites, and an erasure hers to ask for."""
    entries = [
        AuditEntry(1, "op", "", "acme", "revoke.user", "eve", '{"reason": "rude"}'),
        AuditEntry(2, "op", "", "acme", "revoke.token", "p", '{"reason": "shape"}'),
        AuditEntry(3, "op", "", "acme", "tenant.set", "acme", '{"anonymous": "viewer"}'),
        AuditEntry(4, "eve", "", "acme", "refused", "p", '{"rules": {"shape": 3}}'),
        AuditEntry(5, "mod", "", "acme", "moderation.hide", "a1", '{"page": "p", "reason": "x"}'),
        AuditEntry(6, "op", "", "acme", "role", "eve", '{"role": "viewer"}'),
        AuditEntry(7, "op", "", "acme", "erase.page", "d", '{"id": "id", "page": "p", "pages": 1}'),
    ]
    await kept.trust.note(entries)
    await kept.trust.forget("acme", user, "erased")
    hers = {"shape": {2: '{"reason": "erased"}'}}.get(user, {})
    found = [replace(entry, id=0) for entry in await kept.trust.audit("acme")]
    assert found == [replace(e, detail=hers.get(e.at, e.detail)) for e in entries]


async def test_who_only_made_what_is_there_is_listed(kept):
    words = [annotation("a", creator="zoe"), comment("a/1", "hello", creator="yan")]
    await kept.commit([commit(0, "one", tenant="t", projected=words)])
    assert await kept.users("t") == ["ada", "yan", "zoe"]


async def test_the_audit_log_forgets_a_name_and_stays_append_only(kept):
    trust = kept.trust
    await trust.put_role("t", "ada", "viewer", AuditEntry(1, "op", "", "t", "role", "ada"))
    await trust.note([AuditEntry(2, "ada", "", "t", "close", "x", '{"for": "ada"}')])
    await trust.note([AuditEntry(3, "ada", "", "other", "close", "x", '{"of": "adam"}')])
    await trust.forget("t", "ada", "erased")
    found = [(e.actor, e.subject, e.detail) for e in await trust.audit()]
    assert found == [
        ("op", "erased", "{}"),
        ("erased", "x", '{"for": "erased"}'),
        ("ada", "x", '{"of": "adam"}'),
    ]
    assert await trust.roles() == []
