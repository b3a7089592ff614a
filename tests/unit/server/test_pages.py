"""What browsers load: the demo article, the front page and the static files."""

import gzip
from collections.abc import Sequence

import httpx
import pytest
from starlette.applications import Starlette

from crdt_chat.identity import PageKey
from crdt_chat.server.web import pages

pytestmark = pytest.mark.anyio


def browser(open_pages: Sequence[PageKey] = (), *, demo: bool = True) -> httpx.AsyncClient:
    app = Starlette(routes=pages.routes(open_pages=lambda: open_pages, demo=demo))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_the_demo_is_an_article_and_a_script_of_this_origin():
    answer = await browser().get("/demo")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<article id="article">' in answer.text
    assert '<script type="module" src="/static/demo.js"></script>' in answer.text


async def test_nothing_in_the_pages_needs_a_softer_content_security_policy():
    client = browser([PageKey("demo", "one")])
    for path in ("/", "/demo"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text
        assert answer.text.count("<script") == answer.text.count('<script type="module" src=')


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("demo.js", "text/javascript; charset=utf-8"),
        ("demo.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("eb-garamond-latin-wght-normal.woff2", "font/woff2"),
        ("NOTICES.txt", "text/plain; charset=utf-8"),
    ],
)
async def test_static_files_have_their_type_and_may_not_be_sniffed(name, media_type):
    answer = await browser().get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/demo", "/static/demo.js"])
async def test_a_browser_that_has_it_is_told_so(path):
    client = browser([PageKey("demo", "one")])
    first = await client.get(path)
    again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    stale = await client.get(path, headers={"if-none-match": '"0000"'})
    assert stale.status_code == 200


async def test_text_is_sent_gzipped_to_those_who_take_it():
    client = browser()
    zipped = await client.get("/static/demo.js", headers={"accept-encoding": "gzip"})
    plain = await client.get("/static/demo.js", headers={"accept-encoding": "identity"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert zipped.content == plain.content
    assert int(zipped.headers["content-length"]) == len(gzip.compress(plain.content, mtime=0))


@pytest.mark.parametrize(
    "name", ["demo.html", "front.html", "nothing.js", "..%2Fpy.typed", "%2e%2e"]
)
async def test_only_the_listed_files_are_served(name):
    assert (await browser().get(f"/static/{name}")).status_code == 404


async def test_the_front_page_lists_open_pages_by_address_and_escapes_their_names():
    text = (await browser([PageKey("demo", "a/b <i>&c")]).get("/")).text
    assert "<code>/ws/demo/a%2Fb%20%3Ci%3E%26c</code>" in text
    assert "<i>" not in text
    assert 'href="/demo"' in text


async def test_the_front_page_stays_short_with_very_many_pages():
    text = (await browser([PageKey("demo", f"page-{n}") for n in range(2_500)]).get("/")).text
    assert text.count("<code>/ws/demo/page-") == pages.LONGEST_LIST
    assert "and 2,400 more" in text


async def test_without_the_demo_tenant_there_is_no_demo():
    client = browser(demo=False)
    assert (await client.get("/demo")).status_code == 404
    assert 'href="/demo"' not in (await client.get("/")).text
