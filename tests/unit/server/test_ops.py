"""The operator's routes: alive, ready, version, and metrics for nobody else."""

import httpx
import pytest
from starlette.applications import Starlette

from crdt_chat.server.web.ops import routes

pytestmark = pytest.mark.anyio


async def get(path: str, *, problems=(), client="127.0.0.1", headers=None, is_admin=None):
    app = Starlette(
        routes=routes(
            version={"version": "1.2.3"},
            problems=lambda: problems,
            render_metrics=lambda: b"crdt_chat_users 1.0\n",
            **({"is_admin": is_admin} if is_admin else {}),
        )
    )
    transport = httpx.ASGITransport(app, client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.get(path, headers=headers)


async def test_a_server_that_answers_is_healthy_even_when_it_is_not_ready():
    answer = await get("/healthz", problems=["The disk is full."])
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readiness_names_what_is_wrong():
    assert (await get("/readyz")).json() == {"status": "ready"}
    answer = await get("/readyz", problems=["The disk is full."])
    assert answer.status_code == 503
    assert answer.json()["problems"] == ["The disk is full."]


async def test_version():
    answer = (await get("/version")).json()
    assert answer["version"] == "1.2.3"
    assert {"crdt-chat", "python", "pycrdt", "sqlite"} < set(answer)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_metrics_answer_a_direct_request_from_this_machine(client):
    answer = await get("/metrics", client=client)
    assert answer.status_code == 200
    assert answer.text == "crdt_chat_users 1.0\n"
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("client", ["192.0.2.1", "2001:db8::1", "unix", "::ffff:192.0.2.1"])
async def test_metrics_answer_nobody_from_elsewhere(client):
    answer = await get("/metrics", client=client)
    assert answer.status_code == 403
    assert "crdt_chat_users" not in answer.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_metrics_do_not_take_a_proxy_for_this_machine(header):
    assert (await get("/metrics", headers={header: "192.0.2.1"})).status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8700", 200),
        ("[::1]:8700", 200),
        ("LOCALHOST", 200),
        ("evil.example:8700", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1@evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_a_name_that_a_web_site_gave_this_machine_is_none_of_its_names(host, status):
    """DNS rebinding: to the browser it is the site's own origin, so there is no Origin to look at."""
    assert (await get("/metrics", headers={"host": host})).status_code == status


async def test_metrics_answer_an_admin_from_elsewhere():
    def is_admin(request):
        return request.headers.get("authorization") == "Bearer good"

    allowed = await get(
        "/metrics", client="192.0.2.1", headers={"authorization": "Bearer good"}, is_admin=is_admin
    )
    assert allowed.status_code == 200
    assert (await get("/metrics", client="192.0.2.1", is_admin=is_admin)).status_code == 403
