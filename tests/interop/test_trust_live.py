"""What a change does to those who are here: expiry, revocation, roles, fresh tokens."""

import contextlib
import time

import httpx
import pytest
from entries import fresh
from trusted import token
from visiting import annotate, bearer, control, hello
from websockets.exceptions import ConnectionClosed

from crdt_chat.protocol import wire

LIFE_S = 6.0
"""Of a token that ends while it is used: time enough to come in, on whatever machine."""


def test_an_expired_token_ends_when_it_expires(trusted):
    # The second in which it does: tests/unit/server/test_guard.py.
    until = time.time() + LIFE_S
    with trusted.bearing(fresh("page"), token(exp=until)) as client:
        client.handshake()
        assert client.closed() == 4401
        assert time.time() >= until


def test_a_fresh_token_on_the_live_socket_counts_from_then_on(trusted):
    until = time.time() + LIFE_S
    with trusted.bearing(fresh("page"), token(exp=until)) as client:
        client.handshake()
        client.send(wire.control({"type": "token", "token": token(role="viewer")}))
        assert control(client, "role")["role"] == "viewer"
        annotate(client, "ada")
        assert control(client, "refused")["operations"][0]["rule"] == "role"
        while time.time() < until + 1.0:
            with contextlib.suppress(TimeoutError):
                client.read(0.1)
        client.send(wire.control({"type": "presence"}))
        control(client, "presence")


@pytest.mark.parametrize(
    ("claims", "code"),
    [({"user": "eve"}, 4403), ({"pages": ["elsewhere"]}, 4403), ({"tenant": "other"}, 4401),
     ({"seconds": -1}, 4401)],
)  # fmt: skip
def test_a_fresh_token_for_something_else_ends_the_connection(trusted, claims, code):
    with trusted.bearing(fresh("page"), token()) as client:
        client.handshake()
        client.send(wire.control({"type": "token", "token": token(**claims)}))
        assert client.closed() == code


def test_a_revoked_user_is_gone_at_once_and_comes_back_with_a_fresh_token(trusted):
    user, page = fresh("user"), fresh("page")
    old = token(user=user)
    with trusted.bearing(page, old) as client, trusted.bearing(page, token()) as other:
        client.handshake()
        other.handshake()
        trusted.command("revoke", "acme", "--user", user, "--reason", "test")
        assert client.closed() == 4401
        annotate(other, "ada")
        other.flush()
    assert trusted.refused(page, additional_headers=bearer(old)) == 4401
    with trusted.bearing(page, token(user=user, iat=time.time() + 1)) as client:
        hello(client)


def test_a_revoked_token_is_gone_and_others_of_its_user_stay(trusted):
    user, page = fresh("user"), fresh("page")
    with (
        trusted.bearing(page, token(user=user, jti="one-" + user)) as one,
        trusted.bearing(page, token(user=user, jti="two-" + user)) as two,
    ):
        one.handshake()
        two.handshake()
        trusted.command("revoke", "acme", "--token", "one-" + user)
        assert one.closed() == 4401
        annotate(two, user)
        two.flush()


def test_a_role_changes_with_the_next_operation(trusted):
    user, page = fresh("user"), fresh("page")
    trusted.command("token", "acme", "--user", user)
    with trusted.bearing(page, token(user=user)) as client:
        client.handshake()
        annotate(client, user)
        client.flush()
        operator = trusted.command("token", "--operator", "grace")
        role = f"{trusted.http}/api/v1/tenants/acme/roles/{user}"
        assert httpx.put(role, headers=bearer(operator), json={"role": "viewer"}).status_code == 204
        annotate(client, user)
        assert control(client, "refused")["operations"][0]["rule"] == "role"
        assert httpx.delete(role, headers=bearer(operator)).status_code == 204
    with trusted.bearing(page, token(user=user)) as client:
        client.handshake()
        annotate(client, user)
        client.flush()


def test_what_a_revoked_user_sends_after_that_moment_counts_for_nothing(trusted):
    user, page = fresh("user"), fresh("page")
    with (
        trusted.bearing(page, token(user=user)) as revoked,
        trusted.bearing(page, token()) as other,
    ):
        revoked.handshake()
        other.handshake()
        trusted.command("revoke", "acme", "--user", user)
        late = ""
        with contextlib.suppress(ConnectionClosed):
            late = annotate(revoked, user)
        assert revoked.closed() == 4401
        annotate(other, "ada")
        other.flush()
        assert late not in other.names("annotations")


def test_a_tenant_that_is_changed_while_served(trusted):
    made = trusted.asked("tenant", "add", "fluid")
    assert made["keys"] == [{"id": "k1", "algorithm": "HS256"}]
    one = trusted.command("token", "fluid", "--user", "ada")
    page = fresh("page")
    with trusted.bearing(page, one, "fluid") as client:
        client.handshake()
        trusted.command("tenant", "set", "fluid", "--remove-key", "k1")
        assert client.closed() == 4401
    trusted.command("tenant", "set", "fluid", "--anonymous", "editor")
    with trusted.client(page, "fluid") as client:
        client.handshake()
        user = hello(client)["user"]
        trusted.command("tenant", "set", "fluid", "--anonymous", "viewer")
        annotate(client, user)
        assert control(client, "refused")["operations"][0]["rule"] == "role"
        trusted.command("tenant", "remove", "fluid")
        assert client.closed() == 4401
    assert trusted.refused(page, "fluid") == 4404
