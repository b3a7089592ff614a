"""Who may call what: every route of the server against every kind of caller."""

import json
from dataclasses import replace

import httpx
import pytest
from routes import (
    ASKS,
    CALLERS,
    CONFIG,
    NEW_CHAT,
    SECRET,
    SOCKETS,
    Row,
    client,
    rows,
    served,
    token,
)
from starlette.routing import Route, WebSocketRoute

from crdt_chat.config import Limits, TenantSettings
from crdt_chat.server.admin.administration import Caller
from store.tenants import AuditWanted

pytestmark = pytest.mark.anyio
OPERATOR = Caller("test", "test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def app():
    async with served() as running:
        administration = running.administration
        await administration.add(OPERATOR, "fluid", {})
        await administration.add_key(OPERATOR, "fluid", {"id": "k1", "secret": SECRET})
        await administration.revoke(OPERATOR, "fluid", {"token": "j"})
        yield running


async def test_every_route_of_the_server_has_a_row(app):
    there = {
        (method, route.path)
        for route in app.http.routes
        if isinstance(route, Route)
        for method in (route.methods or ()) - {"HEAD", "OPTIONS"}
    }
    sockets = {route.path for route in app.http.routes if isinstance(route, WebSocketRoute)}
    assert len(app.http.routes) == len(
        [r for r in app.http.routes if isinstance(r, Route | WebSocketRoute)]
    )
    assert there == {(row.method, row.route) for row in rows()}
    assert sockets | {"/ws/{tenant}/{page}"} == set(SOCKETS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.method} {row.path}")
async def test_who_may_and_nobody_else(app, row: Row):
    async with client(app) as http:
        # Those who may not come first: what they do must change nothing for those who may.
        for caller in sorted(CALLERS, key=lambda name: name in row.who):
            shown = token(caller, app)
            headers = {} if shown is None else {"authorization": f"Bearer {shown}"}
            answer = await http.request(row.method, row.path, json=row.body, headers=headers)
            assert allowed(answer) is (caller in row.who), (caller, answer.status_code, answer.text)
            if (
                answer.status_code in (401, 403)
                and answer.headers["content-type"] == "application/json"
            ):
                assert "code" in answer.json() or "reason" in answer.text


def allowed(answer: httpx.Response) -> bool:
    """Whether the server did it, or would have if what was named were there."""
    missing = answer.status_code == 404 and (
        "conversation" in answer.text or "no such annot" in answer.text
    )
    return answer.is_success or missing


async def test_an_admin_of_a_stored_tenant_sets_what_is_hers_alone(app):
    one = "/api/v1/tenants/fluid"
    headers = {"authorization": f"Bearer {token('admin', app, tenant='fluid')}"}
    async with client(app) as http:
        answer = await http.patch(
            one, json={"domains": ["a.example"], "title": "F"}, headers=headers
        )
        assert (answer.status_code, answer.json()["domains"]) == (200, ["a.example"])
        for name in ("open", "sso_secret", "page.body", "operations_per_s"):
            answer = await http.patch(one, json={name: 1}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await http.delete(one, headers=headers)).status_code == 403
        assert (await http.get("/api/v1/tenants/acme", headers=headers)).status_code == 401


async def test_no_secret_is_ever_shown(app):
    headers = {"authorization": f"Bearer {token('operator', app)}"}
    async with client(app) as http:
        await http.patch("/api/v1/tenants/fluid", json={"sso_secret": "hush-hush"}, headers=headers)
        for path in ("/tenants", "/tenants/fluid", "/audit", "/tenants/fluid/audit"):
            text = (await http.get(f"/api/v1{path}", headers=headers)).text
            assert SECRET not in text
            assert "hush-hush" not in text


async def test_an_operators_token_is_not_for_web_sites_and_can_be_revoked(app):
    async with client(app) as http:
        first = {"authorization": f"Bearer {token('operator', app)}"}
        for origin in ("https://evil.example", "http://localhost", "null"):
            answer = await http.get("/api/v1/tenants", headers={**first, "origin": origin})
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
        made = (
            await http.post("/api/v1/operators/tokens", json={"user": "g"}, headers=first)
        ).json()
        second = {"authorization": f"Bearer {made['token']}"}
        assert (await http.get("/api/v1/tenants", headers=second)).status_code == 200
        await http.post("/api/v1/operators/revocations", json={"token": made["id"]}, headers=first)
        assert (await http.get("/api/v1/tenants", headers=second)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/tenants", {"name": "a:b"}),
        ("POST", "/tenants", {"name": "../etc"}),
        ("POST", "/tenants", {"name": "аcme"}),
        ("POST", "/tenants", {"name": "a" * 65}),
        ("POST", "/tenants", {"name": "acme"}),
        ("POST", "/tenants", {"name": "fluid"}),
        ("POST", "/tenants", {"name": "x", "surprise": 1}),
        ("POST", "/tenants", {"name": "x", "page.body": -1}),
        ("POST", "/tenants", {"name": "x", "domains": ["no domain"]}),
        ("POST", "/tenants", {"name": "x", "anonymous": "admin"}),
        ("POST", "/tenants", {"name": "x", "jwks": "/etc/passwd"}),
        ("POST", "/tenants", {"name": "x", "title": "t" * 201}),
        ("POST", "/tenants", {"name": "x", "title": "a\x1b]0;b\x07"}),
        ("PATCH", "/tenants/fluid", {"title": "\x9b2J"}),
        ("POST", "/tenants/fluid/revocations", {"user": "a", "reason": "\x1b[2J"}),
        ("POST", "/tenants", [1]),
        ("POST", "/tenants", None),
        ("PATCH", "/tenants/acme", {"title": "in the settings"}),
        ("POST", "/tenants/fluid/keys", {"id": "k1", "secret": SECRET}),
        ("POST", "/tenants/fluid/keys", {"id": "k3", "secret": "short"}),
        ("POST", "/tenants/fluid/keys", {"id": "k3", "secret": SECRET, "public_key": "x"}),
        ("POST", "/tenants/fluid/keys", {"jwks": {"keys": [{"kty": "RSA"}]}}),
        ("POST", "/tenants/fluid/tokens", {"user": "a"}),
        ("POST", "/tenants/fluid/tokens", {"user": "a", "pages": []}),
        ("POST", "/tenants/fluid/tokens", {"user": "a\n", "pages": ["*"]}),
        ("POST", "/tenants/fluid/tokens", {"user": "anon:a", "pages": ["*"]}),
        ("POST", "/tenants/fluid/tokens", {"user": "a", "pages": ["*"], "role": "root"}),
        ("POST", "/tenants/fluid/tokens", {"user": "a", "pages": ["*"], "seconds": 0}),
        ("POST", "/tenants/fluid/tokens", {"user": "a", "pages": ["*"], "seconds": 1e9}),
        ("POST", "/tenants/fluid/revocations", {}),
        ("POST", "/tenants/fluid/revocations", {"user": "a", "token": "b"}),
        ("POST", "/tenants/fluid/revocations", {"tenant": "fluid"}),
        ("POST", "/tenants/fluid/revocations", {"user": "a", "until": "soon"}),
        ("PUT", "/tenants/fluid/roles/ada", {"role": "root"}),
        ("PUT", "/tenants/fluid/roles/ada", {}),
        ("GET", "/audit?after=-1", None),
        ("GET", "/audit?limit=%D9%A3", None),
        ("GET", "/audit?newest=1", None),
        ("GET", "/audit?surprise=1", None),
    ],
)
async def test_a_wrong_request_is_told_why_and_changes_nothing(app, method, path, body):
    headers = {"authorization": f"Bearer {token('operator', app)}"}
    async with client(app) as http:
        before = await http.get("/api/v1/audit", headers=headers)
        answer = await http.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), answer.text
        assert len(answer.json()["message"]) > 10
        after = await http.get("/api/v1/audit", headers=headers)
        assert before.json() == after.json()


