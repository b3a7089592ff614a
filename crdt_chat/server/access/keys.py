"""The keys that vouch for a tenant's visitors: one fixed algorithm each, parsed when they are named.

A token never chooses its algorithm: the key that its `kid` names has one (RFC 8725, 3.1), so a
public key can't be taken for an HMAC secret, and `none` is no algorithm at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from crdt_chat.errors import CrdtChatError

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
"""Algorithms that a key may have (RFC 7518, RFC 8037)."""

SECRET_BYTES = 32
"""Shortest HS256 secret: as long as its digest (RFC 7518, 3.2)."""

RSA_BITS = 2_048
KID_LIMIT, MATERIAL_LIMIT, JWKS_KEYS = 100, 16_384, 50
"""Characters of a key id and of a key, keys in one JWKS."""

SERVER, SSO = "server", "sso"
"""Key ids that no tenant's key may have: what this server signed, and legacy secure SSO."""

BY_TYPE = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}


class BadKey(CrdtChatError):
    """A key that can't be used; the message is one sentence for whoever named it."""


@dataclass(frozen=True)
class TenantKey:
    """A key under its id. material: an HS256 secret, or a public key as PEM. `checked` makes one."""

    kid: str
    algorithm: str
    material: str = field(repr=False)

    @cached_property
    def parsed(self) -> Any:
        """The key as PyJWT takes it. Raises BadKey."""
        # lazily: with cryptography it takes 0.1 s, and an open tenant needs neither
        import jwt

        if self.algorithm == "HS256":
            return self.material.encode()
        if "PRIVATE" in self.material:
            raise BadKey("that is a private key: keep it, and give the public one")
        try:
            return jwt.get_algorithm_by_name(self.algorithm).prepare_key(self.material)
        except (ValueError, TypeError, jwt.PyJWTError):
            raise BadKey(f"that is no public key for {self.algorithm} (PEM)") from None

    @property
    def signs(self) -> bool:
        """Whether tokens can be made with it, not only verified."""
        return self.algorithm == "HS256"


def checked(kid: str, algorithm: str, material: str) -> TenantKey:
    """The key, if it can be used. Raises BadKey."""
    if not kid or len(kid) > KID_LIMIT or not kid.isprintable() or _reserved(kid):
        raise BadKey(f"a key id has 1 to {KID_LIMIT} printable characters and is not reserved")
    if algorithm not in ALGORITHMS:
        raise BadKey(f"the algorithm of a key is one of {', '.join(ALGORITHMS)}")
    if len(material) > MATERIAL_LIMIT:
        raise BadKey(f"a key has at most {MATERIAL_LIMIT:,} characters")
    if algorithm == "HS256":
        _check_secret(material)
    key = TenantKey(kid, algorithm, material)
    _check_strength(algorithm, key.parsed)
    return key


def _reserved(kid: str) -> bool:
    return kid in (SERVER, SSO) or kid.startswith(SSO + ":")


def _check_secret(secret: str) -> None:
    if "-----BEGIN" in secret:
        raise BadKey("that is PEM, not a secret: say RS256, ES256 or EdDSA")
    try:
        size = len(secret.encode())
    except UnicodeEncodeError:
        raise BadKey("a secret is text") from None
    if size < SECRET_BYTES:
        raise BadKey(f"an HS256 secret has at least {SECRET_BYTES} bytes")


def _check_strength(algorithm: str, parsed: Any) -> None:
    if algorithm == "RS256" and parsed.key_size < RSA_BITS:
        raise BadKey(f"an RSA key has at least {RSA_BITS:,} bits")
    if algorithm == "ES256" and parsed.curve.name != "secp256r1":
        raise BadKey("ES256 takes a key on the curve P-256")
    if algorithm == "EdDSA" and type(parsed).__name__.lower().find("ed25519") < 0:
        raise BadKey("EdDSA takes an Ed25519 key")


def keys_of_jwks(text: str) -> dict[str, TenantKey]:
    """The keys of a JWKS (RFC 7517) by id; those for encryption are left out. Raises BadKey."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadKey("a JWKS is JSON") from None
    entries = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(entries, list) or len(entries) > JWKS_KEYS:
        raise BadKey(f"a JWKS is an object with at most {JWKS_KEYS} `keys`")
    found: dict[str, TenantKey] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise BadKey("a key of a JWKS is an object")
        if entry.get("use", "sig") != "sig":
            continue
        key = _of_jwk(entry)
        if key.kid in found:
            raise BadKey(f"two keys of the JWKS have the id {key.kid!r}")
        found[key.kid] = key
    return found


def _of_jwk(entry: Mapping[str, Any]) -> TenantKey:
    import jwt

    kid = entry.get("kid")
    if not isinstance(kid, str):
        raise BadKey("a key of a JWKS needs a `kid`")
    algorithm = BY_TYPE.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        raise BadKey(f"the JWKS key {kid!r} is for none of {', '.join(ALGORITHMS)}")
    if "d" in entry:
        raise BadKey(f"the JWKS key {kid!r} is a private key: publish the public part only")
    try:
        parsed = jwt.get_algorithm_by_name(algorithm).from_jwk(dict(entry))
        material = parsed.decode() if isinstance(parsed, bytes) else _pem(parsed)
    except (ValueError, TypeError, KeyError, jwt.PyJWTError):
        raise BadKey(f"the JWKS key {kid!r} can't be read") from None
    return checked(kid, algorithm, material)


def _pem(parsed: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem: bytes = parsed.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()
