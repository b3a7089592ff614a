"""Tokens: what a tenant's key signed is granted, whatever else is sent is not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from crdt_chat.errors import Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.access import tokens
from crdt_chat.server.access.keys import BadKey, TenantKey, checked, keys_of_jwks

NOW = 1_800_000_000.0
SECRET, OTHER_SECRET = "s" * 40, "o" * 40
RSA, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()


def public(key) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


KEYS = {
    key.kid: key
    for key in (
        checked("hmac", "HS256", SECRET),
        checked("rsa", "RS256", public(RSA)),
        checked("ec", "ES256", public(EC)),
        checked("ed", "EdDSA", public(ED)),
    )
}
CLAIMS = {
    "aud": "crdt-chat",
    "tenant": "acme",
    "sub": "ada",
    "name": "Ada",
    "role": "editor",
    "pages": ["docs/*"],
    "exp": NOW + 60,
    "iat": NOW - 60,
    "jti": "t-1",
}


def signed(claims=None, key=SECRET, algorithm="HS256", **headers) -> str:
    return jwt.encode(
        CLAIMS if claims is None else claims, key, algorithm, {"kid": "hmac", **headers}
    )


def read(token: str, keys=KEYS) -> Grant:
    return tokens.read(token, keys, "acme", "crdt-chat", NOW)


@pytest.mark.parametrize(
    ("kid", "algorithm", "key"),
    [("hmac", "HS256", SECRET), ("rsa", "RS256", RSA), ("ec", "ES256", EC), ("ed", "EdDSA", ED)],
)
def test_each_algorithm_grants_what_the_token_says(kid, algorithm, key):
    grant = read(signed(key=key, algorithm=algorithm, kid=kid))
    assert grant == Grant(
        "acme", "ada", "Ada", Role.EDITOR, None, ("docs/*",), NOW + 60, NOW - 60, kid, "t-1"
    )
    assert grant.covers(PageKey("acme", "docs/a"))
    assert not grant.covers(PageKey("acme", "other"))
    assert not grant.covers(PageKey("docs", "docs/a"))


def test_a_grant_survives_signing():
    grant = Grant(
        "acme",
        "ada",
        "Ada",
        Role.MODERATOR,
        "https://a.example/b.png",
        ("*",),
        NOW + 9,
        NOW,
        "hmac",
        "j",
    )
    assert read(tokens.sign(tokens.claims_of(grant, "crdt-chat"), KEYS["hmac"])) == grant


def test_only_a_secret_signs():
    with pytest.raises(ValueError, match="only verify"):
        tokens.sign(CLAIMS, KEYS["rsa"])


def raw(header: object, claims: object, secret: str = SECRET) -> str:
    """A token as no library would make it, correctly signed by HMAC."""
    parts = [
        base64.urlsafe_b64encode(
            part if isinstance(part, bytes) else json.dumps(part).encode()
        ).rstrip(b"=")
        for part in (header, claims)
    ]
    message = b".".join(parts)
    mac = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    return (message + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


HEADER = {"alg": "HS256", "kid": "hmac"}
PARTS = signed().split(".")
FORGED: dict[str, Callable[[], str]] = {
    "algorithm none": lambda: jwt.encode(CLAIMS, None, "none", {"kid": "hmac"}),
    "algorithm none in capitals": lambda: raw({"alg": "NONE", "kid": "hmac"}, CLAIMS),
    "no signature": lambda: ".".join(PARTS[:2]) + ".",
    "signature of another token": lambda: signed({**CLAIMS, "sub": "eve"}).rsplit(".", 1)[0] + "." + PARTS[2],
    "another secret": lambda: signed(key=OTHER_SECRET),
    "empty secret": lambda: raw(HEADER, CLAIMS, ""),
    "public key taken for a secret": lambda: raw({"alg": "HS256", "kid": "rsa"}, CLAIMS, public(RSA)),
    "key of one algorithm, name of another": lambda: signed(key=RSA, algorithm="RS256"),
    "another HMAC of the same secret": lambda: signed(algorithm="HS512", key=SECRET * 2),
    "same family, other length": lambda: jwt.encode(CLAIMS, RSA, "RS512", {"kid": "rsa"}),
    "a stranger's RSA key": lambda: signed(key=STRANGER, algorithm="RS256", kid="rsa"),
    "key brought along as jwk": lambda: signed(
        key=STRANGER, algorithm="RS256", kid="rsa",
        jwk=json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key())),
    ),
    "key at an address": lambda: signed(key=STRANGER, algorithm="RS256", kid="rsa", jku="https://eve.example/jwks"),
    "unknown kid": lambda: signed(kid="nobody"),
    "kid of a path": lambda: signed(kid="../../dev/null", key="\x00" * 40),
    "kid reserved to the server": lambda: signed(kid="server"),
    "no kid among several keys": lambda: raw({"alg": "HS256"}, CLAIMS),
    "kid is no text": lambda: raw({"alg": "HS256", "kid": ["hmac"]}, CLAIMS),
    "unknown critical header": lambda: raw({**HEADER, "crit": ["exp2"], "exp2": 1}, CLAIMS),
    "payload not encoded": lambda: raw({**HEADER, "crit": ["b64"], "b64": False}, CLAIMS),
    "expired": lambda: signed({**CLAIMS, "exp": NOW}),
    "no expiry": lambda: signed({k: v for k, v in CLAIMS.items() if k != "exp"}),
    "expiry NaN": lambda: signed({**CLAIMS, "exp": float("nan")}),
    "expiry infinite": lambda: signed({**CLAIMS, "exp": float("inf")}),
    "expiry as text": lambda: signed({**CLAIMS, "exp": "9999999999"}),
    "expiry true": lambda: signed({**CLAIMS, "exp": True}),
    "not yet": lambda: signed({**CLAIMS, "nbf": NOW + 31}),
    "issued in the future": lambda: signed({**CLAIMS, "iat": NOW + 31}),
    "another audience": lambda: signed({**CLAIMS, "aud": "billing"}),
    "no audience": lambda: signed({k: v for k, v in CLAIMS.items() if k != "aud"}),
    "audience as a prefix": lambda: signed({**CLAIMS, "aud": "crdt-chat-visitor"}),
    "another tenant": lambda: signed({**CLAIMS, "tenant": "acme2"}),
    "tenant as a list": lambda: signed({**CLAIMS, "tenant": ["acme"]}),
    "no tenant": lambda: signed({k: v for k, v in CLAIMS.items() if k != "tenant"}),
    "no user": lambda: signed({k: v for k, v in CLAIMS.items() if k != "sub"}),
    "two users": lambda: signed({**CLAIMS, "user": "eve"}),
    "an anonymous visitor's id": lambda: signed({**CLAIMS, "sub": "anon:1"}),
    "user with a line break": lambda: signed({**CLAIMS, "sub": "ada\nrole: admin"}),
    "user with half a character": lambda: signed({**CLAIMS, "sub": "ada\ud800"}),
    "user too long": lambda: signed({**CLAIMS, "sub": "a" * 256}),
    "role nobody has": lambda: signed({**CLAIMS, "role": "root"}),
    "role as a number": lambda: signed({**CLAIMS, "role": 4}),
    "no pages": lambda: signed({k: v for k, v in CLAIMS.items() if k != "pages"}),
    "empty pages": lambda: signed({**CLAIMS, "pages": []}),
    "pages as an object": lambda: signed({**CLAIMS, "pages": {"*": True}}),
    "empty pattern": lambda: signed({**CLAIMS, "pages": [""]}),
    "claims are a list": lambda: raw(HEADER, [CLAIMS]),
    "claims are no JSON": lambda: raw(HEADER, b"sub=ada"),
    "claims nested beyond reason": lambda: raw(HEADER, b"[" * 3_000),
    "header is no object": lambda: raw([HEADER], CLAIMS),
    "two parts": lambda: ".".join(PARTS[:2]),
    "four parts": lambda: ".".join([*PARTS, PARTS[2]]),
    "empty": lambda: "",
    "a page of text": lambda: "x" * 10_000,
    "not ASCII": lambda: signed() + "ä",
    "with a line break": lambda: "\n".join(PARTS),
}  # fmt: skip


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused_and_not_quoted(forge):
    token = forge()
    with pytest.raises(Unauthorized) as refusal:
        read(token)
    sentence = str(refusal.value)
    assert len(token) < 8 or token[:8] not in sentence
    assert "eve" not in sentence
    assert SECRET not in sentence


@given(st.data())
def test_a_token_changed_anywhere_grants_nothing_else(data):
    """What is not the same bytes is refused; spare bits of base64 may say the same once more."""
    token = signed()
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from(token + "+/=\x00 "))
    changed = token[:at] + letter + token[at + 1 :]
    try:
        assert read(changed) == read(token)
    except Unauthorized:
        assert changed != token


@pytest.mark.no_cover
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_refused_in_one_sentence(text):
    with pytest.raises(Unauthorized):
        read(text)


def test_missing_claims_mean_least():
    grant = read(signed({k: v for k, v in CLAIMS.items() if k not in ("role", "name")}))
    assert (grant.role, grant.name) == (Role.VIEWER, "ada")


def test_an_avatar_is_a_web_address_or_none():
    assert read(signed({**CLAIMS, "avatar": "https://a.example/x"})).avatar == "https://a.example/x"
    assert read(signed({**CLAIMS, "avatar": "javascript:alert(1)"})).avatar is None


def test_one_key_needs_no_kid():
    token = raw({"alg": "HS256"}, CLAIMS)
    assert read(token, {"hmac": KEYS["hmac"]}).user == "ada"


def test_old_and_new_key_both_count_while_keys_are_rotated():
    new = checked("new", "HS256", OTHER_SECRET)
    both = {**KEYS, "new": new}
    assert read(signed(), both).key == "hmac"
    assert read(signed(key=OTHER_SECRET, kid="new"), both).key == "new"
    with pytest.raises(Unauthorized):
        read(signed(), {"new": new})


@pytest.mark.parametrize(
    ("kid", "algorithm", "material", "sentence"),
    [
        ("k", "HS256", "short", "at least 32 bytes"),
        ("k", "HS256", public(RSA), "PEM, not a secret"),
        ("k", "HS512", SECRET, "one of HS256"),
        ("k", "none", "", "one of HS256"),
        ("k", "RS256", private(RSA), "private key"),
        ("k", "RS256", public(EC), "no public key for RS256|RSA"),
        (
            "k",
            "ES256",
            public(ec.generate_private_key(ec.SECP384R1())),
            "no public key for ES256|P-256",
        ),
        ("k", "RS256", public(rsa.generate_private_key(65537, 1024)), "2,048 bits"),
        ("k", "EdDSA", "-----BEGIN", "no public key"),
        ("server", "HS256", SECRET, "reserved"),
        ("sso:1", "HS256", SECRET, "reserved"),
        ("", "HS256", SECRET, "key id"),
        ("a\nb", "HS256", SECRET, "key id"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_in_a_sentence(kid, algorithm, material, sentence):
    with pytest.raises(BadKey, match=sentence) as refusal:
        checked(kid, algorithm, material)
    assert material == "" or material not in str(refusal.value)


def test_a_secret_is_not_shown_by_its_key():
    assert SECRET not in repr(KEYS["hmac"])


def jwks(*entries: dict) -> str:
    return json.dumps({"keys": entries})


def jwk(algorithm, key, kid: str) -> dict:
    return {**algorithm.to_jwk(key, as_dict=True), "kid": kid}


def test_a_jwks_gives_its_keys():
    found = keys_of_jwks(
        jwks(
            jwk(jwt.algorithms.RSAAlgorithm, RSA.public_key(), "r"),
            jwk(jwt.algorithms.ECAlgorithm, EC.public_key(), "e"),
            jwk(jwt.algorithms.OKPAlgorithm, ED.public_key(), "o"),
            {"kty": "RSA", "use": "enc", "kid": "skipped"},
        )
    )
    assert {kid: key.algorithm for kid, key in found.items()} == {
        "r": "RS256", "e": "ES256", "o": "EdDSA",
    }  # fmt: skip
    assert read(signed(key=RSA, algorithm="RS256", kid="r"), found).user == "ada"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        (json.dumps({"keys": [{}] * 51}), "at most 50"),
        (jwks({"kty": "RSA"}), "needs a `kid`"),
        (jwks({"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"}), "can't be read"),
        (jwks({"kty": "RSA", "kid": "a", "alg": "PS256"}), "for none of"),
        (jwks(jwk(jwt.algorithms.RSAAlgorithm, RSA, "a")), "private key"),
        (jwks(*[jwk(jwt.algorithms.RSAAlgorithm, RSA.public_key(), "a")] * 2), "two keys"),
    ],
)
def test_a_jwks_that_cannot_be_used_is_told_in_a_sentence(text, sentence):
    with pytest.raises(BadKey, match=sentence):
        keys_of_jwks(text)


def test_keys_are_compared_by_value():
    assert TenantKey("a", "HS256", SECRET) == TenantKey("a", "HS256", SECRET)
