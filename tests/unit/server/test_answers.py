"""Answers over HTTP: whatever fails in a handler, a browser is told so, and by whom it may be read."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.config import Config
from crdt_chat.errors import NotFound, PageBroken
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.access.tenants import Tenants
from crdt_chat.server.access.tickets import Tickets
from crdt_chat.server.api import answers as api
from crdt_chat.server.audit.denials import Denials
from crdt_chat.server.legacy import answers as legacy
from crdt_chat.server.web import answers
from store.errors import Unavailable

pytestmark = pytest.mark.anyio

ORIGIN = "https://example.org"


@pytest.fixture
def anyio_backend() -> str:
    """Not trio: it notices that httpx leaves what it sends unread where we stop reading."""
    return "asyncio"


def authority() -> Authority:
    tickets = Tickets(lambda: 0.0, lambda: b"t" * 32)
    tenants = Tenants(Config(open_tenants=("lab",)))
    return Authority(
        tenants, Revocations(), tickets, b"s" * 32, lambda: 0, lambda: "id", Denials(20)
    )


async def post(interface, handler, body: bytes = b"") -> httpx.Response:
    route = answers.route("/{tenant}", ["POST"], interface.guarded(handler, authority()))
    transport = httpx.ASGITransport(Starlette(routes=[route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.post("/lab", content=body, headers={"origin": ORIGIN})


@pytest.mark.parametrize("interface", [api, legacy])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("there is no such thing"), 404, "not-found"),
        (Unavailable("the disk is full"), 503, "try-later"),
        (PageBroken("the document has failed"), 503, "try-later"),
    ],
)
async def test_a_fault_is_told_as_json_that_the_site_may_read(interface, error, status, code):
    async def fails(_request: Request) -> Response:
        raise error

    answer = await post(interface, fails)
    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert "disk" not in answer.text
    assert "document" not in answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a": 1}', 200),
        (b"  ", 200),
        (b"{", 400),
        (b"[" * 60_000, 400),
        (b"\xff", 400),
        (b'{"a": "' + b"x" * 65_536 + b'"}', 413),
    ],
)
async def test_a_body_is_small_and_json(body, status):
    async def echo(request: Request) -> Response:
        return api.answer(await api.json_object(request))

    assert (await post(api, echo, body)).status_code == status


async def test_an_answer_can_say_whatever_json_can():
    async def odd(_request: Request) -> Response:
        return api.answer({"text": "\ud800 é"})

    assert (await post(api, odd)).json() == {"text": "\ud800 é"}
