"""What others said about erased words goes with them: flags, and moderators' reasons."""

import pytest
from entries import annotation, comment

from crdt_chat.config import Config
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.admin.administration import Caller
from crdt_chat.server.app import App, build
from crdt_chat.server.moderation.moderation import Moderation, Request
from crdt_chat.server.privacy.erasure import Wanted
from crdt_chat.server.privacy.erasure_log import ErasureLog
from crdt_chat.server.privacy.export import Export
from store import open_store

pytestmark = pytest.mark.anyio
KEY = PageKey("open", "p")
OPERATOR = Caller("op", "here")
ADA, BOB = (Grant("open", user, user, Role.EDITOR) for user in ("ada", "bob"))
MOD = Grant("open", "mod", "Mod", Role.MODERATOR)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def app(tmp_path):
    store = open_store(tmp_path / "chat.db")
    async with build(Config(open_tenants=("open",)), store) as running:
        async with running.rooms.open(KEY) as room:
            await room.write([("annotations", "a1", annotation("ada"))], ADA)
            await room.write([("comments", "a1/c1", comment("ada"))], ADA)
            await room.write([("annotations", "b1", annotation("bob"))], BOB)
            await room.write([("comments", "b1/c1", comment("ada"))], ADA)
        await judge(running)
        yield running
    await store.close()


async def judge(app: App) -> None:
    """Reasons about what is ada's and what is bob's; each quotes what it is about."""
    verbs = Moderation(app.rooms, app.services.store.moderation)
    for entity, words in (("a1/c1", "quotes-one"), ("b1/c1", "quotes-two"), ("b1", "stays-one")):
        await verbs.flag(KEY, BOB, Request("flag", entity, words))
    await verbs.act(KEY, MOD, Request("hide", "a1", "quotes-three"))
    await verbs.act(KEY, MOD, Request("close", "b1", "stays-two"))
    await verbs.act(KEY, MOD, Request("close", "page", "stays-three"))


async def reasons(app: App) -> set[str]:
    return {entry.reason for entry in await app.services.store.moderation.of("open", "p")}


STAYS = {"stays-one", "stays-two", "stays-three"}


@pytest.mark.parametrize("wanted", ["user", "entity"])
async def test_reasons_go_with_what_they_are_about(app, tmp_path, wanted):
    if wanted == "user":
        await app.erasure.erase(OPERATOR, "open", Wanted(user="ada"))
        gone = {"quotes-one", "quotes-two", "quotes-three"}
    else:
        await app.erasure.erase(OPERATOR, "open", Wanted(page="p", entity="a1"))
        gone = {"quotes-one", "quotes-three"}
    assert await reasons(app) == (STAYS | {"quotes-two"}) - gone
    for path in tmp_path.iterdir():
        for words in gone:
            assert words.encode() not in path.read_bytes(), (path, words)


async def hidden(app: App) -> dict[str, tuple[str, str]]:
    """Who hid what, and why, as moderators are told."""
    verbs = Moderation(app.rooms, app.services.store.moderation)
    found = (await verbs.overview(KEY, MOD))["hidden"]
    return {entity: (held["by"], held["reason"]) for entity, held in found.items()}


async def test_a_reason_that_names_the_erased_goes_from_what_is_hidden_too(app, tmp_path):
    """Also where nothing else of the page is hers or names her."""
    verbs = Moderation(app.rooms, app.services.store.moderation)
    await verbs.act(KEY, MOD, Request("hide", "b1", "carl-7 asked for it"))
    await app.erasure.erase(OPERATOR, "open", Wanted(user="carl-7"))
    assert await hidden(app) == {"a1": ("mod", "quotes-three"), "b1": ("mod", "")}
    assert all(b"carl-7" not in path.read_bytes() for path in tmp_path.iterdir())


NAMING = (
    "ask carl-7.",
    "用户carl-7的评论",
    "carl-7さん",
    "carl-7가 썼다",
    "יש לcarl-7",
    "É carl-7, não?",
)
OTHERS = ("carl-77", "carl-7ić", "_carl-7", "écarl-7", "Карлcarl-7")


@pytest.mark.parametrize("reason", [*NAMING, *OTHERS])
async def test_an_id_is_a_word_as_the_script_around_it_has_words(app, reason):
    """In what is noted beside the page and in what is hidden with it alike."""
    verbs = Moderation(app.rooms, app.services.store.moderation)
    await verbs.act(KEY, MOD, Request("hide", "b1", reason))
    await app.erasure.erase(OPERATOR, "open", Wanted(user="carl-7"))
    stays = reason in OTHERS
    assert (reason in await reasons(app)) == stays
    assert (await hidden(app))["b1"] == ("mod", reason if stays else "")


async def test_an_export_has_the_reasons_that_name_her_and_not_whose_they_are(app):
    verbs = Moderation(app.rooms, app.services.store.moderation)
    await verbs.flag(KEY, ADA, Request("flag", "b1", "carl-7 told me"))
    await verbs.act(KEY, MOD, Request("dismiss", "b1", "carl-77 did not"))
    export = Export(app.services)
    found = await export.of_user(OPERATOR, "open", "carl-7")
    [named] = found["named"]
    assert (named["page"], named["entity"], named["reason"]) == ("p", "b1", "carl-7 told me")
    assert found["moderation"] == []
    assert "ada" not in str(found)
    assert (await export.of_user(OPERATOR, "open", "ada"))["named"] == []


async def test_the_reasons_of_an_erased_moderator_go_from_what_is_hidden_too(app, tmp_path):
    await app.erasure.erase(OPERATOR, "open", Wanted(user="mod"))
    assert await hidden(app) == {"a1": ("erased", "")}
    gone = (b"quotes-three", b"stays-two", b"stays-three")
    for path in tmp_path.iterdir():
        assert not [words for words in gone if words in path.read_bytes()], path


async def test_they_go_again_when_an_older_backup_is_restored(app, tmp_path):
    await app.services.store.backup(tmp_path / "backup.db")
    await app.erasure.erase(OPERATOR, "open", Wanted(user="ada"))
    erased = list(ErasureLog(tmp_path / "chat.db.erasures"))
    store = open_store(tmp_path / "backup.db")
    async with build(Config(open_tenants=("open",)), store) as restored:
        assert await restored.erasure.again(erased) > 0
        assert await reasons(restored) == STAYS
    await store.close()
