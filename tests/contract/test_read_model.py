"""The read model of every store: what the pages say now, as rows, counts and full text."""

import json

import pytest
from kept import T0, annotation, comment, commit, entry

from store.records import ListedPage, PageCommit, Projected, UsageRow

pytestmark = pytest.mark.anyio
DAY = 86_400_000


def gone(root: str, name: str) -> Projected:
    return Projected(root, name, None)


async def said(store, seq: int, *projected: Projected, page: str = "p", tenant: str = "t") -> int:
    part = commit(seq, f"update {seq}", page=page, tenant=tenant, projected=projected)
    (result,) = await store.commit([part])
    return result.seq


async def test_pages_are_listed_with_title_and_counts(kind):
    store = kind.open()
    title = Projected("page", "title", '"On foxes"')
    await said(store, 0, annotation("a"), annotation("b"), comment("a/1", "x"), title)
    await said(store, 0, page="q")
    await said(store, 0, page="other", tenant="u")
    store = await kind.again(store)
    assert await store.pages("t") == [
        ListedPage("p", "On foxes", T0, 1, 1, 2, 1),
        ListedPage("q", None, T0, 1, 1, 0, 0),
    ]
    assert [info.page for info in await store.pages("t", after="p")] == ["q"]
    assert [info.page for info in await store.pages("t", limit=1)] == ["p"]
    await said(store, 1, gone("annotations", "b"), gone("page", "title"))
    assert (await store.pages("t"))[0] == ListedPage("p", None, T0, 2, 1, 1, 1)
    await store.close()


async def test_words_are_found_by_their_beginnings(kind):
    store = kind.open()
    seq = await said(
        store, 0, annotation("a", "the quick brown fox"), comment("a/1", "Über Füchse")
    )
    await said(store, 0, comment("b/1", "a fox elsewhere"), page="q")
    await said(store, 0, comment("c/1", "a fox of others"), tenant="u")
    store = await kind.again(store)
    found = {(hit.page, hit.annotation, hit.comment) for hit in await store.search("t", "FOX")}
    assert found == {("p", "a", None), ("q", "b", "1")}
    (hit,) = await store.search("t", "über füch")
    assert (hit.creator, hit.created, hit.text) == ("ada", T0, "Über Füchse")
    assert [hit.page for hit in await store.search("t", "fox", page="q")] == ["q"]
    assert len(await store.search("t", "fox", limit=1)) == 1
    assert await store.search("t", "fox nowhere") == []
    await said(store, seq, comment("a/1", "edited away"))
    assert await store.search("t", "füchse") == []
    assert len(await store.search("t", "edited")) == 1
    await store.close()


@pytest.mark.parametrize(
    "text", ["", "   ", '"', '" OR body:"', "*", "(", "a AND", "NEAR(", "\0", "?!", "'; DROP", "-x"]
)
async def test_no_text_breaks_the_search(kept, text):
    await said(kept, 0, comment("a/1", "plain words"))
    assert await kept.search("t", text) == []
    assert len(await kept.search("t", "plain")) == 1


async def test_scripts_without_spaces_are_found_inside(kept):
    await said(kept, 0, comment("a/1", "東京は日本の首都です"), annotation("b", "ภาษาไทยสวย"))
    assert [hit.comment for hit in await kept.search("t", "日本")] == ["1"]
    assert [hit.annotation for hit in await kept.search("t", "ไทย")] == ["b"]
    assert await kept.search("t", "大阪") == []


async def test_characters_beyond_the_basic_plane_are_kept(kept):
    await said(kept, 0, comment("a/1", "grin 😀 𝒳 \u0000 end"), annotation("b", "🦊 den"))
    assert [hit.text for hit in await kept.search("t", "grin")] == ["grin 😀 𝒳 \u0000 end"]
    assert [hit.text for hit in await kept.search("t", "den")] == ["🦊 den"]


