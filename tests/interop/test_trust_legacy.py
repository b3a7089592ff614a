"""Legacy clients on a closed tenant: secure SSO, signed sockets, pages and roles."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import httpx
from entries import fresh
from trusted import SITE, SSO_SECRET, TrustedServer, token
from visiting import bearer
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def signed_sso(user: str) -> str:
    stamp = int(time.time() * 1000)
    person = {"id": user, "email": f"{user}@example.org", "username": user}
    encoded = base64.b64encode(json.dumps(person).encode()).decode()
    mac = hmac.new(SSO_SECRET.encode(), f"{stamp}{encoded}".encode(), hashlib.sha256).hexdigest()
    return json.dumps({"userDataJSONBase64": encoded, "verificationHash": mac, "timestamp": stamp})


def chats(server: TrustedServer, query: dict, **options) -> httpx.Response:
    return httpx.get(f"{server.http}/comment-collab-chats/acme", params=query, **options)


def test_secure_sso_opens_a_closed_tenant_to_legacy_clients(trusted):
    user, page = fresh("legacy"), fresh("page")
    assert chats(trusted, {"urlId": page}).status_code == 401
    assert chats(trusted, {"urlId": page, "user": "ada"}).status_code == 401
    assert chats(trusted, {"urlId": page, "sso": '{"username":"ada"}'}).status_code == 401
    forged = json.dumps(json.loads(signed_sso(user)) | {"verificationHash": "0" * 64})
    assert chats(trusted, {"urlId": page, "sso": forged}).status_code == 401
    answer = chats(trusted, {"urlId": page, "sso": signed_sso(user)}, headers={"origin": SITE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SITE
    foreign = {"origin": "https://evil.example"}
    answer = chats(trusted, {"urlId": page, "sso": signed_sso(user)}, headers=foreign)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def subscribed(server: TrustedServer, **query: str):
    address = server.http.replace("http", "ws") + "/sub?" + urlencode(query)
    return connect(address)


def closed_with(socket) -> int | None:
    try:
        while True:
            socket.recv(timeout=PATIENCE_S)
    except ConnectionClosed:
        return socket.close_code


def test_a_legacy_socket_needs_what_the_server_signed_and_ends_with_it(trusted):
    user, page = fresh("legacy"), fresh("page")
    answer = chats(trusted, {"urlId": page, "sso": signed_sso(user)}).json()
    said = {"tenantIdWS": "acme", "urlId": answer["urlIdWS"]}
    with subscribed(trusted, **said, userIdWS="anon") as socket:
        assert closed_with(socket) == 4401
    with subscribed(trusted, **said, userIdWS=answer["userIdWS"][:-2] + "AA") as socket:
        assert closed_with(socket) == 4401
    with subscribed(trusted, **said, userIdWS=answer["userIdWS"]) as socket:
        socket.recv(timeout=PATIENCE_S)
        trusted.command("revoke", "acme", "--user", user)
        assert closed_with(socket) == 4401


def test_a_page_that_the_token_does_not_cover_is_closed_to_legacy_requests(trusted):
    docs = bearer(token(pages=["docs/*"]))
    assert chats(trusted, {"urlId": "docs/a"}, headers=docs).status_code == 200
    assert chats(trusted, {"urlId": "private"}, headers=docs).status_code == 403
    log = httpx.get(f"{trusted.http}/event-log/acme", params={"urlId": "private"}, headers=docs)
    assert log.status_code == 403


def test_a_viewer_reads_and_does_not_write_as_a_legacy_client(trusted):
    viewer, page = bearer(token(role="viewer")), fresh("page")
    assert chats(trusted, {"urlId": page}, headers=viewer).status_code == 200
    body = {"urlId": page, "urlIdWithRange": f"{page}:0", "range": None, "broadcastId": "b"}
    answer = httpx.post(f"{trusted.http}/comment-collab-chats/acme", headers=viewer, json=body)
    assert answer.status_code in (400, 403)
