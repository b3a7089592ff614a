"""The audit log knows who was refused, from where and why, whichever way she came; never what she showed."""

import base64
import json
import time
from collections import Counter
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from routes import CONFIG, KEY, SECRET, SOCKETS, client, knock, rows, served, token

from crdt_chat.config import Config, TenantSettings
from crdt_chat.errors import Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.access.guard import Watched
from crdt_chat.server.admin.administration import Caller
from crdt_chat.server.app import App
from crdt_chat.server.audit.denials import ACTION, MOST, Denials
from crdt_chat.server.privacy.erasure import Wanted
from store.errors import Unavailable
from store.memory import MemoryStore
from store.tenants import AuditEntry, AuditWanted

pytestmark = pytest.mark.anyio
EVERY = AuditWanted(limit=100_000)
SITED = Config(tenants=(TenantSettings("acme", domains=("site.example",), keys=KEY),))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def written(denials: Denials) -> list[AuditEntry]:
    store = MemoryStore()
    await denials.flush(store.trust, 7)
    return await store.trust.audit(None, EVERY)


async def audited(app: App) -> list[AuditEntry]:
    """All that is in the audit log once it has been written."""
    trust = app.services.store.trust
    await app.administration.authority.denials.flush(trust, 7)
    return [entry for entry in await trust.audit(None, EVERY) if entry.action == ACTION]


def reasons(entries: list[AuditEntry]) -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in entries:
        found.update(json.loads(entry.detail)["reasons"])
    return found


def times(entries: list[AuditEntry]) -> int:
    return sum(json.loads(entry.detail)["times"] for entry in entries)


# Counting


async def test_refused_logins_of_one_address_are_one_entry():
    denials = Denials(20)
    for reason in ("the token has expired", "that is no token", "that is no token"):
        denials.note("acme", "203.0.113.9", "", reason)
    denials.note("acme", "203.0.113.9", "eve", "the token has expired")
    found = await written(denials)
    assert [(e.at, e.tenant, e.address, e.actor, e.action, e.subject) for e in found] == [
        (7, "acme", "203.0.113.9", "", "denied", ""),
        (7, "acme", "203.0.113.9", "eve", "denied", ""),
    ]
    counted = {"that is no token": 2, "the token has expired": 1}
    assert json.loads(found[0].detail) == {"times": 3, "reasons": counted}
    assert await written(denials) == []


@pytest.mark.parametrize(("addresses", "tenants"), [(21, 1), (500, 3), (5_000, 1), (5_000, 400)])
async def test_however_many_addresses_few_entries_are_written_and_all_is_counted(
    addresses: int, tenants: int
):
    denials, named = Denials(20), 20
    for number in range(addresses):
        denials.note(f"t{number % tenants}", f"198.51.100.{number}", "", "that is no token")
    for _ in range(5):
        denials.note("t0", "203.0.113.9", "", "that is no token")
    found = await written(denials)
    assert len(found) <= 2 * named + 1
    assert times(found) == addresses + 5
    assert len([entry for entry in found if entry.address]) == named
    if addresses < MOST:
        # Who was refused most often is named, however many there are.
        assert "203.0.113.9" in {entry.address for entry in found}


async def test_nothing_is_counted_without_bound_in_memory():
    denials = Denials(20)
    for number in range(3 * MOST):
        denials.note(f"t{number}", f"198.51.100.{number}", f"u{number}", "no")
    assert len(denials._counts) <= MOST + 1


async def test_what_can_not_be_written_is_counted_still():
    class Full:
        async def note(self, _entries: Any) -> None:
            raise Unavailable("the disk is full")

    denials = Denials(20)
    for _ in range(3):
        denials.note("acme", "203.0.113.9", "", "no")
    with pytest.raises(Unavailable):
        await denials.flush(Full(), 7)
    denials.note("acme", "203.0.113.9", "", "no")
    assert times(await written(denials)) == 4


# Every entrance


