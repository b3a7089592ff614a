"""Who may come to a closed tenant and how: tokens, tickets, sites, visitors, stock clients."""

import socket as socket_module
import subprocess
import sys
import time

import httpx
import pytest
from certified import certificate, dial
from entries import annotation, fresh
from raw_client import RawClient
from server import HOST, RealServer, free_port
from trusted import SITE, SSO_SECRET, token
from visiting import bearer, hello, ticket
from waiting import PATIENCE_S


def test_each_way_in_brings_the_same_grant(trusted):
    page = fresh("page")
    made = token()
    ways = (
        {"additional_headers": bearer(made)},
        {"subprotocols": ["crdt-chat", f"crdt-chat.token.{made}"]},
        {"query": {"token": made}},
        {"query": {"ticket": ticket(trusted, page)}},
        {"query": {"ticket": ticket(trusted)}},
    )
    for way in ways:
        with trusted.client(page, **way) as client:
            assert (hello(client)["user"], hello(client)["role"]) == ("ada", "editor")


def test_a_token_in_a_subprotocol_is_not_sent_back(trusted):
    made = token()
    offered = ["crdt-chat", f"crdt-chat.token.{made}"]
    with trusted.client("p", subprotocols=offered) as client:
        assert client.socket.subprotocol == "crdt-chat"


def test_a_ticket_is_good_once_and_for_its_page(trusted):
    page = fresh("page")
    one = ticket(trusted, page)
    with trusted.client(page, query={"ticket": one}) as client:
        hello(client)
    assert trusted.refused(page, query={"ticket": one}) == 4401
    assert trusted.refused("another", query={"ticket": ticket(trusted, page)}) == 4401


def test_the_query_says_nothing_about_who_comes_to_a_closed_tenant(trusted):
    made = token(user="ada")
    with trusted.client("p", query={"token": made, "user": "eve", "name": "Eve"}) as client:
        assert hello(client)["user"] == "ada"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, 4401),
        ({"query": {"user": "ada"}}, 4401),
        ({"query": {"token": "x"}}, 4401),
        ({"query": {"ticket": "0" * 64}}, 4401),
        ({"additional_headers": {"authorization": "Basic YWRhOmFkYQ=="}}, 4401),
    ],
)
def test_without_a_token_nobody_comes_in(trusted, options, code):
    assert trusted.refused("p", **options) == code


def test_a_token_opens_its_tenant_and_its_pages_only(trusted):
    assert trusted.refused("p", additional_headers=bearer(token("other"))) == 4401
    assert trusted.refused("p", "other", additional_headers=bearer(token("acme"))) == 4401
    assert trusted.refused("p", "nobody", additional_headers=bearer(token("acme"))) == 4404
    docs = token(pages=["docs/*"])
    with trusted.bearing("docs%2Fa", docs) as client:
        hello(client)
    assert trusted.refused("doc", additional_headers=bearer(docs)) == 4403
    assert trusted.refused("p", additional_headers=bearer(token(pages=None))) == 4401


@pytest.mark.parametrize(
    ("origin", "code"),
    [(SITE, None), (None, None), ("https://www.site.example", None), ("http://site.example", 4403),
     ("https://evil.example", 4403), ("null", 4403), ("https://site.example.evil.example", 4403),
     ("http://127.0.0.1", 4403)],
)  # fmt: skip
def test_a_browser_comes_from_the_tenants_sites_only(trusted, origin, code):
    options = {"additional_headers": bearer(token()), "origin": origin}
    if code is None:
        with trusted.client("p", **options) as client:
            hello(client)
    else:
        assert trusted.refused("p", **options) == code


def test_an_open_tenant_with_a_key_knows_its_moderators(trusted):
    with trusted.client("p", "lab", query={"user": "eve"}) as client:
        assert hello(client)["role"] == "editor"
    made = token("lab", role="moderator")
    with trusted.bearing("p", made, "lab") as client:
        assert hello(client)["role"] == "moderator"
    assert trusted.refused("p", "lab", query={"token": made[:-3] + "abc"}) == 4401


@pytest.mark.node
def test_a_stock_y_websocket_comes_with_a_token_and_stays_away_when_it_ends(yjs, trusted):
    page, url = fresh("page"), trusted.running.ws("acme")
    made, name = token(exp=time.time() + 8), fresh("a")
    offered = ["crdt-chat", f"crdt-chat.token.{token(user='bob')}"]
    ada = yjs.browser("ada", url, page, params={"token": made})
    bob = yjs.browser("bob", url, page, protocols=offered)
    nobody = yjs.browser("nobody", url, page)
    assert nobody.wait(denied=True).status().denied["code"] == 4401
    ada.wait(synced=True)
    ada.transact([("set", "annotations", name, annotation("ada"))])
    bob.wait(has=[("annotations", name)])
    assert ada.wait(denied=True).status().denied["code"] == 4401
    assert ada.status().dials == 1


