"""Legacy secure SSO: a tenant's server vouches for a user by HMAC (legacy-protocol 9).

`sso` = JSON `{"userDataJSONBase64", "verificationHash", "timestamp"}`; the hash is the lower-case
hex HMAC-SHA256 with the tenant's API secret over the digits of the timestamp and the base64 text as
they came: it is never serialized again, because languages differ in how they write JSON.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from crdt_chat.errors import Malformed, Unauthorized
from crdt_chat.identity import Grant, Role
from crdt_chat.server.access.keys import SSO
from crdt_chat.server.access.tokens import ANONYMOUS, NAME_LIMIT, USER_LIMIT, is_clean

SSO_LIMIT = 65_536
"""Characters of the `sso` parameter: its avatar may be an image of 50,000."""

OLDEST_MS = 2 * 24 * 3600 * 1000
"""A signature is good for two days."""

SKEW_MS = 60_000
"""How far the signer's clock may be ahead of ours."""

AVATAR_LIMIT = 3_000


class Digits(str):
    """A whole number of a JSON text, as it was written there."""

    __slots__ = ()


def is_signed(said: object) -> bool:
    """Whether a parsed `sso` claims to be a secure one."""
    return isinstance(said, dict) and bool(said.get("userDataJSONBase64"))


def parse(text: str) -> Any:
    """The JSON of an `sso` parameter, integers as the digits they came as. Raises Malformed."""
    if len(text) > SSO_LIMIT:
        raise Malformed("sso is too long")
    try:
        return json.loads(text, parse_int=Digits)
    except (ValueError, RecursionError):
        raise Malformed("sso must be JSON") from None


def key_name(secret: str) -> str:
    """What a grant says vouched for it: changes with the secret, so that a change ends it."""
    return f"{SSO}:{hashlib.sha256(secret.encode()).hexdigest()[:16]}"


def verify(said: Mapping[str, Any], secret: str, tenant: str, now: int) -> Grant:
    """What a signed `sso` (as `parse` gave it) grants; now is in ms.

    A moderator's flag or an admin's gives that role, all others may write. Raises Unauthorized.
    """
    encoded, shown, stamp = (
        said.get("userDataJSONBase64"),
        said.get("verificationHash"),
        said.get("timestamp"),
    )
    if not (isinstance(encoded, str) and isinstance(shown, str) and isinstance(stamp, str)):
        raise Unauthorized("sso is incomplete")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 16):
        raise Unauthorized("sso.timestamp is no time in milliseconds")
    try:
        message = (stamp + encoded).encode()
    except UnicodeEncodeError:
        raise Unauthorized("sso is not signed by this tenant") from None
    expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), shown.encode("utf-8", "replace")):
        raise Unauthorized("sso is not signed by this tenant")
    signed = int(stamp)
    if not now - OLDEST_MS < signed <= now + SKEW_MS:
        raise Unauthorized("sso is too old, or from the future: load the page again")
    person = _person(encoded)
    user, name = _identity(person)
    expires = (signed + OLDEST_MS) / 1000
    return Grant(
        tenant,
        user,
        name,
        _role(person),
        _avatar(person),
        ("*",),
        expires,
        signed / 1000,
        key_name(secret),
    )


def _person(encoded: str) -> Mapping[str, Any]:
    try:
        person = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise Unauthorized("sso.userDataJSONBase64 is no JSON in base64") from None
    if not isinstance(person, dict):
        raise Unauthorized("sso.userDataJSONBase64 is no JSON object")
    return person


def _identity(person: Mapping[str, Any]) -> tuple[str, str]:
    user = _text(person.get("id"), USER_LIMIT) or _text(person.get("email"), USER_LIMIT)
    name = _text(person.get("displayName"), NAME_LIMIT) or _text(person.get("username"), NAME_LIMIT)
    if user is None or name is None or user.startswith(ANONYMOUS):
        raise Unauthorized("sso names no user: id (or email) and username are needed")
    return user, name


def _text(value: object, limit: int) -> str | None:
    said = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return said if isinstance(said, str) and 0 < len(said) <= limit and is_clean(said) else None


def _role(person: Mapping[str, Any]) -> Role:
    if person.get("isAdmin") is True:
        return Role.ADMIN
    return Role.MODERATOR if person.get("isModerator") is True else Role.EDITOR


def _avatar(person: Mapping[str, Any]) -> str | None:
    said = _text(person.get("avatar") or person.get("avatarSrc"), AVATAR_LIMIT)
    return said if said is not None and said.startswith(("https://", "http://")) else None