@pytest.mark.parametrize("caller", ["forged", "other tenant's admin"])
async def test_a_bad_token_is_counted_by_whatever_route_it_came(caller: str):
    async with served() as app, client(app) as http:
        shown = token(caller, app)
        headers = {"authorization": f"Bearer {shown}"}
        refused = 0
        for row in rows():
            answer = await http.request(row.method, row.path, headers=headers, json=row.body)
            refused += answer.status_code in (401, 403)
            assert times(await audited(app)) == refused, row
        assert refused > 20
        for path in (f"/ws/acme/p?token={shown}", f"/sub?tenantIdWS=acme&urlId=p&token={shown}"):
            address, _, query = path.partition("?")
            assert await knock(app, address, query) == 4401
            refused += 1
            assert times(await audited(app)) == refused, path
        found = await audited(app)
        assert {entry.address for entry in found} == {"203.0.113.5"}
        assert {entry.actor for entry in found} == {""}
        assert str(shown)[-20:] not in str(found)
    assert len(SOCKETS) == 3, "a new socket: knock at it here"


def claims(**more: Any) -> dict[str, Any]:
    now = time.time()
    said = {"aud": "crdt-chat", "tenant": "acme", "sub": "ada", "pages": ["*"], "exp": now + 600}
    return {**said, **more}


def signed(secret: str = SECRET, **more: Any) -> str:
    return jwt.encode(claims(**more), secret, "HS256", {"kid": "k1"})


async def at_the_door(app: App, query: str = "", **headers: str) -> tuple[int | None, AuditEntry]:
    """How a CRDT socket ended, and the one entry that came of it."""
    before = len(await audited(app))
    code = await knock(app, "/ws/acme/p", query, headers)
    [entry] = (await audited(app))[before:]
    return code, entry


async def test_why_is_in_it_and_who_only_where_a_signature_vouches_for_her():
    async with served() as app:
        past = time.time() - 60
        tries = [
            ("that is no token", "", "gibberish"),
            ("the token is not signed by a key of this tenant", "", signed("f" * 40)),
            ("the token is for another tenant", "", signed(tenant="other")),
            ("the token is for another audience", "", signed(aud="else")),
            ("the token has expired", "ada", signed(exp=past)),
            ("the token is not valid yet", "ada", signed(nbf=time.time() + 900)),
            ("the token has expired", "", signed("f" * 40, exp=past) + "x"),
            ("the token lacks the claim `exp`", "", signed(exp=None)),
        ]
        for reason, user, shown in tries[:6]:
            code, entry = await at_the_door(app, f"token={shown}")
            assert (code, entry.actor, list(reasons([entry]))) == (4401, user, [reason])
            assert entry.tenant == "acme"
        code, entry = await at_the_door(app, f"token={tries[6][2]}")
        assert entry.actor == ""
        code, entry = await at_the_door(app, f"token={signed(pages=['elsewhere'])}")
        assert (code, entry.actor) == (4403, "ada")
        assert list(reasons([entry])) == ["your token is not for this page"]
        code, entry = await at_the_door(app, "ticket=" + "0" * 64)
        assert code == 4401
        assert "ticket" in str(reasons([entry]))
        code, entry = await at_the_door(app)
        assert list(reasons([entry])) == ["this tenant needs a token"]


async def test_a_foreign_web_site_is_in_it():
    async with served(SITED) as app:
        origin = {"origin": "https://evil.example"}
        code, entry = await at_the_door(app, f"token={signed()}", **origin)
        assert code == 4403
        assert list(reasons([entry])) == ["this web site may not use this tenant"]
        assert "evil" not in str(entry)
        async with client(app) as http:
            headers = {**origin, "authorization": f"Bearer {signed()}"}
            await http.post("/api/v1/tickets?tenant=acme", headers=headers)
        assert times(await audited(app)) == 2


