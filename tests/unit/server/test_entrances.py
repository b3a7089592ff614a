"""Every route and socket of the server: who comes in, from which web site, and what browsers are told."""

from dataclasses import replace

import pytest
from routes import (
    CALLERS,
    CONFIG,
    READERS,
    SECRET,
    SOCKETS,
    Row,
    client,
    knock,
    rows,
    served,
    token,
)

from crdt_chat.config import Config
from crdt_chat.server.admin.administration import Caller

pytestmark = pytest.mark.anyio
OPERATOR = Caller("test", "test")
SITE, EVIL = "https://site.example", "https://evil.example"
ORIGINS = (SITE, EVIL, "null", "https://site.example.evil.example", "http://site.example")
WITH_SITES = Config(
    tenants=tuple(replace(tenant, domains=("site.example",)) for tenant in CONFIG.tenants)
)
ABOUT_NOBODY = ("/", "/demo", "/static/", "/healthz", "/readyz", "/version", "/metrics")
"""Addresses that are about no tenant: other sites can't read them, and no site has more than anybody."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def app():
    async with served(WITH_SITES) as running:
        administration = running.administration
        await administration.add(OPERATOR, "fluid", {"domains": ["site.example"]})
        await administration.add_key(OPERATOR, "fluid", {"id": "k1", "secret": SECRET})
        await administration.revoke(OPERATOR, "fluid", {"token": "j"})
        yield running


def best(row: Row) -> str:
    """Somebody who may, an operator last: her token is for no web site."""
    return next(
        (who for who in reversed(CALLERS) if who in row.who and who != "operator"), "nobody"
    )


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.method} {row.path}")
async def test_a_route_answers_the_tenants_sites_and_no_other(app, row: Row):
    """Foreign sites are told nothing, whoever's token they hold; ours may read what they are told."""
    tenant = "fluid" if "fluid" in row.path else "acme"
    public = row.path == "/" or row.path.startswith(ABOUT_NOBODY[1:])
    for origin in ORIGINS:
        async with client(app) as http:
            shown = token(best(row), app, tenant=tenant)
            headers = {"origin": origin} | ({"authorization": f"Bearer {shown}"} if shown else {})
            answer = await http.request(row.method, row.path, json=row.body, headers=headers)
        allowed = answer.headers.get("access-control-allow-origin")
        if public:
            assert allowed is None
        elif origin != SITE:
            assert (answer.status_code, allowed) in ((403, None), (401, None)), origin
        elif row.who != ("operator",) and row.who:
            assert allowed == SITE
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.status_code != 403, answer.text
        assert "*" not in (allowed or "")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.method} {row.path}")
async def test_an_operators_token_is_good_from_no_site(app, row: Row):
    if row.path == "/" or row.path.startswith(ABOUT_NOBODY[1:]) or "operator" not in row.who:
        return
    headers = {"origin": SITE, "authorization": f"Bearer {token('operator', app)}"}
    async with client(app) as http:
        answer = await http.request(row.method, row.path, json=row.body, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.method} {row.path}")
async def test_what_comes_out_is_never_taken_for_something_else(app, row: Row):
    """HTML has a strict policy, all else a type that is not HTML and may not be sniffed."""
    for caller in ("nobody", best(row)):
        shown = token(caller, app, tenant="fluid" if "fluid" in row.path else "acme")
        headers = {"authorization": f"Bearer {shown}"} if shown else {}
        async with client(app) as http:
            answer = await http.request(row.method, row.path, json=row.body, headers=headers)
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/html"):
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
        if answer.content:
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"])
@pytest.mark.parametrize("path", ["/nowhere", "/api/v1", "/api/v1/tenants/acme/<b>", "/healthz/x"])
async def test_what_is_no_route_is_plain_text_or_nothing(app, method, path):
    async with client(app) as http:
        answer = await http.request(method, path)
    assert answer.status_code in (404, 405)
    assert "<b>" not in answer.text
    assert answer.headers.get("content-type", "text/plain").startswith(
        ("text/plain", "application/json")
    )


IN = {
    "/ws/{tenant}/{page}": ("/ws/acme/p", ""),
    "/sub": ("/sub", "tenantIdWS=acme&urlId=p&userIdWS=x"),
    "/sub/": ("/sub/", "tenantIdWS=acme&urlId=p&userIdWS=x"),
}


async def test_every_socket_is_tried():
    assert set(IN) == set(SOCKETS)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", SOCKETS)
async def test_who_comes_in_through_a_socket_and_nobody_else(app, route, caller):
    path, query = IN[route]
    shown = token(caller, app)
    headers = {"authorization": f"Bearer {shown}"} if shown else {}
    code = await knock(app, path, query, headers)
    assert code is None if caller in READERS else code == 4401, code


@pytest.mark.parametrize("route", SOCKETS)
async def test_a_socket_is_opened_from_the_tenants_sites_only(app, route):
    path, query = IN[route]
    for origin in ORIGINS:
        headers = {"authorization": f"Bearer {token('editor', app)}", "origin": origin}
        code = await knock(app, path, query, headers)
        assert code == (None if origin == SITE else 4403), origin