def visitor_cookie(client: RawClient) -> str:
    headers = client.socket.response.headers.get_all("set-cookie")
    return next(line for line in headers if line.startswith("crdt-chat-visitor")).split(";")[0]


def test_an_anonymous_visitor_is_known_again_and_chooses_no_id(trusted):
    page = fresh("page")
    with trusted.client(page, "club", query={"user": "ada", "name": "Ann"}) as client:
        first, cookie = hello(client), visitor_cookie(client)
    assert first["user"].startswith("anon:")
    assert first["role"] == "commenter"
    with trusted.client(page, "club", additional_headers={"cookie": cookie}) as client:
        assert hello(client)["user"] == first["user"]
    forged = cookie[:-4] + "AAAA"
    with trusted.client(page, "club", additional_headers={"cookie": forged}) as client:
        assert hello(client)["user"] not in (first["user"], "ada")


def test_a_visitors_token_is_one_for_her_tenant_only(trusted):
    answer = httpx.post(f"{trusted.http}/api/v1/visitors?tenant=club", headers={"origin": SITE})
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == SITE
    made = answer.json()
    with trusted.client("p", "club", query={"token": made["token"]}) as client:
        assert hello(client)["user"] == made["user"]
    assert trusted.refused("p", "acme", query={"token": made["token"]}) == 4401
    again = httpx.post(f"{trusted.http}/api/v1/visitors?tenant=club", headers=bearer(made["token"]))
    assert again.json()["user"] == made["user"]
    closed = httpx.post(f"{trusted.http}/api/v1/visitors?tenant=acme")
    assert (closed.status_code, closed.json()["code"]) == (401, "unauthorized")


def test_forwarded_headers_are_believed_of_named_proxies_only(trusted):
    forwarded = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    answer = httpx.post(f"{trusted.http}/api/v1/visitors?tenant=club", headers=forwarded)
    assert "SameSite=None; Secure" in answer.headers["set-cookie"]
    plain = httpx.post(f"{trusted.http}/api/v1/visitors?tenant=club")
    assert "Secure" not in plain.headers["set-cookie"]


def test_no_token_secret_or_ticket_is_in_a_log_or_the_audit(trusted):
    made, one = token(user="secretive"), ticket(trusted)
    for way in (
        {"query": {"token": made}},
        {"query": {"ticket": one}},
        {"additional_headers": bearer(made)},
    ):
        with trusted.client("p", **way) as client:
            hello(client)
    trusted.refused("p", query={"token": made + "x"})
    httpx.get(f"{trusted.http}/api/v1/tenants/acme?token={made}")
    written = trusted.running.log() + trusted.command("audit", "--json")
    for secret in (made, made.split(".")[2], one, SSO_SECRET, "acme-secret"):
        assert secret not in written


def test_the_socket_file_is_the_owners_alone_and_gone_after_the_server(tmp_path):
    running = RealServer(tmp_path, tenants=("lab",)).start()
    path = running.db.with_name(running.db.name + ".sock")
    assert path.stat().st_mode & 0o777 == 0o600
    assert running.db.stat().st_mode & 0o077 == 0
    running.kill()
    assert path.exists()
    running.start()
    assert path.stat().st_mode & 0o777 == 0o600
    running.close()
    assert not path.exists()


def test_a_direct_start_serves_wss(tmp_path):
    certified = certificate(tmp_path)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "crdt_chat", "serve", "--port", str(port), "--open-tenant", "lab",
             "--db", str(tmp_path / "a.db"), "--tls-cert", str(certified.chain),
             "--tls-key", str(certified.key)],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        context = certified.trust()
        while not port_answers(port):
            assert running.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        assert httpx.get(f"https://{HOST}:{port}/readyz", verify=context).status_code == 200
        address = f"wss://{HOST}:{port}/ws/lab/p?user=ada&caps=crdt-chat.1"
        with dial(address, context) as socket:
            assert hello(RawClient(socket))["user"] == "ada"
    finally:
        running.terminate()
        running.wait(PATIENCE_S)
    assert running.returncode == 0
    assert f"https://{HOST}:{port}" in (tmp_path / "log").read_text()


def port_answers(port: int) -> bool:
    with socket_module.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