async def test_deleted_threads_are_not_searched(kept):
    entries = (annotation("a", "quoted"), comment("a/1", "spoken"), comment("a/2", "spoken, too"))
    seq = await said(kept, 0, *entries)
    one = Projected("deleted", "a/1/ada", json.dumps({"by": "ada", "at": T0}))
    seq = await said(kept, seq, one, gone("comments", "a/1"))
    assert [hit.comment for hit in await kept.search("t", "spoken")] == ["2"]
    thread = Projected("deleted", "a/ada%40example.org", json.dumps({"by": "x", "at": T0}))
    seq = await said(kept, seq, thread, gone("annotations", "a"))
    assert await kept.search("t", "spoken") == []
    await said(kept, seq, gone("deleted", "a/ada%40example.org"), annotation("a", "quoted"))
    assert len(await kept.search("t", "spoken quoted")) == 0
    assert len(await kept.search("t", "spoken")) == 1
    assert len(await kept.search("t", "quoted")) == 1


async def test_the_last_word_on_a_key_counts(kept):
    await said(
        kept, 0, annotation("a", "first"), gone("annotations", "a"), annotation("a", "second")
    )
    await said(kept, 0, annotation("a", "first"), gone("annotations", "a"), page="q")
    assert [hit.page for hit in await kept.search("t", "second")] == ["p"]
    assert await kept.search("t", "first") == []
    assert await kept.pages_with("t", "annotations", "a") == ["p"]


async def test_every_root_has_its_place(kind):
    store = kind.open()
    keys = [
        annotation("a"),
        comment("a/1", "text", parent="0", edited=T0),
        Projected("reactions", "a/1/👍/ada%40example.org", json.dumps({"at": T0})),
        Projected("resolved", "a", json.dumps({"by": "ada", "at": T0, "resolved": True})),
        Projected("deleted", "z/mod", json.dumps({"by": "mod", "at": T0})),
        Projected("closed", "page", json.dumps({"by": "mod", "at": T0, "closed": True})),
        Projected("page", "title", '"Title"'),
    ]
    await said(store, 0, *keys)
    store = await kind.again(store)
    report = await store.integrity(lambda _: keys)
    assert (report.problems, report.keys) == ([], len(keys))
    for root in ("annotations", "resolved"):
        assert await store.pages_with("t", root, "a") == ["p"]
    with pytest.raises(KeyError):
        await store.pages_with("t", "closed", "page")
    await said(store, 1, *(gone(key.root, key.name) for key in keys))
    assert (await store.integrity(lambda _: [])).problems == []
    await store.close()


async def test_a_read_model_that_differs_from_the_log_is_told_and_rebuilt(kept):
    await said(kept, 0, annotation("a", "as stored"), comment("a/1", "x"), annotation("extra"))
    truth = [annotation("a", "as logged"), comment("a/1", "x", created=float(T0)), annotation("b")]
    found = {problem.what for problem in (await kept.integrity(lambda _: truth)).problems}
    assert found == {
        "read model: annotations/a is not what the log says",
        "read model: annotations/b is missing",
        "read model: annotations/extra is not in the log",
    }
    assert await kept.reproject("t", "p", truth)
    assert not (await kept.integrity(lambda _: truth)).problems
    assert len(await kept.search("t", "logged")) == 1
    assert await kept.search("t", "stored") == []
    assert not await kept.reproject("t", "nowhere", truth)


async def test_usage_adds_up_per_day(kind):
    store = kind.open()
    for seq, at in enumerate((10 * DAY, 10 * DAY + 5, 11 * DAY)):
        part = PageCommit("t", "p", seq, [entry(at=at)], usage=[("updates", 2), ("bytes", 100)])
        await store.commit([part])
    await store.commit([commit(0, "1", tenant="u", usage=[("updates", 9)])])
    store = await kind.again(store)
    assert await store.usage("t", 10, 11) == [
        UsageRow(10, "p", "bytes", 200),
        UsageRow(10, "p", "updates", 4),
        UsageRow(11, "p", "bytes", 100),
        UsageRow(11, "p", "updates", 2),
    ]
    assert await store.usage("t", 12, 20) == []
    await store.close()
