"""Attacks with what opens doors: each credential at every other door, outlived, doubled, raced and bent."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from entries import annotation, comment
from trusted import SECRETS, TrustedServer, token, trusted
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

__all__ = ["trusted"]

ACME = "/api/v1/tenants/acme"
LISTING = "/comment-collab-chats/acme"


@pytest.fixture
def http(trusted: TrustedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=trusted.http) as client:
        yield client


def bearer(shown: str) -> dict[str, str]:
    return {"authorization": f"Bearer {shown}"}


def ticket(http: httpx.Client, shown: str) -> str:
    answer = http.post("/api/v1/tickets", params={"tenant": "acme"}, headers=bearer(shown))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


def session(http: httpx.Client, shown: str, page: str = "p") -> dict[str, str]:
    """What a legacy client is told to subscribe with."""
    answer = http.get(LISTING, params={"urlId": page}, headers=bearer(shown))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return {"tenantIdWS": "acme", "urlId": told["urlIdWS"], "userIdWS": told["userIdWS"]}


def subscribed(trusted: TrustedServer, said: dict[str, str]) -> int | None:
    """The code that a subscription is closed with, None if it is told something."""
    address = f"{trusted.http.replace('http', 'ws')}/sub?{urlencode(said)}"
    with connect(address, compression=None) as socket:
        try:
            socket.recv(timeout=PATIENCE_S)
        except ConnectionClosed:
            return socket.close_code
    return None


# At the wrong door

DOORS = (
    "socket",
    "ticket query",
    "listing",
    "ticket of acme",
    "ticket of club",
    "sub",
    "admin",
    "operator",
)
OPENS = {
    "token": {"socket", "listing", "ticket of acme", "sub", "admin"},
    "session": {"socket", "listing", "ticket of acme", "sub"},
    "visitor": {"ticket of club"},
    "ticket": {"ticket query"},
    "operator": {"admin", "operator"},
    "backwards": set[str](),
}
"""Which door each of them opens; the server itself signs all but the first, with one secret."""


def credential(trusted: TrustedServer, http: httpx.Client, kind: str) -> str:
    admin = token(role="admin")
    match kind:
        case "token":
            return admin
        case "session":
            return session(http, admin)["userIdWS"]
        case "visitor":
            return str(http.post("/api/v1/visitors", params={"tenant": "club"}).json()["token"])
        case "ticket":
            return ticket(http, admin)
        case "operator":
            return trusted.command("token", "--operator", "grace")
    return admin[::-1]


def opens(trusted: TrustedServer, http: httpx.Client, shown: str, door: str) -> bool:
    headers = bearer(shown)
    if door in ("socket", "ticket query"):
        options: dict[str, Any] = (
            {"additional_headers": headers} if door == "socket" else {"query": {"ticket": shown}}
        )
        with trusted.client("p", **options) as client:
            try:
                client.handshake()
            except ConnectionClosed:
                assert client.socket.close_code == 4401
                return False
            return True
    if door == "sub":
        return subscribed(trusted, session(http, token()) | {"userIdWS": shown}) is None
    method, path, query = {
        "listing": ("GET", LISTING, {"urlId": "p"}),
        "ticket of acme": ("POST", "/api/v1/tickets", {"tenant": "acme"}),
        "ticket of club": ("POST", "/api/v1/tickets", {"tenant": "club"}),
        "admin": ("GET", f"{ACME}/audit", {}),
        "operator": ("GET", "/api/v1/tenants", {}),
    }[door]
    answer = http.request(method, path, params=query, headers=headers)
    assert answer.is_success or answer.status_code in (401, 403), (door, answer.text)
    return answer.is_success


@pytest.mark.parametrize("kind", OPENS)
def test_what_was_made_for_one_door_opens_no_other(
    trusted: TrustedServer, http: httpx.Client, kind: str
) -> None:
    found = {door for door in DOORS if opens(trusted, http, credential(trusted, http, kind), door)}
    assert found == OPENS[kind]


# Outlived

LIFE_S = 5.0
"""Of a token that expires: time enough to get something for it, on whatever machine."""

ENDS: dict[str, Callable[[httpx.Client, str], object]] = {
    "token": lambda http, user: revoked(http, {"token": f"id of {user}"}),
    "user": lambda http, user: revoked(http, {"user": user}),
    "expiry": lambda _http, _user: time.sleep(LIFE_S + 0.1),
}


def revoked(http: httpx.Client, what: dict[str, str]) -> None:
    answer = http.post(f"{ACME}/revocations", json=what, headers=bearer(token(role="admin")))
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("how", ENDS)
def test_nothing_that_was_got_for_a_token_outlives_it(
    trusted: TrustedServer, http: httpx.Client, how: str
) -> None:
    """Tickets, legacy sessions, and the tickets that are got for a session."""
    user = f"mallory of {how}"
    shown = token(user=user, jti=f"id of {user}", seconds=LIFE_S if how == "expiry" else 600)
    said = session(http, shown)
    tickets = [ticket(http, shown), ticket(http, said["userIdWS"])]
    ENDS[how](http, user)
    assert subscribed(trusted, said) == 4401
    answer = http.get(LISTING, params={"urlId": "p"}, headers=bearer(said["userIdWS"]))
    assert answer.status_code == 401
    for each in tickets:
        assert trusted.refused("p", query={"ticket": each}) == 4401


def test_a_ticket_brings_the_role_that_counts_when_it_is_used(
    trusted: TrustedServer, http: httpx.Client
) -> None:
    shown = ticket(http, token(user="demoted", role="moderator"))
    path = f"{ACME}/roles/demoted"
    http.put(path, json={"role": "viewer"}, headers=bearer(token(role="admin"))).raise_for_status()
    with trusted.client("p", query={"ticket": shown}) as client:
        client.handshake()
        [hello] = [body for body in client.controls if body["type"] == "hello"]
    assert hello["role"] == "viewer"


def test_a_session_is_for_its_page_alone(trusted: TrustedServer, http: httpx.Client) -> None:
    """Of a token that covers only one: under the other page's id, its own name, and beside the token."""
    narrow = token(user="narrow", pages=["open"])
    mine, other = session(http, narrow, "open"), session(http, token(), "secret")
    for page in (other["urlId"], "secret"):
        assert subscribed(trusted, mine | {"urlId": page}) in (4401, 4403)


