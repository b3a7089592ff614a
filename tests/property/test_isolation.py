"""Tenants with hostile names side by side: what is written on one page is on no other."""

import contextlib
import itertools
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from routes import NEW_CHAT, client, served

from crdt_chat.config import Config
from crdt_chat.errors import RemoteFault
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.connections.crdt_socket import split_path
from store import open_store
from store.records import LogEntry, PageCommit

HOSTILE = (
    "a:b", "a", "b:c", "c", "a:b:c", "a/b", "a%2Fb", "a%252Fb", "..", ".", "../a", "a/../b",
    "/", "//", " a", "a ", "A", "а", "á", "a\u0301", "ａ", "a\u200b", "a\u202eb", "a\\b",
    "a?b", "a#b", "a;b", "a&b", "a=b", "a+b", "a\n", "a\x00", "\x00", "*", "[a]", "?",
    "'; DROP TABLE page; --", '"', "p.YQ", "u.YQ", "__proto__", "null", "x" * 2_048,
    "x" * 4_096, "é" * 1_024, "🦉", "%", "%2", "%zz", "\x1f", "\x7f",
)  # fmt: skip
NAMES = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def raw(tenant: str, page: str) -> bytes:
    return f"/ws/{quote(tenant, safe='')}/{quote(page, safe='')}".encode()


@given(NAMES, NAMES)
def test_the_path_of_a_socket_names_exactly_one_page(tenant, page):
    assert split_path(raw(tenant, page)) == (tenant, page)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=2, unique=True))
def test_two_pages_never_have_one_path(pair):
    assert raw(*pair[0]) != raw(*pair[1])


@given(NAMES, NAMES, NAMES)
def test_a_grant_of_one_tenant_covers_no_page_of_another(tenant, other, page):
    grant = Grant(tenant, "ada", "Ada", Role.ADMIN, pages=("*",))
    assert grant.covers(PageKey(tenant, page))
    assert grant.covers(PageKey(other, page)) is (tenant == other)


PIECES = st.sampled_from(("a", "b", "ab", "*", "?", "[ab]", ".", "/", "\n", "\\", "ba"))


@given(st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("".join))
def test_in_the_pages_of_a_token_only_a_star_stands_for_anything_else(page, pattern):
    wanted = ".*".join(re.escape(part) for part in pattern.split("*"))
    grant = Grant("t", "ada", "Ada", Role.ADMIN, pages=(pattern,))
    assert grant.covers(PageKey("t", page)) is bool(re.fullmatch(wanted, page, re.DOTALL))


@pytest.mark.no_cover
@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=6, unique=True))
async def test_the_store_keeps_hostile_names_apart(tmp_path_factory, pairs):
    kept = open_store(tmp_path_factory.mktemp("isolation") / "a.db")
    numbers = itertools.count(1)
    for tenant, page in pairs:
        row = LogEntry(
            next(numbers).to_bytes(16, "big"), "ada", "c", 1, repr((tenant, page)).encode()
        )
        await kept.commit([PageCommit(tenant, page, 0, [row])])
    for tenant, page in pairs:
        stored = await kept.load(tenant, page)
        assert stored is not None
        assert [entry.update for entry in stored.rows] == [repr((tenant, page)).encode()]
    for tenant in {tenant for tenant, _ in pairs}:
        found = {info.page for info in await kept.pages(tenant)}
        assert found == {page for owner, page in pairs if owner == tenant}
    await kept.close()


TENANTS = ("a:b", "a", "a/b", "a%2Fb", "..", "A", "а", "á", "x" * 64, "'; --", "🦉", "*")


@pytest.mark.no_cover
@pytest.mark.slow
async def test_what_is_written_at_one_tenant_is_told_by_no_other():
    """Every endpoint that takes names, on open tenants: only a flag can name tenants like these."""
    async with served(Config(open_tenants=TENANTS)) as app, client(app) as http:
        written: dict[tuple[str, str], str] = {}
        for tenant, page in itertools.product(TENANTS, HOSTILE[:12]):
            path = f"/comment-collab-chats/{quote(tenant, safe='')}"
            body = {**NEW_CHAT, "urlId": page, "urlIdWithRange": f"{page}:0"}
            with contextlib.suppress(RemoteFault):
                answer = await http.post(path, json=body, params={"user": "ada"})
                if answer.is_success:
                    written[tenant, page] = answer.json()["createdChatId"]
        assert len(written) >= 40
        for (tenant, page), chat in written.items():
            for other in TENANTS:
                asked = {"urlId": page, "user": "ada"}
                path = f"/comment-collab-chats/{quote(other, safe='')}"
                answer = await http.get(path, params=asked)
                assert (chat in answer.text) is (other == tenant), (tenant, page, other)
            gone = await http.delete(f"/comment-collab-chats/a%3Ab/{chat}", params={"user": "ada"})
            assert gone.is_success is (tenant == "a:b")
