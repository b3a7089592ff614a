"""Every address that names a tenant, asked by somebody of a tenant whose name is like it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import quote, urlencode

import pytest
from estate import PAGES, Estate, Owner, estate, holdings
from routes import SOCKETS, Row, rows
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

__all__ = ["estate"]

NAMED = re.compile(r"(?<=/)(acme|fluid)(?=[/?]|$)|(?<=tenant=)acme")
PAGE = "b:c"


def addresses() -> list[Row]:
    """The rows of the server's table that are about a tenant; test_access.py says that the table is whole."""
    return [row for row in rows() if NAMED.search(row.path)]


def address(row: Row, owner: Owner) -> str:
    """Its address for this tenant, with a page that others have, too."""
    path = NAMED.sub(quote(owner.name, safe="").replace("\\", r"\\"), row.path)
    return re.sub(r"(?<=[?&])(urlId|page)=p\b", rf"\1={quote(PAGE, safe='')}", path)


def body(row: Row) -> object:
    if not isinstance(row.body, dict):
        return row.body
    return {key: PAGE if key in ("page", "urlId") else value for key, value in row.body.items()}


def test_every_route_that_takes_a_tenant_is_tried() -> None:
    by_path = {row.route for row in rows() if "{tenant}" in row.route}
    by_query = {"/api/v1/tickets", "/api/v1/visitors"}
    assert {row.route for row in addresses()} == by_path | by_query
    assert set(SOCKETS) == {"/ws/{tenant}/{page}", "/sub", "/sub/"}


Ask = Callable[[Row, Owner, str], tuple[int, str]]


@pytest.fixture
def ask(estate: Estate) -> Iterator[Ask]:
    """Status and text of what a row answers for a tenant, to the bearer of a token.

    The address is sent as it is: other clients take the dots out of it first.
    """
    with closing(
        HTTPConnection(estate.server.http.removeprefix("http://"), timeout=PATIENCE_S)
    ) as http:

        def asked(row: Row, owner: Owner, bearer: str) -> tuple[int, str]:
            said = None if row.body is None else json.dumps(body(row))
            headers = {"authorization": f"Bearer {bearer}"}
            http.request(row.method, address(row, owner), said, headers)
            answer = http.getresponse()
            return answer.status, answer.read().decode()

        yield asked


def neighbours(estate: Estate, owner: Owner) -> list[Owner]:
    """Two tenants beside it in the list, and the one that is the beginning of many names."""
    at, count = estate.tenants.index(owner), len(estate.tenants)
    found = [estate.tenants[(at + step) % count] for step in (1, -1)]
    found += [each for each in estate.tenants if each.name == "a" and each not in found]
    return [each for each in found if each != owner]


@pytest.mark.parametrize("row", addresses(), ids=lambda row: f"{row.method} {row.path}")
def test_an_address_gives_nothing_to_the_admin_of_another_tenant(
    estate: Estate, ask: Ask, row: Row
) -> None:
    before = holdings(estate.server.db)
    for owner in estate.tenants:
        for other in neighbours(estate, owner):
            status, text = ask(row, owner, other.token("ada", "admin"))
            if "/" in owner.name:
                # Such an address is one of the tenant before the slash: it may be her own.
                before = estate.untouched(before, {(other.name, "")})
            else:
                assert status in (400, 401, 403), (owner, other, text)
            assert not re.search(rf"\b{owner.word}\b", text)
    estate.untouched(before)


@pytest.mark.parametrize(
    "row",
    [row for row in addresses() if row.method == "GET" and "admin" in row.who],
    ids=lambda row: row.path,
)
def test_an_address_tells_its_own_admin_of_her_tenant_and_of_no_other(
    estate: Estate, ask: Ask, row: Row
) -> None:
    words, told = {each.word for each in estate.tenants}, 0
    for owner in estate.tenants:
        status, text = ask(
            replace(row, path=row.path.replace("=zoe", "=ada")), owner, owner.token("ada", "admin")
        )
        # A slash makes it another address.
        assert (status == 200) is ("/" not in owner.name), (owner, status, text)
        found = {word for word in words if re.search(rf"\b{word}\b", text)}
        assert found <= {owner.word}, owner
        told += len(found)
    if "exports" in row.path or "comment-collab" in row.path or "event-log" in row.path:
        assert told >= 20


def closed(address: str, token: str) -> int | None:
    """The code that a socket is closed with, None for one that is told something."""
    headers = {"authorization": f"Bearer {token}"}
    with connect(address, additional_headers=headers, compression=None) as socket:
        try:
            socket.recv(timeout=PATIENCE_S)
        except ConnectionClosed:
            return socket.close_code
    return None


def subscription(ask: Ask, owner: Owner) -> dict[str, str]:
    """What her tenant's server told ada to subscribe with."""
    row = next(row for row in rows() if row.path == "/comment-collab-chats/acme?urlId=p")
    status, text = ask(row, owner, owner.token("ada"))
    if status != 200:
        return {}
    told = json.loads(text)
    return {"urlId": told["urlIdWS"], "userIdWS": told["userIdWS"]}


def test_a_socket_takes_nobody_of_another_tenant(estate: Estate) -> None:
    for owner in estate.tenants:
        for other in neighbours(estate, owner):
            for page in PAGES:
                place = f"{estate.server.ws(owner.name)}/{quote(page, safe='')}"
                assert closed(place, other.token()) == 4401, (owner, other, page)


@pytest.mark.parametrize("route", [route for route in SOCKETS if route.startswith("/sub")])
def test_a_subscription_of_one_tenant_opens_no_other(estate: Estate, ask: Ask, route: str) -> None:
    root = estate.server.http.replace("http", "ws") + route
    tried = 0
    for owner in estate.tenants:
        for other in neighbours(estate, owner):
            mine = subscription(ask, other)
            if mine:
                tried += 1
                query = urlencode({"tenantIdWS": owner.name, **mine})
                assert closed(f"{root}?{query}", other.token()) == 4401, (owner, other)
                # Her session alone, and beside a token of the other's.
                assert closed(f"{root}?{query}", "") == 4401
    assert tried >= 30
