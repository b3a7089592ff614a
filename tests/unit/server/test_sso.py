"""Legacy secure SSO: both known vectors, and what comes near them."""

import base64
import hashlib
import hmac
import json

import pytest

from crdt_chat.errors import Malformed, Unauthorized
from crdt_chat.identity import Role
from crdt_chat.server.access import sso

PUBLISHED = ("test-api-secret", 1_700_000_000_000, base64.b64encode(
    b'{"id":"123","email":"test@example.com","username":"tester"}'
).decode(), "f7e13d510e7f0cb11f027ce8161b8dc0f380df4aa85213ed15a973e34cb9dc2f")  # fmt: skip
UMLAUT = (
    "s3cr3t-ä", 1_760_000_000_000,
    "eyJpZCI6InUtMSIsImVtYWlsIjoiYW5uQGV4YW1wbGUub3JnIiwidXNlcm5hbWUiOiJBbm4gw4TDtsO8In0=",
    "64d4c3e177227fdc87e6f7f06186d30a0a10000ca49f8ad7e10bed3fc1ec32b1",
)  # fmt: skip
SECRET, NOW = "secret", 1_800_000_000_000


def said(encoded: str, mac: str, stamp: object) -> str:
    return json.dumps({"userDataJSONBase64": encoded, "verificationHash": mac, "timestamp": stamp})


def signed(person: object, stamp: object = NOW, secret: str = SECRET) -> str:
    encoded = base64.b64encode(json.dumps(person).encode()).decode()
    mac = hmac.new(secret.encode(), f"{stamp}{encoded}".encode(), hashlib.sha256).hexdigest()
    return said(encoded, mac, stamp)


def read(text: str, secret: str = SECRET, now: int = NOW):
    return sso.verify(sso.parse(text), secret, "acme", now)


@pytest.mark.parametrize("as_text", [False, True], ids=["number", "text"])
@pytest.mark.parametrize(
    ("vector", "user", "name"), [(PUBLISHED, "123", "tester"), (UMLAUT, "u-1", "Ann Äöü")]
)
def test_the_known_vectors_are_granted(vector, user, name, as_text):
    secret, stamp, encoded, mac = vector
    grant = read(said(encoded, mac, str(stamp) if as_text else stamp), secret, stamp + 1)
    assert (grant.user, grant.name, grant.tenant) == (user, name, "acme")
    assert (grant.role, grant.pages) == (Role.EDITOR, ("*",))
    assert grant.expires == stamp / 1000 + 2 * 24 * 3600
    assert grant.key == sso.key_name(secret) != sso.key_name(secret + "2")


@pytest.mark.parametrize("vector", [PUBLISHED, UMLAUT])
def test_a_vector_with_one_thing_changed_is_refused(vector):
    secret, stamp, encoded, mac = vector
    other = base64.b64encode(b'{"id":"1","email":"a@b.c","username":"eve"}').decode()
    for text, key in (
        (said(encoded, mac, stamp + 1), secret),
        (said(encoded, mac.upper(), stamp), secret),
        (said(encoded, mac[:-1], stamp), secret),
        (said(encoded, "", stamp), secret),
        (said(encoded, "é", stamp), secret),
        (said(other, mac, stamp), secret),
        (said(encoded, mac, f"0{stamp}"), secret),
        (said(encoded, mac, float(stamp)), secret),
        (said(encoded, mac, None), secret),
        (said(encoded, mac, stamp), secret + "x"),
    ):
        with pytest.raises(Unauthorized):
            read(text, key, stamp + 1)


@pytest.mark.parametrize(("now", "good"), [
    (NOW - 60_000, True), (NOW - 60_001, False),
    (NOW + sso.OLDEST_MS - 1, True), (NOW + sso.OLDEST_MS, False),
])  # fmt: skip
def test_a_signature_lasts_two_days(now, good):
    text = signed({"id": "1", "username": "ada", "email": "a@b.c"})
    if good:
        assert read(text, now=now).user == "1"
    else:
        with pytest.raises(Unauthorized, match="too old"):
            read(text, now=now)


@pytest.mark.parametrize(("flags", "role"), [
    ({}, Role.EDITOR), ({"isModerator": True}, Role.MODERATOR), ({"isAdmin": True}, Role.ADMIN),
    ({"isAdmin": "true", "isModerator": 1}, Role.EDITOR),
])  # fmt: skip
def test_flags_give_roles(flags, role):
    assert read(signed({"id": "1", "username": "ada", **flags})).role is role


@pytest.mark.parametrize(
    "person",
    [{}, {"id": "1"}, {"username": "a"}, [], "ada", {"id": "", "username": ""},
     {"id": "a\nb", "username": "a"}, {"id": "anon:1", "username": "a"}, {"id": "a" * 256, "username": "a"}],
)  # fmt: skip
def test_a_signed_user_that_is_none_is_refused(person):
    with pytest.raises(Unauthorized):
        read(signed(person))


def test_a_display_name_is_shown_and_an_avatar_is_a_web_address():
    person = {"id": 7, "username": "ada", "displayName": "Ada L.", "avatar": "https://a.example/1"}
    grant = read(signed(person))
    assert (grant.user, grant.name, grant.avatar) == ("7", "Ada L.", "https://a.example/1")
    assert read(signed({**person, "avatar": "javascript:1"})).avatar is None


@pytest.mark.parametrize("text", ["", "{", "[" * 10_000, "x" * 70_000])
def test_what_is_no_json_is_malformed(text):
    with pytest.raises(Malformed):
        sso.parse(text)


def test_which_sso_is_signed():
    assert sso.is_signed(sso.parse(signed({})))
    assert not sso.is_signed(sso.parse('{"username":"ada"}'))
    assert not sso.is_signed(sso.parse('"ada"'))