@pytest.mark.parametrize(
    "path",
    [
        "/tenants/nobody",
        "/tenants/nobody/audit",
        "/tenants/fluid/keys/k9",
        "/tenants/fluid/revocations/0",
        f"/tenants/fluid/revocations/{2**63}",
        f"/tenants/fluid/revocations/{10**30}",
    ],
)
async def test_what_is_not_there_is_not_found(app, path):
    headers = {"authorization": f"Bearer {token('operator', app)}"}
    method = "DELETE" if "keys" in path or "revocations" in path else "GET"
    async with client(app) as http:
        answer = await http.request(method, f"/api/v1{path}", headers=headers)
    if path.endswith("audit"):
        assert answer.json() == {"entries": []}
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_body_is_bounded(app):
    headers = {"authorization": f"Bearer {token('operator', app)}"}
    async with client(app) as http:
        answer = await http.post("/api/v1/tenants", content=b"x" * 70_000, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_every_change_is_in_the_audit_log_with_who_and_from_where(app):
    headers = {"authorization": f"Bearer {token('admin', app)}"}
    async with client(app) as http:
        await http.put("/api/v1/tenants/acme/roles/eve", json={"role": "viewer"}, headers=headers)
        entries = (await http.get("/api/v1/tenants/acme/audit", headers=headers)).json()["entries"]
    last = entries[-1]
    assert (last["actor"], last["address"], last["action"]) == ("ada", "203.0.113.5", "role")
    assert (last["subject"], last["detail"]) == ("eve", {"role": "viewer"})


async def test_the_audit_log_is_asked_for_the_newest_by_action_and_person(app):
    headers = {"authorization": f"Bearer {token('operator', app)}"}
    async with client(app) as http:
        for user in ("eve", "bob"):
            path = f"/api/v1/tenants/acme/roles/{user}"
            await http.put(path, json={"role": "viewer"}, headers=headers)

        async def subjects(query: str) -> list[str]:
            answer = await http.get(f"/api/v1/audit?{query}", headers=headers)
            return [entry["subject"] for entry in answer.json()["entries"]]

        assert await subjects("action=role") == ["eve", "bob"]
        assert await subjects("newest=true&limit=1") == ["bob"]
        assert await subjects("user=eve") == ["eve"]
        assert await subjects("user=eve&action=tenant") == []


async def test_refusals_are_noted_with_where_they_came_from_whatever_the_way(app):
    """What the gate refuses of a legacy or a moderator's request, as of a socket's."""
    editor = {"authorization": f"Bearer {token('editor', app)}"}
    moderator = {"authorization": f"Bearer {token('moderator', app)}"}
    viewer = {"authorization": f"Bearer {token('viewer', app)}"}
    async with client(app, address="203.0.113.9") as http:
        made = await http.post("/comment-collab-chats/acme", json=NEW_CHAT, headers=editor)
        chat = made.json()["createdChatId"]
        path = f"/comment-collab-chats/acme/{chat}{ASKS}"
        assert (await http.delete(path, headers=viewer)).status_code == 403
        closing = {"page": "p", "entity": "never-there", "action": "close"}
        answer = await http.post("/api/v1/tenants/acme/moderation", json=closing, headers=moderator)
        assert answer.status_code == 403
    await app.services.refusals.flush(app.services.store.trust, 7)
    found = await app.services.store.trust.audit("acme", AuditWanted(action="refused"))
    assert [(row.actor, row.address, row.subject) for row in found] == [("ada", "203.0.113.9", "p")]
    assert json.loads(found[0].detail)["rules"].keys() == {"role", "unknown"}
    assert "never-there" not in str(found)


async def test_flags_and_moderation_are_paced_like_operations_of_a_socket():
    slow = replace(Limits(), operations_per_s=1.0, operations_burst=3.0, rate_patience_s=0.5)
    async with served(replace(CONFIG, limits=slow, tenants=(paced(),))) as app:
        for path, role, body in (
            ("flags", "editor", {"page": "p", "entity": "a1"}),
            ("moderation", "moderator", {"page": "p", "entity": "a1", "action": "dismiss"}),
        ):
            headers = {"authorization": f"Bearer {token(role, app)}"}
            async with client(app, address=f"203.0.113.{len(path)}") as http:
                url = f"/api/v1/tenants/acme/{path}"
                codes = [
                    (await http.post(url, json=body, headers=headers)).status_code for _ in range(5)
                ]
            assert codes[:3] == [codes[0]] * 3
            assert codes[0] in (204, 404)
            assert codes[-1] == 429, codes


def paced() -> TenantSettings:
    """acme, whose people may do one operation a second."""
    return replace(CONFIG.tenants[0], operations_per_s=1.0, operations_burst=3.0)


async def test_a_renewed_secret_counts_at_once_where_the_server_runs(app):
    headers = {"authorization": f"Bearer {token('operator', app)}"}
    async with client(app) as http:
        assert (await http.get("/api/v1/tenants", headers=headers)).status_code == 200
        assert (await http.post("/api/v1/operators/secret", headers=headers)).status_code == 404
        await app.administration.renew_secret(OPERATOR)
        assert (await http.get("/api/v1/tenants", headers=headers)).status_code == 401
        headers = {"authorization": f"Bearer {token('operator', app)}"}
        assert (await http.get("/api/v1/tenants", headers=headers)).status_code == 200


async def test_a_preflight_names_the_tenants_sites_only(app):
    await app.administration.change(OPERATOR, "fluid", {"domains": ["a.example"]})
    for origin, expected in (("https://a.example", True), ("https://b.example", False)):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        async with client(app) as http:
            for path in (
                "/api/v1/tickets?tenant=fluid",
                "/comment-collab-chats/fluid",
                "/api/v1/tenants/fluid/tokens",
            ):
                answer = await http.options(path, headers=headers)
                assert (answer.headers.get("access-control-allow-origin") == origin) is expected
                assert "authorization" in answer.headers.get(
                    "access-control-allow-headers", "authorization"
                )