async def test_revoked_people_and_roles_that_do_not_suffice_are_named():
    async with served() as app, client(app) as http:
        viewer = {"authorization": f"Bearer {token('viewer', app)}"}
        assert (await http.get("/api/v1/tenants/acme/audit", headers=viewer)).status_code == 403
        admin = {"authorization": f"Bearer {token('admin', app)}"}
        told = {"user": "ada"}
        answer = await http.post("/api/v1/tenants/acme/revocations", headers=admin, json=told)
        assert answer.status_code == 201, answer.text
        old = signed(iat=time.time() - 5)
        assert await knock(app, "/ws/acme/p", f"token={old}") == 4401
        found = [entry for entry in await audited(app) if entry.actor == "ada"]
        assert reasons(found) == {
            "only an admin of this tenant may do that": 1,
            "all tokens of that time were revoked: get a fresh one": 1,
        }


async def test_nothing_that_a_stranger_writes_is_in_it():
    marker = "forbidden7x"
    head = base64.urlsafe_b64encode(f'{{"kid": "{marker}", "alg": "HS256"}}'.encode()).decode()
    shown = [
        marker, f"{marker}.{marker}.{marker}", f"{head}.{marker}.x", signed(sub=marker, exp=1) + marker,
        signed(role=marker), signed(sub=f"{marker}\x00"), signed(avatar=7, name=[marker]),
        signed("f" * 40, sub=marker, exp=1), signed(pages=marker * 500), signed(tenant=marker),
        signed(aud=marker), signed(jti={marker: 1}), signed(user=marker),
    ]  # fmt: skip
    async with served() as app, client(app) as http:
        for each in shown:
            for path in ("acme", marker, quote(f"{marker}/../acme", safe="")):
                await knock(app, f"/ws/{path}/{marker}", f"token={quote(each)}&user={marker}")
            headers = {"authorization": f"Bearer {each}"}
            await http.get(f"/api/v1/tenants/{marker}/audit", headers=headers)
            await http.get("/api/v1/tenants/acme/audit", headers=headers)
        sso = json.dumps({"userDataJSONBase64": marker, "verificationHash": marker, "timestamp": 1})
        answer = await http.get(f"/comment-collab-chats/acme?urlId=p&sso={quote(sso)}")
        assert answer.status_code == 401
        found = await audited(app)
        assert times(found) > 3 * len(shown)
        assert marker not in str(found)


async def test_bad_fresh_tokens_on_a_live_socket_are_in_it():
    class Session:
        grant = Grant("acme", "ada", "Ada", Role.EDITOR, key="k1", expires=time.time() + 60)

        def regrant(self, grant: Grant) -> None: ...

        def close(self, fault: Exception) -> None: ...

    async with served() as app:
        guard, session = app.crdt._guard, Session()
        assert guard is not None
        guard.begin(Watched(session, PageKey("acme", "p"), session.grant, None))
        with pytest.raises(Unauthorized):
            guard.renew(session, signed(exp=1), "203.0.113.7")
        [entry] = await audited(app)
        assert (entry.actor, entry.address) == ("ada", "203.0.113.7")


async def test_operators_see_what_concerns_no_tenant_and_admins_what_concerns_theirs():
    async with served(CONFIG) as app, client(app) as http:
        await knock(app, "/ws/acme/p", "token=gibberish")
        await http.get("/api/v1/tenants", headers={"authorization": "Bearer gibberish"})
        await audited(app)
        admin = {"authorization": f"Bearer {token('admin', app)}"}
        operator = {"authorization": f"Bearer {token('operator', app)}"}
        asked = {"action": "denied"}
        mine = await http.get("/api/v1/tenants/acme/audit", params=asked, headers=admin)
        assert [entry["tenant"] for entry in mine.json()["entries"]] == ["acme"]
        every = await http.get("/api/v1/audit", params=asked, headers=operator)
        assert {entry["tenant"] for entry in every.json()["entries"]} == {"acme", ""}


async def test_who_is_erased_is_not_named_by_what_was_counted_before():
    async with served() as app:
        await knock(app, "/ws/acme/p", f"token={signed(sub='zoe', exp=1)}")
        await app.erasure.erase(Caller("grace", ""), "acme", Wanted(user="zoe"))
        found = await audited(app)
        assert [entry.actor for entry in found] == ["erased"]
        assert "zoe" not in str(await app.services.store.trust.audit(None, EVERY))