# Raced, doubled and bent


def test_one_ticket_lets_one_in_however_many_come_at_once(
    trusted: TrustedServer, http: httpx.Client
) -> None:
    shown = ticket(http, token())

    def comes(_number: int) -> int | None:
        with trusted.client("p", query={"ticket": shown}) as client:
            try:
                client.handshake()
            except ConnectionClosed:
                return client.socket.close_code
            return None

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(comes, range(12)))
    assert sorted(code or 0 for code in found) == [0] + [4401] * 11


@pytest.mark.parametrize("name", ["Authorization", "Origin", "Host"])
def test_a_second_header_of_a_kind_is_not_believed(trusted: TrustedServer, name: str) -> None:
    """A proxy may look at the first and the server at the last, or the other way round."""
    good = {"Authorization": f"Bearer {token()}", "Origin": "https://site.example", "Host": "x"}
    bad = {"Authorization": "Bearer x", "Origin": "https://evil.example", "Host": "evil.example"}
    with closing(HTTPConnection(trusted.http.removeprefix("http://"), timeout=PATIENCE_S)) as raw:
        raw.putrequest("GET", f"{LISTING}?urlId=p", skip_host=True)
        for header, value in good.items():
            pair = (bad[header], value) if header == name else (value,)
            for each in pair:
                raw.putheader(header, each)
        raw.endheaders()
        assert raw.getresponse().status in (400, 401, 403)


def signed(head: dict[str, Any], **claims: Any) -> str:
    """A token by the tenant's own secret whose claims are of any JSON type."""
    now = time.time()
    said = {"aud": "crdt-chat", "tenant": "acme", "sub": "bent", "pages": ["*"], "exp": now + 60}
    parts = ({"alg": "HS256", "kid": "k1"} | head, said | claims)
    text = b".".join(_encoded(json.dumps(part).encode()) for part in parts)
    mac = hmac.new(SECRETS["acme"].encode(), text, hashlib.sha256).digest()
    return (text + b"." + _encoded(mac)).decode()


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


BENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kid": 7}, {}), ({"kid": ["k1"]}, {}), ({"kid": {}}, {}), ({"kid": "K1"}, {}), ({"alg": "hs256"}, {}),
    ({"alg": "none"}, {}), ({"alg": ["HS256"]}, {}), ({"crit": ["x"], "x": 1}, {}),
    ({"b64": False, "crit": ["b64"]}, {}), *(({}, claims) for claims in (
        {"exp": 1e300}, {"exp": "9999999999"}, {"exp": True}, {"exp": float("inf")}, {"exp": float("nan")},
        {"exp": [1]}, {"exp": 10**30}, {"exp": None}, {"nbf": "x"}, {"nbf": 9e9}, {"iat": 1e300}, {"iat": {}},
        {"pages": {"*": 1}}, {"pages": [["*"]]}, {"pages": [7]}, {"pages": None}, {"pages": [""]},
        {"role": ["admin"]}, {"role": 5}, {"role": "ADMIN"}, {"role": "operator"}, {"sub": 7}, {"sub": ""},
        {"sub": "\ud800"}, {"sub": "a\x00"}, {"sub": ["ada"]}, {"sub": "anon:x"}, {"sub": "x" * 256},
        {"user": "somebody else"}, {"aud": {"crdt-chat": 1}}, {"aud": []}, {"aud": "crdt-chat "},
        {"tenant": ["acme"]}, {"tenant": ""}, {"tenant": "Acme"}, {"jti": {}}, {"jti": 7}, {"name": "\ud800"},
        {"name": 7}, {"avatar": 7},
    )),
]  # fmt: skip


def test_a_token_that_is_well_signed_and_bent_is_refused(
    trusted: TrustedServer, http: httpx.Client, record_property: Callable[[str, object], None]
) -> None:
    for head, claims in BENT:
        answer = http.post(
            "/api/v1/tickets", params={"tenant": "acme"}, headers=bearer(signed(head, **claims))
        )
        assert answer.status_code == 401, (head, claims, answer.text)
        assert len(answer.json()["message"]) < 200
    assert http.post(
        "/api/v1/tickets", params={"tenant": "acme"}, headers=bearer(signed({}))
    ).is_success
    record_property("attacks: bent tokens", len(BENT))


# Narrow moderators


@pytest.mark.parametrize("role", ["moderator", "admin"])
def test_a_moderator_of_some_pages_sees_and_does_nothing_on_others(
    trusted: TrustedServer, http: httpx.Client, role: str
) -> None:
    """The flags of all pages, what is hidden on one, and every action there."""
    page, word = f"private of {role}", f"unheard{role}"
    with trusted.bearing(page.replace(" ", "%20"), token()) as client:
        client.handshake()
        client.write(("annotations", "a1", annotation("ada")))
        client.write(("comments", "a1/c1", comment("ada", word)))
        client.flush()
    wide, narrow = (
        bearer(token(user="mod", role=role, pages=pages)) for pages in (["*"], ["public/*"])
    )
    flag = {"page": page, "entity": "a1/c1", "reason": word}
    http.post(f"{ACME}/flags", json=flag, headers=bearer(token(user="bob"))).raise_for_status()
    assert word in http.get(f"{ACME}/moderation", headers=wide).text
    assert word not in http.get(f"{ACME}/moderation", headers=narrow).text
    one = http.get(f"{ACME}/moderation", params={"page": page}, headers=narrow)
    assert (one.status_code, word in one.text) == (403, False)
    for action in ("hide", "unhide", "restore", "close", "reopen", "dismiss"):
        body = {"page": page, "action": action, "entity": "a1"}
        answer = http.post(f"{ACME}/moderation", json=body, headers=narrow)
        assert answer.status_code == 403, (action, answer.text)
    assert http.post(f"{ACME}/flags", json=flag, headers=narrow).status_code == 403
    for path in (LISTING, "/event-log/acme"):
        assert http.get(path, params={"urlId": page}, headers=narrow).status_code == 403
